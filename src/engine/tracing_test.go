package engine

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"mpproxy/src/engine/even"
)

// tracedLines keeps what a tunnel told.
type tracedLines struct {
	t     testing.TB
	lines []map[string]any
	keep  bool
	bytes int
}

func (l *tracedLines) Line(line []byte) {
	l.bytes += len(line)
	if !l.keep {
		return
	}
	var v map[string]any
	if err := json.Unmarshal(line, &v); err != nil {
		l.t.Errorf("%s: %v", line, err)
	}
	l.lines = append(l.lines, v)
}

// A trace tells every loss and repair, and its looks agree with the tunnel's own counters.
func TestTraceTellsWhatHappens(t *testing.T) {
	p := newBenchPair(t, 2, false, 100)
	out, in := &tracedLines{t: t, keep: true}, &tracedLines{t: t, keep: true}
	p.a.Trace(p.now, "there", out)
	p.b.Trace(p.now, "here", in)
	p.run(50000)
	p.a.Path(1).Fail(p.now)
	p.a.failed(p.now, p.a.Path(1))
	p.run(1000)
	p.a.ClosePath(p.now, 1)
	p.a.Trace(p.now, "", nil)
	seen, counts := len(out.lines), p.a.Counts()
	p.run(1000)
	want(t, "lines after the end", len(out.lines), seen)

	count := map[any]int{}
	last := map[any]map[string]any{}
	before := 0.0
	for _, l := range out.lines {
		if l["tunnel"] != "there" || l["time"].(float64) < before {
			t.Fatalf("out of place: %v", l)
		}
		before = l["time"].(float64)
		count[l["event"]]++
		last[l["event"]] = l
	}
	want(t, "begins", count["trace"], 1)
	want(t, "opens", count["open"], 2)
	want(t, "closes", count["close"], 1)
	want(t, "repairs told", count["repair"], int(counts.Repaired))
	want(t, "losses told", count["lost"], int(counts.Lost))
	if counts.Repaired < 100 || count["state"] == 0 {
		t.Errorf("told: %v", count)
	}
	if q := last["queue"]; q["sent_packets"].(float64) < 50000 || q["spread"].(float64) != 1 {
		t.Errorf("the last look at the queue: %v", q)
	}
	for _, name := range []string{"link", "rate", "bandwidth", "window", "flight", "queue", "delay", "rtt", "sent", "state"} {
		if _, ok := last["path"][name]; !ok {
			t.Errorf("a look at a path has no %s", name)
		}
	}
	held := 0.0
	for _, l := range in.lines {
		if l["event"] != "lanes" {
			continue
		}
		for _, n := range l["holds"].([]any) {
			held += n.(float64)
		}
	}
	if real := float64(p.b.LaneStats().Held); held < real*0.85 || held > real || real == 0 {
		t.Errorf("%v holds told of %v", held, real)
	}
	p.close()
}

// Told or not, the same happens: a trace changes nothing.
func TestTraceChangesNothing(t *testing.T) {
	run := func(traced bool) string {
		p := newBenchPair(t, 2, false, 50)
		if traced {
			p.a.Trace(p.now, "a", &tracedLines{t: t})
			p.b.Trace(p.now, "b", &tracedLines{t: t})
		}
		p.run(20000)
		defer p.close()
		return fmt.Sprint(p.now, p.sent, p.delivered, p.a.Counts(), p.b.Counts(), p.b.LaneStats())
	}
	want(t, "the run", run(true), run(false))
}

// A trace, too, allocates nothing per packet.
func TestTraceAllocatesNothing(t *testing.T) {
	p := newBenchPair(t, 2, true, 100)
	sink := &tracedLines{t: t}
	p.a.Trace(p.now, "a", sink)
	p.b.Trace(p.now, "b", sink)
	p.run(50000)
	before := sink.bytes
	if n := testing.AllocsPerRun(3, func() { p.run(5000) }); n > 1 {
		t.Errorf("%v allocations for 5000 packets", n)
	}
	if sink.bytes == before {
		t.Error("nothing was told: the test proves nothing")
	}
	p.close()
}

// BenchmarkTrace is BenchmarkTunnel without sealing, traced and not; compare both with a build before tracing.
func BenchmarkTrace(b *testing.B) {
	for _, traced := range []bool{false, true} {
		b.Run(fmt.Sprintf("traced=%v", traced), func(b *testing.B) {
			p := newBenchPair(b, 2, false, 200)
			p.run(20000)
			if traced {
				p.a.Trace(p.now, "a", &tracedLines{t: b})
				p.b.Trace(p.now, "b", &tracedLines{t: b})
			}
			b.ReportAllocs()
			b.ResetTimer()
			n := p.run(b.N)
			b.ReportMetric(float64(n)/max(b.Elapsed(), time.Nanosecond).Seconds(), "packets/s")
			p.close()
		})
	}
}

// What was kept for the sake of even delays is told, and counted over sessions.
func TestEvenedIsTold(t *testing.T) {
	p := newBenchPair(t, 1, false, 0)
	in := &tracedLines{t: t, keep: true}
	p.b.Trace(p.now, "here", in)
	p.run(1000)
	now := p.now
	for i := range 1000 {
		now = now.Add(time.Millisecond)
		p.b.delivered = p.b.even.OnTimeout(now, p.b.delivered)
		b := p.pool.Get()
		b.SetLen(100)
		b.Lane, b.Stamp, b.Stamped = 9, even.Stamp(now.Add(-time.Duration(i*37%50)*time.Millisecond)), true
		p.b.delivered = p.b.even.Push(now, b, p.b.delivered)
	}
	p.now = now.Add(time.Second)
	p.b.delivered = p.b.even.OnTimeout(p.now, p.b.delivered)
	least := p.b.Evened()
	p.run(20000)
	packets, took := 0.0, 0.0
	for _, l := range in.lines {
		if l["event"] == "lanes" {
			packets, took = packets+l["evened"].(float64), took+l["even_time"].(float64)
		}
	}
	s := p.b.Evened()
	if least.Packets < 100 || packets < float64(least.Packets) || packets > float64(s.Packets) || took < float64(least.Time)/1e6-1 || took > float64(s.Time)/1e6+1 {
		t.Errorf("told of %v packets, %v ms; counted %+v", packets, took, s)
	}
	p.b.Start(p.now, p.b.sending, p.b.ids)
	if p.b.Evened() != s {
		t.Errorf("in the next session %+v", p.b.Evened())
	}
	p.close()
}
