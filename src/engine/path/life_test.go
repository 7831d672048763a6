package path

import (
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/wire"
)

var home = netip.MustParseAddrPort("198.51.100.1:6779")

// rig is a path and the receiver at its other end.
type rig struct {
	*Path
	t        testing.TB
	now      mono.Time
	received uint64
	others   mono.Time // when another path was heard
	rtt      time.Duration
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, now: begin, rtt: 40 * ms}
	r.Path = New(begin, Config{ID: 1, Overhead: 28, Datagram: 1450, Offset: &recovery.Offset{}})
	r.Peer.Trust(home)
	return r
}

// send sends datagrams of 1000 bytes and returns the first number.
func (r *rig) send(n int) uint64 {
	first := r.Sent.Next()
	for range n {
		r.OnSent(r.now, 1000, true, recovery.Payload{})
	}
	return first
}

// ack acknowledges numbers first to last.
func (r *rig) ack(first, last uint64) {
	r.t.Helper()
	r.received += (last - first + 1) * 1028
	f := wire.AckFrame{Path: 1, Received: r.received, ReceivedAt: r.now.Add(-r.rtt / 2).Micros()}
	f.AddRange(first, last)
	if _, ok := r.OnAck(r.now, &f); !ok {
		r.t.Fatalf("acknowledgement of %d..%d refused", first, last)
	}
}

// trip sends a datagram, lets a round trip pass, and acknowledges it.
func (r *rig) trip() {
	r.Refill(r.now)
	n := r.send(1)
	r.now = r.now.Add(r.rtt)
	r.ack(n, n)
}

// up brings the path up with a steady round trip of 40 ms.
func (r *rig) up() *rig {
	for range 60 {
		r.trip()
	}
	want(r.t, "state", r.State(), Up)
	return r
}

// silent lets time pass with the engine's timers until the state changes, and returns how long it took.
func (r *rig) silent(limit time.Duration) (after time.Duration, changed bool) {
	from, state := r.now, r.State()
	for r.now.Sub(from) < limit {
		next := mono.Min(r.NextCheck(r.now, r.others, begin), r.Sent.NextTimeout())
		r.now = mono.Max(r.now+1, mono.Min(next, from.Add(limit)))
		if r.now >= r.Sent.NextTimeout() {
			r.Timeout(r.now)
		}
		changed = r.Check(r.now, r.others) || changed
		r.Probe(r.now, begin)
		if r.State() != state {
			break
		}
	}
	return r.now.Sub(from), changed
}

func TestStateNames(t *testing.T) {
	for s, name := range map[State]string{Opening: "opening", Up: "up", Suspect: "suspect", Down: "down"} {
		want(t, "name", s.String(), name)
	}
}

// A new path is up with the first answer, and is not usable before, nor before its address is proven.
func TestOpening(t *testing.T) {
	r := newRig(t)
	want(t, "state", r.State(), Opening)
	want(t, "usable", r.Usable(), false)
	n := r.send(1)
	if changed := r.Check(r.now.Add(time.Hour), r.now); changed || r.State() != Opening {
		t.Error("an opening path was given up")
	}
	r.now = r.now.Add(40 * ms)
	r.ack(n, n)
	want(t, "state", r.State(), Up)
	want(t, "since", r.Since(), r.now)
	want(t, "usable", r.Usable(), true)
	r.Peer = Address{Remote: home}
	want(t, "usable with an unproven address", r.Usable(), false)
	want(t, "may send", r.CanSend(), false)
	want(t, "may send urgently", r.CanUrge(), false)
}

// Two datagrams unanswered for longer than 1.25 srtt + 4 var + the receiver's delay while others are heard: suspect.
func TestSuspect(t *testing.T) {
	r := newRig(t).up()
	limit := r.Sent.RTT.Smoothed()*5/4 + 4*r.Sent.RTT.Variation() + recovery.MaxAckDelay
	sent := r.now
	r.send(2)
	r.others = r.now.Add(ms)
	after, changed := r.silent(time.Second)
	want(t, "state", r.State(), Suspect)
	want(t, "told", changed, true)
	if after < limit || after > limit+ms {
		t.Errorf("suspect after %v, want %v", after, limit)
	}
	want(t, "usable", r.Usable(), false)
	want(t, "since", r.Since(), sent.Add(after))
}

