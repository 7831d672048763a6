package lab

import (
	"strings"
	"testing"
	"time"

	"mpproxy/src/stats"
)

// copiedBoth is how many packets router and server sent twice, both ways.
func copiedBoth(t *testing.T, l *Lab) (n [2]uint64) {
	for i, d := range []*Daemon{l.Router, l.Remote} {
		n[i] = d.status(t).Sessions[0].CopiedPackets
	}
	return n
}

// A rule that names the client by its address in the LAN, which inside the tunnel is another, has its call sent twice, both ways; one
// that names another device does not, and neither go copies over metered links that are not asked to carry them. All
// that follows the configuration while the call goes on.
func TestRuleSendsDeviceTwice(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/25ms")
	startPortals(t, l)
	l.Router.until(t, "two paths", func(s stats.Status) bool {
		_, one := pathOf(s, "link1")
		_, two := pathOf(s, "link2")
		return one && two
	})
	call, err := l.StartCall(15 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	const rule = "config rule 'call'\n\toption target 'tunnel'\n\toption proto 'udp'\n\toption duplicate '1'\n\tlist src_ip '"
	for _, c := range []struct {
		what  string
		edits [][2]string
		want  bool
	}{
		{"another device's", [][2]string{{"config remote 'vps'", rule + "10.1.0.3'\nconfig remote 'vps'"}}, false},
		{"the client's", [][2]string{{"'10.1.0.3'", "'" + ClientAddress + "'"}}, true},
		{"over metered links", [][2]string{{"config link 'link1'", "config link 'link1'\n\toption metered '1'"}, {"config link 'link2'", "config link 'link2'\n\toption metered '1'"}}, false},
		{"over metered links that may", [][2]string{
			{"config link 'link1'", "config link 'link1'\n\toption duplicate '1'"}, {"config link 'link2'", "config link 'link2'\n\toption duplicate '1'"},
		}, true},
	} {
		for _, edit := range c.edits {
			l.Router.edit(t, edit[0], edit[1])
		}
		if out, err := l.Router.reload(); err != nil {
			t.Errorf("%s: reload: %q, %v", c.what, out, err)
		}
		wait(600 * time.Millisecond)
		before := copiedBoth(t, l)
		wait(2 * time.Second)
		after := copiedBoth(t, l)
		for i, way := range []string{"up", "down"} {
			if n := after[i] - before[i]; c.want != (n > 50) || !c.want && n > 0 {
				t.Errorf("%s, %s: %d packets sent twice", c.what, way, n)
			}
		}
	}
	if err := call.Wait(); err != nil {
		t.Fatal(err)
	}
}

// A rule that names the client by its hardware address and by where it is has its call go over one link, whatever there is beside, both
// ways; a reload moves it to the other, and when that is off none of it gets through until the rule is gone.
func TestRuleKeepsDeviceOnLinks(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/25ms")
	startPortals(t, l)
	l.Router.until(t, "two paths", func(s stats.Status) bool {
		_, one := pathOf(s, "link1")
		_, two := pathOf(s, "link2")
		return one && two
	})
	out, err := l.Exec("client", "cat", "/sys/class/net/eth0/address")
	if err != nil {
		t.Fatal(err)
	}
	call, err := l.StartCall(20 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	rule := "config rule 'call'\n\toption target 'tunnel'\n\toption src 'lan0'\n\tlist src_mac '" + strings.TrimSpace(out) + "'\n\tlist use_link 'link2'\n"
	for _, c := range []struct {
		what     string
		edit     [2]string
		over     string // the link that carries it, both ways
		spared   string
		dropping bool
	}{
		{"over the slower", [2]string{"config remote 'vps'", rule + "config remote 'vps'"}, "link2", "link1", false},
		{"over the quicker", [2]string{"use_link 'link2'", "use_link 'link1'"}, "link1", "link2", false},
		{"over one that is off", [2]string{"config link 'link1'", "config link 'link1'\n\toption enabled '0'"}, "", "link2", true},
		{"as it likes", [2]string{"list use_link 'link1'", ""}, "link2", "", false},
	} {
		l.Router.edit(t, c.edit[0], c.edit[1])
		if out, err := l.Router.reload(); err != nil {
			t.Errorf("%s: reload: %q, %v", c.what, out, err)
		}
		wait(1500 * time.Millisecond)
		before := l.Router.status(t)
		wait(2 * time.Second)
		after := l.Router.status(t)
		for _, link := range []string{"link1", "link2"} {
			a, _ := pathOf(before, link)
			b, _ := pathOf(after, link)
			up, down := b.UpBytes-a.UpBytes, b.DownBytes-a.DownBytes
			if link == c.over && (up < 25000 || down < 25000) || link == c.spared && (up > 18000 || down > 18000) { // 50 packets a second; acknowledgements go either way
				t.Errorf("%s: %s carried %d up, %d down", c.what, link, up, down)
			}
		}
		if dropped := after.Sessions[0].Drops["no_path"] - before.Sessions[0].Drops["no_path"]; c.dropping != (dropped > 50) {
			t.Errorf("%s: %d packets dropped for want of a path", c.what, dropped)
		}
	}
	if err := call.Wait(); err != nil {
		t.Fatal(err)
	}
}
