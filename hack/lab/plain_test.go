package lab

import (
	"os"
	"strings"
	"testing"
	"time"
)

// plainShare is the TCP payload's share of a link's rate without a tunnel: 1448 of 1500 bytes.
const plainShare = 1448.0 / 1500

// TestPlainLink is the control of everything else: without a tunnel the client reaches the server over the first link,
// gets what the link has, and nothing once it is cut.
func TestPlainLink(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/25ms")
	for _, d := range []Direction{Down, Up} {
		before := l.Links[0].Stats(d).DeliveredBytes
		rate := bulk(t, l, d, 4*time.Second)
		if want := 20e6 * plainShare; rate < 0.95*want || rate > 1.02*want {
			t.Errorf("%v: %.2f Mbit/s over a link that can carry %.2f", d, rate/1e6, want/1e6)
		}
		if carried := l.Links[0].Stats(d).DeliveredBytes - before; float64(carried) < rate*3/8 {
			t.Errorf("%v: the link says it carried %d bytes only", d, carried)
		}
	}
	if n := l.Links[1].Stats(Down).Delivered; n != 0 {
		t.Errorf("%d packets came over the second link", n)
	}
	for _, link := range l.Links {
		if n := link.Refused(); n != 0 {
			t.Errorf("%s: the kernel refused %d packets", link.Name, n)
		}
	}
	t.Logf("latest delivery: %v behind its time", l.Links[0].Lateness())
}

// TestPlainCallBreaks shows that a silent cut is one: the call over the cut link breaks and comes back with it.
func TestPlainCallBreaks(t *testing.T) {
	l := newLab(t, "20M/10ms")
	call, err := l.StartCall(5 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	wait(1500 * time.Millisecond)
	cut := Now()
	l.Links[0].Cut(Up, Down)
	wait(1500 * time.Millisecond)
	l.Links[0].Restore()
	back := Now()
	if err := call.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []Direction{Up, Down} {
		whole := call.Stats(d, call.Started.Add(500*time.Millisecond), cut)
		if whole.Lost > 1 || whole.Sent < 40 || whole.P50 < 5*time.Millisecond || whole.P50 > 7*time.Millisecond {
			t.Errorf("%v before the cut: %v", d, whole)
		}
		gone := call.Stats(d, cut, back)
		if gone.Lost < gone.Sent*9/10 || gone.Silence < 1400*time.Millisecond {
			t.Errorf("%v during the cut: %v", d, gone)
		}
		again := call.Stats(d, back.Add(100*time.Millisecond), back.Add(time.Second))
		if again.Lost > 0 || again.Sent < 40 {
			t.Errorf("%v after the cut: %v", d, again)
		}
	}
}

func TestCarrierLoss(t *testing.T) {
	l := newLab(t, "20M/10ms")
	state := func() string {
		out, err := run("", "ip", "-n", l.Namespace("router"), "-o", "link", "show", "wan1")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, on := range []bool{false, true} {
		if err := l.Links[0].Carrier(on); err != nil {
			t.Fatal(err)
		}
		if got := !strings.Contains(state(), "NO-CARRIER"); got != on {
			t.Errorf("carrier %v, want %v: %s", got, on, state())
		}
	}
}

func TestCollidingAddresses(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/10ms,20M/25ms"), Collide: true})
	for _, link := range l.Links {
		out, err := run("", "ip", "netns", "exec", l.Namespace("router"), "ip", "-4", "-o", "address", "show", "dev", link.Device)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out, "192.168.1.2/24") {
			t.Errorf("%s: %s", link.Name, out)
		}
	}
	if rate := reaches(t, 10e6, func() float64 { return bulk(t, l, Down, 2*time.Second) }); rate < 10e6 {
		t.Errorf("%.1f Mbit/s over the first link", rate/1e6)
	}
}

// TestNothingIsLeft checks that Close removes every namespace, and that RemoveStale finds what a dead process left.
func TestNothingIsLeft(t *testing.T) {
	l := newLab(t, "20M/10ms")
	names := l.roles()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, role := range names {
		if _, err := os.Stat(namespaceDir + "/" + l.Namespace(role)); err == nil {
			t.Errorf("%s is still there", l.Namespace(role))
		}
	}
	const dead = namePrefix + "4194305-client" // above the largest process id there can be
	if _, err := run("", "ip", "netns", "add", dead); err != nil {
		t.Fatal(err)
	}
	removed, err := RemoveStale()
	if err != nil || len(removed) != 1 || removed[0] != dead {
		t.Errorf("removed %q, %v", removed, err)
	}
}

// TestRemoveOwn: told to stop, a program leaves nothing of what it built, even with daemons inside, and touches nobody else's.
func TestRemoveOwn(t *testing.T) {
	const other = namePrefix + "1-client" // somebody who lives
	if _, err := run("", "ip", "netns", "add", other); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = removeNamespace(other) }()
	l, err := New(Options{Links: mustParse(t, "20M/10ms"), Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	removed, err := RemoveOwn()
	if err != nil || len(removed) < len(l.roles()) {
		t.Errorf("removed %q, %v", removed, err)
	}
	for _, role := range l.roles() {
		if _, err := os.Stat(namespaceDir + "/" + l.Namespace(role)); err == nil {
			t.Errorf("%s is still there", l.Namespace(role))
		}
	}
	if _, err := os.Stat(namespaceDir + "/" + other); err != nil {
		t.Error("somebody else's is gone")
	}
	_ = l.Close() // its processes; the rest is gone
}

func TestSnapshotSeesChanges(t *testing.T) {
	l := newLab(t, "20M/10ms")
	take := func() string {
		text, err := l.Snapshot("router")
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := take()
	if d := Difference(before, take()); d != "" {
		t.Errorf("changes by itself:\n%s", d)
	}
	in := func(args ...string) {
		if _, err := run("", "ip", append([]string{"-n", l.Namespace("router")}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	in("rule", "add", "priority", "77", "lookup", "7000")
	if Difference(before, take()) == "" {
		t.Error("a rule was added and not seen")
	}
	in("rule", "del", "priority", "77")
	if d := Difference(before, take()); d != "" {
		t.Errorf("not as before:\n%s", d)
	}
	if err := sysctl(l.Namespace("router"), "net.ipv4.ip_forward=0"); err != nil {
		t.Fatal(err)
	}
	if Difference(before, take()) == "" {
		t.Error("a kernel setting was changed and not seen")
	}
}