// When every path is silent this host may have been stalled: 100 ms more.
func TestSuspectAllSilent(t *testing.T) {
	r := newRig(t).up()
	limit := r.silence()
	r.others = r.Sent.LastAck()
	r.send(2)
	after, _ := r.silent(time.Second)
	want(t, "state", r.State(), Suspect)
	if after < limit+stallGrace || after > limit+stallGrace+ms {
		t.Errorf("suspect after %v, want %v", after, limit+stallGrace)
	}
}

// One datagram alone, or none, proves nothing.
func TestOneUnansweredIsNoSuspicion(t *testing.T) {
	for count := range 2 {
		r := newRig(t).up()
		r.send(count)
		r.others = r.now.Add(ms)
		if _, changed := r.silent(5 * time.Second); changed || r.State() != Up {
			t.Errorf("%d unanswered: %v", count, r.State())
		}
	}
}

// A path that goes on answering is never suspect, however much is on the way.
func TestBusyPathIsNotSuspect(t *testing.T) {
	r := newRig(t).up()
	r.send(20)
	next := r.Sent.Next() - 20
	for range 2000 {
		r.send(1)
		r.now = r.now.Add(2 * ms)
		r.ack(next, next)
		next++
		r.others = r.now
		if r.Check(r.now, r.others) {
			t.Fatalf("suspect with the last answer %v ago", r.now.Sub(r.Sent.LastAck()))
		}
	}
}

// On a path that reorders one packet may be missing for long: while others are answered that is no silence.
func TestReorderingPathIsNotSuspect(t *testing.T) {
	r := newRig(t).up()
	n := r.send(1)
	r.now = r.now.Add(300 * ms)
	r.trip()
	r.ack(n, n+1)
	want(t, "reordering", r.Sent.Reordered(), 300*ms)
	sent := r.now
	r.send(1)
	for r.now.Sub(sent) < 200*ms {
		r.send(1)
		r.trip()
		r.others = r.now
		if r.Check(r.now, r.others) {
			t.Fatalf("suspect with the last answer %v ago", r.now.Sub(r.Sent.LastAck()))
		}
	}
	want(t, "oldest", r.Sent.Oldest(), sent)
}

// What comes on a path makes it likelier that it is only slow the other way.
func TestSuspectLaterWhileHeard(t *testing.T) {
	r := newRig(t).up()
	r.send(2)
	r.others = r.now.Add(ms)
	limit := r.silence()
	for r.State() == Up && r.now < begin.Add(time.Minute) {
		r.now = r.now.Add(ms)
		r.Rx.On(r.now, r.now, uint64(r.now), 100, false, true)
		r.Check(r.now, r.others)
	}
	after := r.now.Sub(r.Sent.Oldest())
	if after < limit*3/2+heardLately-ms || after > limit*3/2+heardLately+2*ms {
		t.Errorf("suspect after %v, want %v", after, limit*3/2+heardLately)
	}
}

// Suspect ends with any new answer, or after 3 PTO or a second with Down.
func TestSuspectEnds(t *testing.T) {
	r := newRig(t).up()
	r.send(2)
	r.others = r.now.Add(ms)
	r.silent(time.Second)
	r.Sent.Abandon()
	n := r.send(1)
	r.now = r.now.Add(10 * ms)
	r.ack(n, n)
	want(t, "answered", r.State(), Up)

	r = newRig(t).up()
	r.send(2)
	r.others = r.now.Add(ms)
	r.silent(time.Second)
	r.Sent.Abandon()
	after, changed := r.silent(2 * time.Second)
	want(t, "silent", r.State(), Down)
	want(t, "told again", changed, false)
	want(t, "after", after, min(3*r.Sent.RTT.PTO(), time.Second))

	slow := newRig(t)
	slow.rtt = 600 * ms
	slow.up()
	slow.send(2)
	slow.others = slow.now.Add(ms)
	slow.silent(5 * time.Second)
	after, _ = slow.silent(5 * time.Second)
	want(t, "silent on a slow path", slow.State(), Down)
	want(t, "after at most", after, time.Second)
}

