package path

import (
	"testing"
	"time"

	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/wire"
)

// New data needs a usable path, room at the link's sender, the pacer's leave and a window; urgent data may go ahead of
// the pacer by 8 ms.
func TestCanSend(t *testing.T) {
	r := newRig(t).up()
	r.Refill(r.now)
	want(t, "may send", r.CanSend(), true)
	r.Busy = true
	want(t, "busy", r.CanSend(), false)
	want(t, "busy, urgent", r.CanUrge(), false)
	r.Busy = false
	r.Pace.Spend(int(r.Pace.credit) + 1)
	want(t, "paced", r.CanSend(), false)
	want(t, "paced, urgent", r.CanUrge(), true)
	r.Pace.Spend(int(r.Rate() * 8 / 1000))
	want(t, "far ahead, urgent", r.CanUrge(), false)
	r.Pace = Pacer{}
	for r.HasWindow() {
		r.send(1)
	}
	inflight, _ := r.Sent.Inflight()
	if left := r.CC.Window() - inflight; left < 0 || left >= congestion.MTU {
		t.Errorf("%d bytes of the window are left", left)
	}
	r.Pace = Pacer{}
	want(t, "no window", r.CanSend(), false)
	want(t, "no window, urgent", r.CanUrge(), true)
	for !r.Sent.Full() {
		r.OnSent(r.now, 1, true, recovery.Payload{})
	}
	r.Pace = Pacer{}
	want(t, "full, urgent", r.CanUrge(), false)
	r.Sent.Abandon()
	want(t, "empty, urgent", r.CanUrge(), true)
	r.Fail(r.now)
	want(t, "down, urgent", r.CanUrge(), false)
}

// The configured limit caps the rate, and only that.
func TestLimit(t *testing.T) {
	r := newRig(t)
	free := r.Rate()
	r.Limit = free / 2
	want(t, "capped", r.Rate(), free/2)
	r.Limit = free * 2
	want(t, "not capped", r.Rate(), free)
}

// Everything sent counts with its outer headers: in flight, for the pacer, for the allowance.
func TestOnSentAccounts(t *testing.T) {
	r := newRig(t)
	r.Peer = Address{Remote: home, allowance: 3000}
	r.OnSent(r.now, 1000, true, recovery.Payload{})
	r.OnSent(r.now, 500, false, recovery.Payload{})
	inflight, _ := r.Sent.Inflight()
	want(t, "in flight", inflight, 1028)
	want(t, "total", r.Sent.Total(), 1556)
	want(t, "credit", r.Pace.credit, -1556)
	want(t, "allowance", r.Peer.allowance, 3000-1556)
}

// A refused acknowledgement changes nothing of the path's life.
func TestRefusedAck(t *testing.T) {
	r := newRig(t)
	r.send(1)
	f := wire.AckFrame{}
	f.AddRange(0, 1)
	if _, ok := r.OnAck(r.now, &f); ok {
		t.Error("taken")
	}
	want(t, "state", r.State(), Opening)
}

// Loss is counted and its share smoothed.
func TestLossShare(t *testing.T) {
	r := newRig(t).up()
	pool := packet.NewPool(100)
	for range 2000 {
		first := r.Sent.Next()
		for range 10 {
			r.OnSent(r.now, 1000, true, recovery.Payload{Buf: pool.Get()})
		}
		r.now = r.now.Add(r.rtt)
		r.received += 10280
		f := wire.AckFrame{Received: r.received, ReceivedAt: r.now.Add(-r.rtt / 2).Micros()}
		f.AddRange(first+1, first+9) // one in ten is lost
		result, _ := r.OnAck(r.now, &f)
		for _, list := range [][]recovery.Packet{result.Acked, result.Lost} {
			for i := range list {
				list[i].Buf.Release()
			}
		}
	}
	want(t, "lost", r.Lost(), 2000)
	if share := float64(r.Loss()) / 65536; share < 0.08 || share > 0.12 {
		t.Errorf("share %.3f, want 0.1", share)
	}
	for range 3000 {
		r.trip()
	}
	if r.Loss() > 656 {
		t.Errorf("share %.4f after 3000 without loss", float64(r.Loss())/65536)
	}
}

