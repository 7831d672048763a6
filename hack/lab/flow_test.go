package lab

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFlowsAsAsked: each way has its own link, the sender's congestion control is the one asked for, the round trip is told,
// and a flow may begin at the router.
func TestFlowsAsAsked(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "20M/20ms"), Up: mustParse(t, "4M/20ms")})
	for d, rate := range map[Direction]float64{Down: 20e6, Up: 4e6} {
		for _, f := range []Flow{{Congestion: "bbr"}, {From: "router"}} {
			f.Direction, f.Length = d, 3*time.Second
			b, err := l.StartFlow(f)
			if err != nil {
				t.Fatal(err)
			}
			wait(f.Length / 2)
			uses := false
			for _, role := range []string{"client", "router", "server"} {
				out, err := run("", "ip", "netns", "exec", l.Namespace(role), "ss", "-Htin", "state", "established")
				if err != nil {
					t.Fatal(err)
				}
				uses = uses || sends(out, f.Congestion)
			}
			if !uses {
				t.Errorf("%v: no connection sends with %q", d, f.Congestion)
			}
			if err := b.Wait(); err != nil {
				t.Fatal(err)
			}
			from, to := b.Started.Add(time.Second), b.Started.Add(f.Length)
			if r := b.Rate(from, to) / (rate * plainShare); r < 0.85 || r > 1.02 {
				t.Errorf("%v %q: %.2f of the link", d, f.Congestion, r)
			}
			trips := b.Trips(from, to)
			if len(trips) < 10 {
				t.Fatalf("%v %q: %d round trips told", d, f.Congestion, len(trips))
			}
			if last := trips[len(trips)-1].Delay; last < 20*time.Millisecond || last > 150*time.Millisecond {
				t.Errorf("%v %q: round trip %v", d, f.Congestion, last)
			}
		}
	}
	if _, err := New(Options{Links: mustParse(t, "20M/20ms"), Up: mustParse(t, "4M/20ms,4M/20ms")}); err == nil {
		t.Error("two links up and one down are accepted")
	}
}

// sends reports whether one of the connections that ss lists, each with a line of facts that begins with its congestion control,
// has sent much, and with the one named.
func sends(list, congestion string) bool {
	if congestion == "" {
		congestion = DefaultCongestion
	}
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		if !slices.Contains(words, congestion) {
			continue
		}
		for _, word := range words {
			if digits, ok := strings.CutPrefix(word, "bytes_sent:"); ok && len(digits) > 5 {
				return true
			}
		}
	}
	return false
}