// down fails the path and answers its probes until it is up again; it returns how long that took.
func (r *rig) recover(answer func(at mono.Time) bool) time.Duration {
	from := r.now
	type flight struct {
		n  uint64
		at mono.Time
	}
	var out []flight
	for r.State() != Up && r.now.Sub(from) < time.Minute {
		r.now = r.now.Add(ms)
		if r.Probe(r.now, begin) {
			if n := r.send(1); answer(r.now) {
				out = append(out, flight{n, r.now.Add(r.rtt)})
			}
		}
		for len(out) > 0 && out[0].at <= r.now {
			r.ack(out[0].n, out[0].n)
			out = out[1:]
		}
		if r.now >= r.Sent.NextTimeout() {
			r.Timeout(r.now)
		}
		r.Check(r.now, r.others)
	}
	return r.now.Sub(from)
}

func always(mono.Time) bool { return true }

// Down ends when two probes were answered over a round trip; one is not enough.
func TestRise(t *testing.T) {
	r := newRig(t).up()
	r.Fail(r.now)
	want(t, "state", r.State(), Down)
	r.Sent.Abandon()
	r.trip()
	want(t, "after one answer", r.State(), Down)
	// The probes come fast then.
	from := r.now
	r.recover(always)
	want(t, "state", r.State(), Up)
	if after := r.now.Sub(from); after < r.rtt/2 || after > 3*r.rtt {
		t.Errorf("up %v after the first answer", after)
	}
}

// Failing twice is one failure.
func TestFailTwice(t *testing.T) {
	r := newRig(t).up()
	r.Fail(r.now)
	since := r.Since()
	r.Fail(r.now.Add(ms))
	want(t, "since", r.Since(), since)
	want(t, "flips", r.flip, 1)
}

// Old answers do not raise a path: what was abandoned tells of the time before.
func TestLateAnswersDoNotRaise(t *testing.T) {
	r := newRig(t).up()
	n := r.send(10)
	r.Fail(r.now)
	r.Sent.Abandon()
	for i := range uint64(10) {
		r.now = r.now.Add(50 * ms)
		r.ack(n+i, n+i)
	}
	want(t, "state", r.State(), Down)
}

// The third fall within 30 s asks for 2 s of answers without a silence; falls far apart do not.
func TestFlapping(t *testing.T) {
	r := newRig(t).up()
	for i := range 3 {
		r.Fail(r.now)
		r.Sent.Abandon()
		took := r.recover(always)
		if i < 2 && took > time.Second {
			t.Errorf("fall %d: up after %v", i+1, took)
		}
		if i == 2 && (took < 2*time.Second || took > 3*time.Second) {
			t.Errorf("third fall: up after %v, want 2s of answers", took)
		}
		r.now = r.now.Add(5 * time.Second)
	}
	r.now = r.now.Add(time.Minute)
	for range 3 {
		r.Fail(r.now)
		r.Sent.Abandon()
		if took := r.recover(always); took > time.Second {
			t.Errorf("a fall in a while: up after %v", took)
		}
		r.now = r.now.Add(16 * time.Second)
	}
}

// Clean means answered throughout: a path that goes silent again within the 2 s begins anew.
func TestCleanHasNoSilence(t *testing.T) {
	r := newRig(t).up()
	for range 2 {
		r.Fail(r.now)
		r.Sent.Abandon()
		r.recover(always)
	}
	r.Fail(r.now)
	r.Sent.Abandon()
	from := r.now
	// Answers for 0.3 s in every second, for 10 s, then always.
	r.recover(func(at mono.Time) bool { return at.Sub(from) > 10*time.Second || at.Sub(from)%time.Second < 300*ms })
	if took := r.now.Sub(from); took < 12*time.Second {
		t.Errorf("up after %v, though it answered in pieces for 10s", took)
	}
}