// Losses of full data packets shrink the MTU, those of control packets say nothing.
func TestLostPacketAndMTU(t *testing.T) {
	r := newRig(t).up()
	search(t, &r.MTU, 1450)
	b := packet.NewPool(1).Get()
	for range 20 {
		r.LostPacket(&recovery.Packet{Wire: 1478})
		r.LostPacket(&recovery.Packet{Wire: 500, Payload: recovery.Payload{Buf: b}})
	}
	want(t, "size", r.MTU.Size(), 1450)
	for range blackHoleLosses {
		r.LostPacket(&recovery.Packet{Wire: 1478, Payload: recovery.Payload{Buf: b}})
	}
	want(t, "size after full packets were lost", r.MTU.Size(), MinMTU)
}

// Arrival: a longer way, more bytes and a debt to the pacer mean later; the deviation counts k times.
func TestArrival(t *testing.T) {
	r := newRig(t).up()
	r.Refill(r.now)
	base := r.Arrival(r.now, 100, 1)
	if more := r.Arrival(r.now, 1500, 1); more <= base {
		t.Errorf("1500 bytes arrive at %v, 100 at %v", more, base)
	}
	if twice := r.Arrival(r.now, 100, 2) - base; twice != r.Sent.Delay.Deviation() {
		t.Errorf("k adds %v, want the deviation %v", twice, r.Sent.Delay.Deviation())
	}
	old := r.Arrival(r.now.Add(3*time.Second), 100, 1)
	if old < base+10*ms {
		t.Errorf("a sample 3 s old: %v, young: %v", old, base)
	}
	r.Pace.Spend(int(r.Pace.credit) + int(r.Rate()/100))
	if late := r.Arrival(r.now, 100, 1) - base; late < 9*ms || late > 12*ms {
		t.Errorf("10 ms of debt make it %v later", late)
	}
}

// A path without a sample is not the first choice.
func TestArrivalUnknown(t *testing.T) {
	r := newRig(t)
	want(t, "base", r.Base(), 100*ms)
	if r.Arrival(r.now, 1500, 1) < 100*ms {
		t.Error("an unknown path arrives early")
	}
	p := New(begin, Config{Offset: &recovery.Offset{}, RTT: 20 * ms})
	if p.Rate() < congestion.InitialWindow*50*9/10 {
		t.Errorf("with a round trip of 20 ms known it paces at %d", p.Rate())
	}
}

// Restart forgets the capacity, not the path.
func TestRestart(t *testing.T) {
	r := newRig(t)
	r.Config.Bandwidth = 1e6
	r.Path = New(r.now, r.Config)
	r.Peer.Trust(home)
	r.up()
	if r.CC.Bandwidth() == 0 {
		t.Fatal("no estimate")
	}
	r.Restart(r.now)
	want(t, "estimate", r.CC.Bandwidth(), 0)
	want(t, "state of a restarted path", r.State(), Up)
	want(t, "round trip", r.Sent.RTT.Smoothed(), 40*ms)
}

// Timers of recovery reach the caller: what is lost by time, and probe timeouts.
func TestTimeout(t *testing.T) {
	r := newRig(t).up()
	n := r.send(2)
	r.now = r.now.Add(40 * ms)
	r.ack(n+1, n+1)
	r.now = r.Sent.NextTimeout()
	want(t, "lost", len(r.Timeout(r.now).Lost), 1)
	want(t, "counted", r.Lost(), 1)
	r.send(1)
	r.now = r.Sent.NextTimeout()
	want(t, "probe", r.Timeout(r.now).Probe, true)
}
