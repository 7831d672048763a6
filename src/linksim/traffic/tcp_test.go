package traffic

import (
	"fmt"
	"math"
	"testing"
	"time"

	"mpproxy/src/linksim"
)

const share = 1448.0 / 1500 // of a link's rate that is TCP payload over IPv4

// transfer runs one connection over a plain link for 13 s.
func transfer(t testing.TB, words string, seed uint64) (*Sender, *Receiver, *bench) {
	s, r, p := tcp(0, nil)
	b := newBench(link(t, words), seed, p)
	b.run(13 * second)
	return s, r, b
}

func TestCleanLinksAreFull(t *testing.T) {
	for _, words := range []string{"50M/20ms", "300M/8ms", "12M/40ms/q1s", "20M/160ms", "1M/20ms", "50M/20ms/j5ms"} {
		s, r, b := transfer(t, words, 1)
		ceiling := float64(b.link.Up.Params().Rate) * share
		if got := rate(r, 3*second, 13*second); got < 0.98*ceiling || got > 1.005*ceiling {
			t.Errorf("%s: %.2f of %.2f Mbit/s, %+v", words, got/1e6, ceiling/1e6, s.Counters)
		}
		if s.Timeouts+s.Corrupt+r.Corrupt > 0 {
			t.Errorf("%s: %+v, %d corrupt", words, s.Counters, r.Corrupt)
		}
	}
}

// TestCalibration holds the model to what two Linux 6.18 kernels did (cubic, 13 s, TUN devices, this very link in
// between, live): goodput in the seconds 3 to 13, retransmissions, and the threshold after the last loss.
func TestCalibration(t *testing.T) {
	for _, k := range []struct {
		words                   string
		goodput                 float64 // Mbit/s
		retransmits, lo, hi     uint64
		threshold, tolThreshold int
		tolerance               float64
	}{
		{"20M/20ms", 19.31, 13, 8, 25, 140, 10, 0.02},
		{"20M/20ms/j5ms", 19.28, 15, 8, 40, 137, 15, 0.02},
		{"20M/160ms", 19.05, 265, 10, 400, 308, 60, 0.02},
		{"20M/20ms/j5ms/reorder", 18.35, 146, 30, 400, 0, 0, 0.1}, // three runs: 16.6 to 19.3, 103 to 202
		{"20M/20ms/0.5%", 7.34, 39, 25, 70, 0, 0, 0.35},           // the kernels' round trip was 26 ms, for the timers' sake
		{"20M/20ms/2%", 3.48, 78, 50, 120, 0, 0, 0.35},            // here too
		{"20M/50ms/j20ms/2%", 1.36, 30, 20, 60, 0, 0, 0.25},
	} {
		var goodput float64
		for seed := range uint64(3) {
			s, r, _ := transfer(t, k.words, seed)
			goodput += rate(r, 3*second, 13*second) / 3e6
			if s.Retransmits < k.lo || s.Retransmits > k.hi {
				t.Errorf("%s: %d retransmissions, Linux %d", k.words, s.Retransmits, k.retransmits)
			}
			if _, have, _ := s.Window(); k.threshold > 0 && (have < k.threshold-k.tolThreshold || have > k.threshold+k.tolThreshold) {
				t.Errorf("%s: threshold %d, Linux %d", k.words, have, k.threshold)
			}
		}
		if math.Abs(goodput/k.goodput-1) > k.tolerance {
			t.Errorf("%s: %.2f Mbit/s, Linux %.2f", k.words, goodput, k.goodput)
		}
	}
}

// TestRandomLoss checks against Mathis' formula, and that 0.5 % leaves a fifth of 50 Mbit/s.
func TestRandomLoss(t *testing.T) {
	for loss, words := range map[float64]string{0.005: "50M/20ms/0.5%", 0.02: "50M/20ms/2%"} {
		var sum float64
		for seed := range uint64(5) {
			_, r, _ := transfer(t, words, seed)
			sum += rate(r, 3*second, 13*second) / 5
		}
		mathis := 1448 * 8 / 0.0205 * math.Sqrt(1.5/loss)
		if sum < 0.7*mathis || sum > 1.2*mathis || sum > 50e6*share/5 {
			t.Errorf("%s: %.2f Mbit/s, Mathis %.2f", words, sum/1e6, mathis/1e6)
		}
	}
}

func TestTwoFlowsShare(t *testing.T) {
	_, r1, p1 := tcp(0, nil)
	_, r2, p2 := tcp(1, func(c *Config) { c.Start = 2 * second })
	b := newBench(link(t, "50M/20ms"), 1, p1, p2)
	b.run(40 * second)
	x, y := rate(r1, 10*second, 38*second), rate(r2, 8*second, 36*second)
	if x+y < 0.97*50e6*share || min(x, y) < 0.3*(x+y) {
		t.Errorf("%.2f and %.2f Mbit/s", x/1e6, y/1e6)
	}
}

