package enginetest

import (
	"fmt"
	"testing"
	"time"

	"mpproxy/src/linksim"
)

// The same seed gives the same run to the last packet, another seed another one.
func TestSameSeedSameRun(t *testing.T) {
	run := func(seed uint64) string {
		lossy := linksim.Params{Rate: 20e6, Delay: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Reorder: true, Loss: 0.01, Queue: 100 * time.Millisecond}
		w := New(Config{Seed: seed, Links: []Link{Same(lossy), Same(params(30, 15*time.Millisecond, 0.005)), Same(params(5, 80*time.Millisecond, 0))}})
		tcp, got := w.Bulk(true, 100*time.Millisecond)
		_, heard := call(w, false)
		w.Run(3 * time.Second)
		w.Links[1].Cut(w.Now)
		w.Run(3 * time.Second)
		return fmt.Sprint(got.Delivered(), tcp.Counters, heard.Samples, w.Server.Counts(), w.Router.Counts(), w.Server.Describe())
	}
	first, again, other := run(7), run(7), run(8)
	if first != again {
		t.Error("the same seed gives two runs")
	}
	if first == other {
		t.Error("two seeds give the same run: the test proves nothing")
	}
}
