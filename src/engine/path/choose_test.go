package path

import (
	"testing"
	"time"

	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/recovery"
)

// A path has its own congestion control, or else the tunnel's, or else BBR; a change keeps what was known of the capacity.
func TestChooseCongestion(t *testing.T) {
	now := mono.Time(time.Hour)
	p := New(now, Config{ID: 1, Datagram: 1400, RTT: 40 * time.Millisecond, Bandwidth: 1e6, Offset: &recovery.Offset{}})
	if _, ok := p.CC.(*congestion.BBR); !ok || p.Congestion() != congestion.UseBBR {
		t.Fatalf("without a choice: %T", p.CC)
	}
	before := p.CC
	p.ChooseCongestion(now, congestion.UseBBR)
	p.ChooseCongestion(now, congestion.Default)
	if p.CC != before {
		t.Error("the same choice made a new controller")
	}
	p.ChooseCongestion(now, congestion.UseCubic)
	if _, ok := p.CC.(*congestion.Cubic); !ok {
		t.Fatalf("the tunnel's choice: %T", p.CC)
	}
	if got := p.CC.Bandwidth(); got == 0 {
		t.Error("the capacity was forgotten")
	}
	p.SetUse(Use{Congestion: congestion.UseNewReno})
	p.ChooseCongestion(now, congestion.UseCubic)
	if _, ok := p.CC.(*congestion.NewReno); !ok {
		t.Fatalf("the path's own choice: %T", p.CC)
	}
	p.SetUse(Use{})
	p.ChooseCongestion(now, congestion.UseCubic)
	if _, ok := p.CC.(*congestion.Cubic); !ok {
		t.Fatalf("the path's own choice taken back: %T", p.CC)
	}
}

func TestNewestSent(t *testing.T) {
	if got := newestSent(nil); got != 0 {
		t.Errorf("of none: %v", got)
	}
	if got := newestSent([]recovery.Packet{{Sent: 3}, {Sent: 9}, {Sent: 5}}); got != 9 {
		t.Errorf("%v, want 9", got)
	}
}
