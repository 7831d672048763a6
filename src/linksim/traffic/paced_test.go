package traffic

import (
	"testing"
	"time"

	"mpproxy/src/linksim"
)

func paced(change func(*PacedConfig)) (*PacedSource, *PacedSink, pair) {
	cfg := PacedConfig{Local: address("10.0.0.1", 5004), Remote: address("192.0.2.1", 5004), Rate: 50, Size: 200, DSCP: 46}
	if change != nil {
		change(&cfg)
	}
	s, r := NewPacedSource(cfg), NewPacedSink(cfg.Remote, cfg.Local)
	return s, r, pair{s, r}
}

func TestPacedStream(t *testing.T) {
	for _, host := range []string{"10.0.0.1", "fd00::1"} {
		s, r, p := paced(func(c *PacedConfig) {
			c.Local, c.Remote, c.Stop = address(host, 7), address(host, 8), 20*second
		})
		b := newBench(linksim.Params{Delay: 30 * time.Millisecond, LoseList: []uint64{5, 100, 101}}, 1, p)
		b.tap = func(_ bool, pkt []byte) {
			tos := pkt[1]
			if pkt[0]>>4 == 6 {
				tos = pkt[0]<<4 | pkt[1]>>4
			}
			if len(pkt) != 200 || tos != 46<<2 {
				t.Fatalf("%d bytes, tos %x", len(pkt), tos)
			}
		}
		b.run(30 * second)
		if s.Sent != 1000 || r.Lost(s.Sent) != 3 || len(r.Samples) != 997 || r.Late+r.Duplicates+r.Corrupt != 0 {
			t.Errorf("%d sent, %d lost, %+v", s.Sent, r.Lost(s.Sent), r.Samples[:1])
		}
		if got := r.Silence(second, 10*second); got != 60*time.Millisecond {
			t.Errorf("silence %v", got)
		}
		if got := r.Silence(second, 30*second); got != 10*time.Second-10*time.Millisecond {
			t.Errorf("silence to the end %v", got)
		}
		if lo, hi := r.Delay(0, 0, 30*second), r.Delay(1, 0, 30*second); lo != hi || lo != 30*time.Millisecond {
			t.Errorf("delay %v to %v", lo, hi)
		}
	}
}

func TestPacedDelays(t *testing.T) {
	s, r, p := paced(func(c *PacedConfig) { c.Rate = 1000 })
	b := newBench(linksim.Params{Delay: 50 * time.Millisecond, Jitter: 10 * time.Millisecond, Reorder: true, Loss: 0.1}, 1, p)
	b.run(20 * second)
	median, p95 := r.Delay(0.5, 0, 20*second), r.Delay(0.95, 0, 20*second)
	if (median-50*time.Millisecond).Abs() > time.Millisecond || (p95-66500*time.Microsecond).Abs() > time.Millisecond {
		t.Errorf("median %v, p95 %v", median, p95)
	}
	if share := float64(r.Lost(s.Sent)) / float64(s.Sent); share < 0.09 || share > 0.12 || r.Late < 1000 {
		t.Errorf("%.3f lost, %d late", share, r.Late)
	}
}

func TestPacedSinkCountsDuplicatesAndDamage(t *testing.T) {
	s, r, _ := paced(nil)
	var buf [1500]byte
	n := s.Poll(0, buf[:])
	if s.Poll(0, buf[:]) != 0 || s.NextTimeout() != 20*ms {
		t.Error("the second packet comes after 20 ms")
	}
	r.OnPacket(ms, buf[:n])
	r.OnPacket(2*ms, buf[:n])
	buf[n-1] ^= 1
	r.OnPacket(3*ms, buf[:n])
	r.OnPacket(3*ms, nil)
	if len(r.Samples) != 1 || r.Duplicates != 1 || r.Corrupt != 2 {
		t.Errorf("%+v", r)
	}
}
