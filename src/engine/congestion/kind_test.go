package congestion

import (
	"fmt"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

func TestKinds(t *testing.T) {
	for k, want := range map[Kind]string{UseBBR: "*congestion.BBR", UseCubic: "*congestion.Cubic", UseNewReno: "*congestion.NewReno", UseNone: "*congestion.Inferred", Default: "*congestion.BBR"} {
		if got := fmt.Sprintf("%T", New(k, 1, time.Millisecond, 1)); got != want {
			t.Errorf("%v makes a %s", k, got)
		}
		if back, ok := ParseKind(k.String()); !ok || back != k || !k.Valid() {
			t.Errorf("%v is read as %v", k, back)
		}
	}
	if _, ok := ParseKind("vegas"); ok {
		t.Error("vegas is known")
	}
	if Kind(9).Valid() || Kind(9).String() != "unknown" {
		t.Error("kind 9 is known")
	}
	if Default.Or(UseCubic) != UseCubic || UseNewReno.Or(UseCubic) != UseNewReno {
		t.Error("Or")
	}
}

// No controller allocates or panics, whatever it is told.
func TestControllersTakeAnything(t *testing.T) {
	for k := Default; k.Valid(); k++ {
		c := New(k, 1, 0, 1)
		n := int64(1)
		allocs := testing.AllocsPerRun(5000, func() {
			n = n*6364136223846793005 + 1442695040888963407
			v := func(shift int) int64 { return n >> shift & 0xffff }
			c.OnAck(Sample{
				Now: 1 + c0(n), Acked: v(8), Lost: v(12) % 4000, Spurious: v(20) % 4000, AckedSent: c0(n), LostSent: c0(n * 3), Inflight: v(16),
				Rate: v(5) * v(9), SendRate: v(3) * 100, AppLimited: n&64 != 0, Round: n&256 != 0, RTT: time.Duration(v(4)) * 1000, Latest: time.Duration(v(7)) * 1000,
				MinRTT: time.Duration(v(2)) * 100, RoundQueue: time.Duration(v(1)) * 1000, Queue: time.Duration(v(1)) * 1000, Deviation: time.Duration(v(11)),
			})
			if n&0x30000 == 0 {
				c.OnIdle(c0(n), time.Duration(v(3))*time.Second)
				c.OnSilence(c0(n))
			}
			if c.Window() < MinWindowSlow/2 || c.PacingRate() <= 0 || c.Bandwidth() < 0 || c.State() == "" {
				t.Fatalf("%v: window %d, pace %d, bandwidth %d", k, c.Window(), c.PacingRate(), c.Bandwidth())
			}
		})
		if allocs > 0 {
			t.Errorf("%v allocates %v times per acknowledgement", k, allocs)
		}
	}
}

// c0 is some time.
func c0(n int64) mono.Time { return mono.Time(n >> 20 & 0xffffffff) }
