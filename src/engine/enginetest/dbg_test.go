package enginetest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func TestTraceDbg(t *testing.T) {
	for _, c := range append(Profiles(), Grid()...) {
		if c.Name != os.Getenv("CELL") {
			continue
		}
		w := New(Config{Seed: 1, Links: c.Links})
		snd, rcv := w.Bulk(true, 300*time.Millisecond)
		last := int64(0)
		w.Trace = func(w *World) {
			cw, ss, _ := snd.Window()
			rtt, _ := snd.SRTT()
			qc := w.Server.QueueCounts()
			line := ""
			for i, p := range w.Server.Paths() {
				st := w.Links[i].Down.Stats()
				_, n := p.Sent.Inflight()
				line += fmt.Sprintf(" [%s %s %.1f/%.1f q%.1f fl%.0f dev%.1f late%.0f srtt%.0f n%d/%d lost%d drop%d]", strings.TrimSpace(p.State().String()), p.CC.State(), float64(p.CC.Bandwidth())*8e-6, float64(p.Rate())*8e-6, float64(p.Queue(w.Now))/1e6, float64(p.Base())/1e6, ms(p.Sent.Delay.Deviation()), ms(p.Sent.Reordered()), ms(p.Sent.RTT.Smoothed()), n, p.CC.Window()/1500, p.Lost(), st.Overflow+st.Random)
			}
			t.Logf("%.1f %5.1fM back %d cw %d ss %d rtt %.0f drops %d rep %d gap %d %s", float64(w.Now-start)/1e9, float64(rcv.Delivered()-last)*8/1e5, w.Server.Backlog()/1000, cw, min(ss, 9999), ms(rtt), qc.DroppedDelay, w.Server.Counts().Repaired, w.Router.LaneStats().Gaps, line)
			last = rcv.Delivered()
		}
		w.Run(13 * time.Second)
	}
}
