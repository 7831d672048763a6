package lab

import (
	"slices"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

func TestCallStats(t *testing.T) {
	c := &Call{packets: [2]map[uint32]callRecord{{}, {}}}
	ms := func(n int) mono.Time { return mono.Time(1e9).Add(time.Duration(n) * time.Millisecond) }
	for i := range 100 { // every 20 ms, 10 ms on the way; 40..59 are lost, one arrives twice
		c.take(Up, uint32(i), ms(20*i), 0)
		if i < 40 || i >= 60 {
			c.take(Up, uint32(i), ms(20*i), ms(20*i+10))
		}
	}
	c.take(Up, 7, ms(140), ms(900))
	s := c.Stats(Up, ms(0), ms(2000))
	want := CallStats{Sent: 100, Lost: 20, Silence: 420 * time.Millisecond, P50: 10 * time.Millisecond, P95: 10 * time.Millisecond, Max: 10 * time.Millisecond}
	if s != want {
		t.Errorf("got %+v, want %+v", s, want)
	}
	if s := c.Stats(Up, ms(800), ms(1200)); s.Sent != 20 || s.Lost != 20 || s.Silence != 400*time.Millisecond-0 && s.Silence != 390*time.Millisecond {
		t.Errorf("inside the gap: %+v", s)
	}
	if s := c.Stats(Down, ms(0), ms(2000)); s.Sent != 0 || s.Silence != 2*time.Second {
		t.Errorf("nothing sent: %+v", s)
	}
}

func TestBulkRate(t *testing.T) {
	b := &Bulk{}
	at := func(n int) mono.Time { return mono.Time(1e9).Add(time.Duration(n) * sampleEvery) }
	for i := range 50 { // 1 Mbit/s for 20 samples, 8 Mbit/s after
		bytes := uint64(12_500)
		if i >= 20 {
			bytes = 100_000
		}
		b.samples = append(b.samples, sample{at(i), bytes})
	}
	if r := b.Rate(at(0), at(19)); r != 1e6 {
		t.Errorf("slow part: %.0f", r)
	}
	if r := b.Rate(at(25).Add(-time.Millisecond), at(40).Add(time.Millisecond)); r != 8e6 {
		t.Errorf("fast part: %.0f", r)
	}
	if d, ok := b.Reached(at(10), 7e6); !ok || d != 900*time.Millisecond {
		t.Errorf("reached after %v, %v", d, ok)
	}
	if d, ok := b.Reached(at(0), 9e6); ok {
		t.Errorf("reached a rate never seen after %v", d)
	}
}

// TestRatesBeginAtTheStart: a connection that took its time to begin is silent until then.
func TestRatesBeginAtTheStart(t *testing.T) {
	at := func(n int) mono.Time { return mono.Time(1e9).Add(time.Duration(n)*sampleEvery + 30*time.Millisecond) }
	b := &Bulk{Started: at(0)}
	for i := 5; i < 8; i++ {
		b.samples = append(b.samples, sample{at(i), 12_500})
	}
	if got := b.Rates(); !slices.Equal(got, []float64{0, 0, 0, 0, 1e6, 1e6, 1e6}) {
		t.Errorf("%v", got)
	}
}

func TestRetransmits(t *testing.T) {
	text := "Ip: A B\nIp: 1 2\nTcp: RtoAlgorithm OutSegs RetransSegs InErrs\nTcp: 1 200 17 0\n"
	if n, err := retransmits(text); n != 17 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := retransmits("Tcp: A\nTcp: 1\n"); err == nil {
		t.Error("found what is not there")
	}
}

func TestOwner(t *testing.T) {
	for name, want := range map[string]int{"mpp12-client": 12, "mpp7-": 7, "mpp-x": 0, "mppx-1": 0, "mpp12": 0, "other12-x": 0, "mpp-3-x": 0} {
		if pid, ok := ownerOf(name); ok != (want != 0) || ok && pid != want {
			t.Errorf("%s: %d, %v", name, pid, ok)
		}
	}
}

func TestSessionUp(t *testing.T) {
	for text, want := range map[string]bool{
		`{"sessions":[{"state":"up"}]}`: true, `{"sessions":[{"state":"connecting"}]}`: false, `{"sessions":[]}`: false, `up`: false, ``: false,
	} {
		if sessionUp(text) != want {
			t.Errorf("%s: want %v", text, want)
		}
	}
}
