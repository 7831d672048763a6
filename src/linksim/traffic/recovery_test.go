package traffic

import "testing"

// inRecovery returns a sender with 100 segments out, the first of which is lost and has been sent again.
func inRecovery(t *testing.T) *Sender {
	s, _, _ := tcp(0, nil)
	var buf [2048]byte
	s.open, s.una, s.nxt, s.wndEnd, s.highSeq, s.cwnd = true, 1, 1, 1<<40, 1, 100
	s.rtt.sample(20_000_000, 1, 1)
	s.rtt.least = 20_000_000
	for s.Poll(second, buf[:]) > 0 {
	}
	if s.board.out() != 100 {
		t.Fatalf("%d out", s.board.out())
	}
	s.onAck(second+20*ms, s.blocks(1, 4))
	if s.state != caRecovery || s.ssthresh != 70 || s.Poll(second+20*ms, buf[:]) == 0 || s.Retransmits != 1 {
		t.Fatalf("state %d, threshold %d, %+v", s.state, s.ssthresh, s.Counters)
	}
	return s
}

// blocks returns an acknowledgement of nothing but segments [from, to) out of order.
func (s *Sender) blocks(from, to int) *segment {
	at := func(n int) uint64 { return 1 + uint64(n*s.mss) }
	seg := &segment{ack: s.una, flags: flagACK, window: 1 << 30, sackCount: 1}
	seg.sacks[0] = span{at(from), at(to)}
	return seg
}

// TestReductionIsProportional: seven segments go out for ten that arrive, evenly, and the window ends at 70.
func TestReductionIsProportional(t *testing.T) {
	s := inRecovery(t)
	var buf [2048]byte
	sent := 1
	for n := 4; n < 100; n++ {
		s.onAck(second+21*ms, s.blocks(n, n+1))
		burst := 0
		for s.Poll(second+21*ms, buf[:]) > 0 {
			burst++
		}
		sent += burst
		if want := 0.7 * float64(n); float64(sent) < want-2 || float64(sent) > want+2 || burst > 2 {
			t.Fatalf("%d sent after %d arrived, want %.0f, burst %d", sent, n, want, burst)
		}
	}
	s.onAck(second+42*ms, &segment{ack: 1 + 100*1448, flags: flagACK, window: 1 << 30})
	if s.state != caOpen || s.cwnd < 70 || s.cwnd > 71 {
		t.Errorf("state %d, window %d", s.state, s.cwnd)
	}
}

// TestDSACKUndoes: the receiver says that it had the segment already.
func TestDSACKUndoes(t *testing.T) {
	s := inRecovery(t)
	s.onAck(second+40*ms, &segment{ack: 1 + 100*1448, flags: flagACK, window: 1 << 30})
	if s.state != caOpen || s.cwnd != 70 {
		t.Fatalf("state %d, window %d", s.state, s.cwnd)
	}
	dup := s.blocks(0, 1)
	s.onAck(second+60*ms, dup)
	if s.cwnd < 100 || s.Undos != 1 || s.Spurious != 1 {
		t.Errorf("window %d, %+v", s.cwnd, s.Counters)
	}
}
