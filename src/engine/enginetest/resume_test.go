package enginetest

import (
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/linksim"
	"mpproxy/src/linksim/traffic"
)

// stream offers packets at a constant rate for a while, and tells how fast what it offers gets through.
type stream struct {
	w    *World
	port uint16
	rate float64 // bit/s
}

const streamSize = 1400

// run sends for d and returns how long it took until 0.9 of what is sent got through for a tenth of a second (d if never), and what
// was lost in the first second.
func (s *stream) run(d time.Duration) (took time.Duration, lost int) {
	w := s.w
	s.port++
	a, b := netip.AddrPortFrom(ClientAddr, s.port), netip.AddrPortFrom(ServerAddr, s.port)
	perSecond := s.rate / 8 / streamSize
	begin := w.Now
	source := traffic.NewPacedSource(traffic.PacedConfig{Local: b, Remote: a, Rate: perSecond, Size: streamSize, Start: begin, Stop: begin.Add(d)})
	sink := traffic.NewPacedSink(a, b)
	w.Server.Apps = append(w.Server.Apps, source)
	w.Router.Apps = append(w.Router.Apps, sink)
	w.Run(d + 300*time.Millisecond)
	w.Server.Apps, w.Router.Apps = w.Server.Apps[:len(w.Server.Apps)-1], w.Router.Apps[:len(w.Router.Apps)-1]
	return reached(sink.Samples, begin, d, 0.9*perSecond), missing(sink.Samples, int(perSecond))
}

// reached is when for the first time a tenth of a second brought as many packets as the rate asks for.
func reached(samples []traffic.Sample, begin mono.Time, d time.Duration, perSecond float64) time.Duration {
	const window = 100 * time.Millisecond
	need := int(perSecond * window.Seconds())
	for i := range samples {
		if i >= need && samples[i].At.Sub(samples[i-need].At) <= window {
			return samples[i].At.Sub(begin)
		}
	}
	return d
}

// missing is how many of the first n packets did not arrive.
func missing(samples []traffic.Sample, n int) int {
	came := 0
	for _, s := range samples {
		if s.Number < uint64(n) {
			came++
		}
	}
	return n - came
}

func resumeWorld(seed uint64) *stream {
	links := []Link{Same(params(50, 20*time.Millisecond, 0)), Same(params(50, 60*time.Millisecond, 0))}
	w := New(Config{Seed: seed, Links: links})
	w.Run(500 * time.Millisecond)
	return &stream{w: w, port: 5000, rate: 96e6}
}

// A link that lost its carrier is used fully again soon after it came back, though its path is a new one; the download's sender
// is the server, who remembers.
func TestResumeAfterCarrierLoss(t *testing.T) {
	for seed := range uint64(2) {
		s := resumeWorld(seed)
		s.run(4 * time.Second)
		cold, _ := resumeWorld(seed).run(4 * time.Second)
		s.w.Local.SetLink(s.w.Now, 1, node.Link{})
		s.w.Run(3 * time.Second)
		s.w.Local.SetLink(s.w.Now, 1, s.w.LinkConfig(1))
		s.w.Run(200 * time.Millisecond)
		took, lost := s.run(4 * time.Second)
		t.Logf("seed %d: %v after the return, %d lost; from nothing %v", seed, took, lost, cold)
		if took > 250*time.Millisecond || took > cold*3/4 || lost > 0 {
			t.Errorf("seed %d: %v after the return, %d lost; from nothing %v", seed, took, lost, cold)
		}
	}
}

// After an idle time the rate is used again soon; if the link became slower meanwhile, not much is lost.
func TestResumeAfterIdle(t *testing.T) {
	for _, slower := range []bool{false, true} {
		for seed := range uint64(2) {
			s := resumeWorld(seed)
			s.run(4 * time.Second)
			s.w.Run(15 * time.Second)
			if slower {
				s.w.Links[1].Down.Set(s.w.Now, linksim.Params{Rate: 10e6, Delay: 30 * time.Millisecond, Queue: 100 * time.Millisecond})
				s.rate = 56e6
			}
			took, lost := s.run(4 * time.Second)
			if took > 200*time.Millisecond || lost > 0 {
				t.Errorf("seed %d, slower %v: %v, %d lost in the first second", seed, slower, took, lost)
			}
		}
	}
}
