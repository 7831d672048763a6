package traffic

import (
	"testing"

	"mpproxy/src/engine/mono"
)

// lump gives a receiver n segments at once and returns how often it acknowledged, and what.
func lump(r *Receiver, n int) (acks int, last uint64) {
	r.open, r.next, r.start, r.quick, r.acked = true, 1, 1, 0, 1
	from := ends{local: r.ends.remote, remote: r.ends.local, quic: r.ends.quic}
	var buf [1500]byte
	poll := func() {
		for size := r.Poll(1, buf[:]); size > 0; size = r.Poll(1, buf[:]) {
			var s segment
			if s.parse(&from, buf[:size], 1, r.next) {
				acks, last = acks+1, s.ack
			}
		}
	}
	for i := range n {
		s := segment{flags: flagACK, seq: 1 + uint64(i)*100, payload: 100, ack: 1, stamp: 1}
		size := s.put(&from, buf[:])
		r.OnPacket(1, append([]byte(nil), buf[:size]...))
		poll()
	}
	for at := r.NextTimeout(); at < 20*mono.Time(inboxTime)*inboxPackets && at != mono.Never; at = r.NextTimeout() {
		r.OnTimeout(at)
		poll()
	}
	return acks, last
}

// TestALumpIsAcknowledgedInFewPieces: TCP answers every second segment, quic-go all that waited while it was busy.
func TestALumpIsAcknowledgedInFewPieces(t *testing.T) {
	tcp := NewReceiver(address("10.0.0.2", 1), address("10.0.0.1", 2), 1500)
	if acks, last := lump(tcp, 200); acks != 100 || last != 20001 {
		t.Errorf("TCP: %d acknowledgements, the last of %d", acks, last)
	}
	quic := NewReceiver(address("10.0.0.2", 1), address("10.0.0.1", 2), 1500)
	quic.LikeQUIC()
	if acks, last := lump(quic, 200); acks < 5 || acks > 9 || last != 20001 || quic.Drops() != 0 {
		t.Errorf("quic-go: %d acknowledgements, the last of %d, %d dropped", acks, last, quic.Drops())
	}
}

// TestALumpOverflows: beyond 256 packets in its queue quic-go drops what comes.
func TestALumpOverflows(t *testing.T) {
	r := NewReceiver(address("10.0.0.2", 1), address("10.0.0.1", 2), 1500)
	r.LikeQUIC()
	if _, last := lump(r, 300); r.Drops() != 43 || last != 1+257*100 { // one is being handled
		t.Errorf("%d dropped, acknowledged up to %d", r.Drops(), last)
	}
	if tcp := NewReceiver(address("10.0.0.2", 1), address("10.0.0.1", 2), 1500); tcp.Drops() != 0 {
		t.Error("TCP drops")
	}
}

// TestQUICGrowsOnlyWithAFullWindow: what is acknowledged while the window is not full does not count, but in slow start half of it
// is enough.
func TestQUICGrowsOnlyWithAFullWindow(t *testing.T) {
	for _, k := range []struct {
		threshold, flight, want int
	}{
		{50, 100, 101}, {50, 97, 101}, {50, 96, 100}, {50, 10, 100},
		{infinite, 100, 200}, {infinite, 51, 200}, {infinite, 50, 100},
	} {
		s := NewSender(Config{Local: address("10.0.0.1", 1), Remote: address("10.0.0.2", 2), MTU: 1500, Control: QUIC})
		s.cwnd, s.ssthresh = 100, k.threshold
		if s.quicControl(100, k.flight); s.cwnd != k.want {
			t.Errorf("threshold %d, %d on the way: the window is %d, want %d", k.threshold, k.flight, s.cwnd, k.want)
		}
	}
}

// TestQUICPacesFasterInSlowStart: twice the window per round trip, afterwards 1.25 times.
func TestQUICPacesFasterInSlowStart(t *testing.T) {
	for threshold, want := range map[int]float64{infinite: 2, 50: 1.25} {
		s := NewSender(Config{Local: address("10.0.0.1", 1), Remote: address("10.0.0.2", 2), MTU: 1500, Control: QUIC})
		s.cwnd, s.ssthresh, s.rtt.srtt = 100, threshold, 100e6
		s.paced(1e9, 1500)
		if got := s.pacer.rate * 0.1 / float64(100*s.mss); got < want*0.999 || got > want*1.001 {
			t.Errorf("threshold %d: %.3f windows per round trip, want %v", threshold, got, want)
		}
	}
}