// TestSlightReordering lets packets 0.24 ms apart overtake by 1 to 3 places.
func TestSlightReordering(t *testing.T) {
	s, r, _ := transfer(t, "50M/20ms/j300us/reorder", 1)
	if r.OutOfOrder < 10000 {
		t.Fatalf("%d out of order", r.OutOfOrder)
	}
	if got := rate(r, 3*second, 13*second); got < 0.97*50e6*share || s.Spurious > 20 {
		t.Errorf("%.2f Mbit/s, %+v", got/1e6, s.Counters)
	}
}

func TestSameSeedSameTransfer(t *testing.T) {
	run := func(seed uint64) string {
		s, r, _ := transfer(t, "20M/50ms/j20ms/2%", seed)
		return fmt.Sprint(s.Counters, r.Series)
	}
	if first, again := run(1), run(1); first != again {
		t.Error("the same seed gives two runs")
	}
	if run(1) == run(2) {
		t.Error("two seeds give the same run")
	}
}

// short runs a transfer of n bytes over a 50M/20ms link after change, and returns when it was done.
func short(t *testing.T, n int64, change func(b *bench, up, down *linksim.Params)) (*Sender, *Receiver, time.Duration) {
	t.Helper()
	s, r, p := tcp(0, func(c *Config) { c.Bytes = n })
	b := newBench(linksim.Params{}, 1, p)
	up, down := link(t, "50M/20ms"), link(t, "50M/20ms")
	change(b, &up, &down)
	b.link.Up.Set(0, up)
	b.link.Down.Set(0, down)
	for at := ms; at < 60*second; at += ms {
		if b.run(at); s.Done() {
			if r.Delivered() != n || s.Acknowledged() != n || s.NextTimeout() < 1<<62 || s.board.out()+s.board.inFlight() != 0 {
				t.Errorf("done with %d of %d, acknowledged %d, timer %d", r.Delivered(), n, s.Acknowledged(), s.NextTimeout())
			}
			return s, r, at.Sub(0)
		}
	}
	t.Fatalf("%d of %d after 60 s: %+v", r.Delivered(), n, s.Counters)
	return nil, nil, 0
}

func TestShortTransfers(t *testing.T) {
	for _, n := range []int64{1, 1448, 1449, 14480, 1e6} {
		s, _, took := short(t, n, func(*bench, *linksim.Params, *linksim.Params) {})
		if s.Retransmits+s.Probes > 0 || n <= 14480 && took > 50*time.Millisecond {
			t.Errorf("%d bytes took %v, %+v", n, took, s.Counters)
		}
	}
}

func TestOneLossCostsOneRoundTrip(t *testing.T) {
	_, _, clean := short(t, 5e6, func(*bench, *linksim.Params, *linksim.Params) {})
	s, r, took := short(t, 5e6, func(_ *bench, up, _ *linksim.Params) { up.LoseList = []uint64{2000} })
	if s.Retransmits != 1 || s.Recoveries != 1 || s.Timeouts+s.Probes+s.Spurious+r.Duplicates != 0 || took > clean+100*time.Millisecond {
		t.Errorf("%v against %v, %+v", took, clean, s.Counters)
	}
}

func TestTailLossIsProbed(t *testing.T) {
	// SYN, acknowledgement, then 20 segments: the last is packet 21.
	s, _, took := short(t, 20*1448, func(_ *bench, up, _ *linksim.Params) { up.LoseList = []uint64{21} })
	if s.Probes != 1 || s.Timeouts != 0 || took > 420*time.Millisecond { // with one out, 200 ms for a delayed acknowledgement
		t.Errorf("%v, %+v", took, s.Counters)
	}
	// The last two: the probe tells of the other.
	s, _, took = short(t, 20*1448, func(_ *bench, up, _ *linksim.Params) { up.LoseList = []uint64{20, 21} })
	if s.Probes != 1 || s.Timeouts != 0 || s.Retransmits != 2 || took > 200*time.Millisecond {
		t.Errorf("%v, %+v", took, s.Counters)
	}
	// The probe too: then the timeout.
	s, _, _ = short(t, 20*1448, func(_ *bench, up, _ *linksim.Params) { up.LoseList = []uint64{21, 22} })
	if s.Probes != 1 || s.Timeouts != 1 {
		t.Errorf("%+v", s.Counters)
	}
}

func TestHandshakeIsRepeated(t *testing.T) {
	for name, change := range map[string]func(*bench, *linksim.Params, *linksim.Params){
		"SYN":     func(_ *bench, up, _ *linksim.Params) { up.LoseList = []uint64{0} },
		"SYN-ACK": func(_ *bench, _, down *linksim.Params) { down.LoseList = []uint64{0} },
	} {
		if _, _, took := short(t, 1000, change); took < time.Second || took > 1100*time.Millisecond {
			t.Errorf("%s lost: %v", name, took)
		}
	}
}

func TestLossOfARetransmission(t *testing.T) {
	s, _, _ := short(t, 3e6, func(_ *bench, up, _ *linksim.Params) {
		up.Outages = []linksim.Window{{From: 200 * ms, To: 215 * ms}}
		up.Loss = 0.05
	})
	if s.Retransmits < 20 {
		t.Errorf("%+v", s.Counters)
	}
}

