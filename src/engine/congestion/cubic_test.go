package congestion

import (
	"math"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

// avoiding returns a CUBIC in congestion avoidance with a window of so many packets, and a sample that fills it.
func avoiding(packets float64) (*Cubic, Sample) {
	c := NewCubic(0, 50*ms)
	c.bytes, c.threshold = packets*MTU, MTU
	return c, Sample{Now: mono.Time(time.Second), Inflight: int64(packets * MTU), RTT: 50 * ms, MinRTT: 50 * ms}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > want/1000 {
		t.Errorf("%s: %.2f, want %.2f", what, got, want)
	}
}

// lose is the loss of a packet that was sent just now.
func lose(c *Cubic, s *Sample) {
	s.Now = s.Now.Add(100 * ms)
	s.Lost, s.LostSent = MTU, s.Now-1
	c.OnAck(*s)
	s.Lost, s.LostSent = 0, 0
}

// An event sets the middle of the curve to the window, or, where that is less than the last time, below it (RFC 9438, 4.7);
// taken back, all is as before.
func TestCubicFastConvergence(t *testing.T) {
	c, s := avoiding(100)
	lose(c, &s)
	near(t, "window after one", c.bytes/MTU, 70)
	near(t, "middle of the curve", c.most/MTU, 100)
	lose(c, &s)
	near(t, "window after two", c.bytes/MTU, 49)
	near(t, "middle of the curve below the window", c.most/MTU, 70*0.85)
	s.Spurious = MTU
	c.OnAck(s)
	near(t, "window after the second was none", c.bytes/MTU, 70)
	near(t, "middle of the curve then", c.most/MTU, 100)
}

// Beside Reno: the estimate of its window grows by 0.53 packets a round trip up to the window before the event, and by one from
// there (4.3); CUBIC's is no less.
func TestCubicBesideReno(t *testing.T) {
	c, s := avoiding(20)
	lose(c, &s)
	grow := func() (reno float64) {
		s.Now = s.Now.Add(50 * ms)
		s.Acked, s.Inflight = int64(c.bytes), int64(c.bytes)
		s.AckedSent = s.Now - 1
		before := c.reno
		if c.OnAck(s); c.bytes/MTU < c.reno-1e-6 {
			t.Fatalf("a window of %.2f, and Reno's is %.2f", c.bytes/MTU, c.reno)
		}
		return c.reno - before
	}
	grow()
	near(t, "growth below the window before", grow(), 3*0.3/1.7)
	for c.reno < 20 {
		grow()
	}
	near(t, "growth above it", grow(), 1)
}

// The curve goes from the window to its middle in the time that its difference asks for, and stays at a window that is beyond it.
func TestCubicCurve(t *testing.T) {
	c, s := avoiding(1000)
	lose(c, &s)
	s.Acked, s.Inflight, s.AckedSent = MTU, int64(c.bytes), s.Now+1
	s.Now = s.Now.Add(50 * ms)
	c.OnAck(s)
	near(t, "seconds to the middle", c.k, math.Cbrt(300/0.4))
	c, s = avoiding(1000)
	c.most = 500 * MTU
	s.Acked, s.AckedSent = MTU, s.Now
	c.OnAck(s)
	near(t, "middle of a curve that begins beyond it", c.most/MTU, 1000)
	if c.k != 0 {
		t.Errorf("%v seconds to the middle", c.k)
	}
}