// probes counts the probes of a quiet path over d, with the answers a path in its state gets.
func (r *rig) probes(d time.Duration, lastData mono.Time) (count int) {
	for until := r.now.Add(d); ; {
		at := r.NextCheck(r.now, r.others, lastData)
		if at > until {
			r.now = until
			return count
		}
		r.now = mono.Max(r.now, at)
		if !r.Probe(r.now, lastData) {
			r.t.Fatalf("woken at %v for no probe", at)
		}
		if r.Probe(r.now, lastData) {
			r.t.Fatal("two probes at once")
		}
		count++
	}
}

// How often a quiet path is probed, in each state.
func TestProbeIntervals(t *testing.T) {
	check := func(what string, got, want int) {
		t.Helper()
		if got < want-1 || got > want+1 {
			t.Errorf("%s: %d probes, want %d", what, got, want)
		}
	}
	r := newRig(t)
	check("opening, 2 s", r.probes(2*time.Second, begin), 21)
	check("opening, later", r.probes(10*time.Second, begin), 10)
	r = newRig(t).up()
	check("active", r.probes(10*time.Second, r.now), 20)
	r = newRig(t).up()
	r.Standby = true
	check("backup", r.probes(20*time.Second, r.now), 10)
	r = newRig(t).up()
	r.now = r.now.Add(time.Minute)
	r.trip()
	check("idle", r.probes(100*time.Second, begin), 4)
	r = newRig(t).up()
	r.Fail(r.now)
	check("down", r.probes(30*time.Second, r.now), 150)
	check("down for long", r.probes(60*time.Second, r.now), 60)
	r = newRig(t).up()
	r.enter(r.now, Suspect)
	r.Sent.Abandon()
	probed := 0
	for from := r.now; r.now.Sub(from) < 100*ms; r.now = r.now.Add(ms) {
		if r.Probe(r.now, begin) {
			probed++
		}
	}
	check("suspect, one per round trip", probed, 3)
}

// A probe asked for is due at once, and once.
func TestProbeNow(t *testing.T) {
	r := newRig(t).up()
	r.Probe(r.now, r.now)
	want(t, "due", r.Probe(r.now, r.now), false)
	r.ProbeNow()
	if r.NextCheck(r.now, r.others, r.now) > r.now {
		t.Error("not due at once")
	}
	want(t, "due", r.Probe(r.now, r.now), true)
	want(t, "due again", r.Probe(r.now, r.now), false)
}

// An address that is not known, or may not be sent to, is not probed, and nobody is woken for it.
func TestNoProbeWithoutAllowance(t *testing.T) {
	for what, a := range map[string]Address{"unknown": {}, "used up": {Remote: home, allowance: 99}} {
		r := newRig(t)
		r.Peer = a
		want(t, what, r.NextCheck(r.now, 0, r.now), mono.Never)
		want(t, what, r.Probe(r.now.Add(time.Hour), r.now), false)
	}
	r := newRig(t)
	r.Peer = Address{Remote: home, allowance: 100}
	want(t, "enough", r.Probe(r.now, r.now), true)
}

// The end of a burst is followed by a probe soon; what follows makes that needless.
func TestTail(t *testing.T) {
	r := newRig(t).up()
	pool := packet.NewPool(1)
	want(t, "nothing sent", r.TailAt(), mono.Never)
	r.OnSent(r.now, 1000, true, recovery.Payload{Buf: pool.Get()})
	at := r.TailAt()
	if wait := at.Sub(r.now); wait < 10*ms || wait > 40*ms {
		t.Errorf("tail probe after %v", wait)
	}
	r.OnSent(r.now, 60, false, recovery.Payload{})
	want(t, "an acknowledgement changes nothing", r.TailAt(), at)
	r.send(1)
	want(t, "followed", r.TailAt(), mono.Never)
}