func TestOutageEndsWithTimeouts(t *testing.T) {
	s, r, p := tcp(0, nil)
	b := newBench(link(t, "50M/20ms"), 1, p)
	b.run(3 * second)
	b.link.Cut(b.now)
	b.run(5 * second)
	if s.Timeouts < 2 || s.Timeouts > 4 || s.state != caLoss {
		t.Errorf("in 2 s of silence: %+v", s.Counters)
	}
	b.link.Restore(b.now)
	b.run(12 * second)
	if got := rate(r, 8*second, 12*second); got < 0.95*50e6*share {
		t.Errorf("%.2f Mbit/s afterwards", got/1e6)
	}
}

func TestSpuriousTimeoutIsUndone(t *testing.T) {
	s, _, p := tcp(0, nil)
	slow, fast := link(t, "50M/1200ms/q1s"), link(t, "50M/20ms/q1s")
	b := newBench(fast, 1, p)
	b.run(second)
	before, _, _ := s.Window()
	b.link.Up.Set(b.now, slow)
	b.run(b.now + 900*ms)
	if s.Timeouts == 0 || s.Undos == 0 || s.Retransmits > 20 {
		t.Errorf("%+v", s.Counters)
	}
	if after, _, _ := s.Window(); after < before {
		t.Errorf("window %d, was %d", after, before)
	}
}

func TestECN(t *testing.T) {
	s, r, p := tcp(0, func(c *Config) { c.ECN = true })
	b := newBench(link(t, "50M/20ms/q1s"), 1, p)
	marked, answered := 0, uint64(0)
	b.tap = func(up bool, pkt []byte) {
		if up && pkt[20+13]&(flagCWR|flagSYN) == flagCWR {
			answered++
		}
		if up && pkt[1]&ecnMask == ecnECT0 && b.link.Up.Queued(b.now) > 50e6/8/50 { // 20 ms
			pkt[1] |= ecnCE
			check := fold(uint64(pkt[10])<<8 + uint64(pkt[11]) + 0xffff - 1) // one bit more in the sum, RFC 1624
			pkt[10], pkt[11] = byte(check>>8), byte(check)
			marked++
		}
	}
	b.run(10 * second)
	if got := rate(r, 3*second, 10*second); got < 0.95*50e6*share || s.Retransmits != 0 || s.ECNs < 3 || answered != s.ECNs || marked == 0 || r.Corrupt > 0 {
		t.Errorf("%.2f Mbit/s, %d marked, %d CWR, %d corrupt, %+v", got/1e6, marked, answered, r.Corrupt, s.Counters)
	}
	if smoothed, _ := s.SRTT(); smoothed > 60*time.Millisecond {
		t.Errorf("round trip %v: marks are to keep the queue short", smoothed)
	}
}

func TestIPv6(t *testing.T) {
	s, r, p := tcp(0, func(c *Config) {
		c.Local, c.Remote, c.MTU, c.DSCP = address("fd00::1", 40000), address("2001:db8::1", 443), 1400, 46
	})
	b := newBench(link(t, "20M/20ms/0.1%"), 1, p)
	b.run(5 * second)
	if s.MSS() != 1400-72 || r.Delivered() < 5e6 || s.Corrupt+r.Corrupt > 0 {
		t.Errorf("MSS %d, %d bytes, %+v", s.MSS(), r.Delivered(), s.Counters)
	}
}

func TestReceiverMTULimitsSegments(t *testing.T) {
	cfg := Config{Local: address("10.0.0.1", 1), Remote: address("10.0.0.2", 2), MTU: 1500}
	s, r := NewSender(cfg), NewReceiver(cfg.Remote, cfg.Local, 1300)
	b := newBench(link(t, "20M/20ms"), 1, pair{s, r})
	b.tap = func(_ bool, pkt []byte) {
		if len(pkt) > 1300 {
			t.Fatalf("%d bytes", len(pkt))
		}
	}
	b.run(second)
	if s.MSS() != 1248 || r.Delivered() == 0 {
		t.Errorf("MSS %d, %d bytes", s.MSS(), r.Delivered())
	}
}

func TestDamagedPacketsAreRefused(t *testing.T) {
	n := 0
	s, r, _ := short(t, 1e6, func(b *bench, _, _ *linksim.Params) {
		b.tap = func(_ bool, pkt []byte) {
			if n++; n%50 == 0 {
				pkt[n/50*7%len(pkt)] ^= 0x10
			}
		}
	})
	if s.Corrupt+r.Corrupt < 10 {
		t.Errorf("%d and %d", s.Corrupt, r.Corrupt)
	}
}

func TestEverySecondSegmentIsAcknowledged(t *testing.T) {
	_, r, b := transfer(t, "50M/20ms/q1s", 1)
	if got := float64(b.link.Down.Stats().Offered) / float64(b.link.Up.Stats().Delivered); r.OutOfOrder > 0 || math.Abs(got-0.5) > 0.01 {
		t.Errorf("%.3f acknowledgements per segment", got)
	}
}
