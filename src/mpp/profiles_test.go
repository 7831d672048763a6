package mpp

import (
	"flag"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

var profile = flag.String("profile", "", "only profiles whose name contains this; all: every one. Default: those that are hard")

// hardProfiles are those that were ever missed.
var hardProfiles = []string{"rtt_320", "jit_20", "bw_10to1", "lte_geo", "congested", "stalling", "stalling_geo"}

func isChosen(name string) bool {
	if *profile == "" {
		return slices.Contains(hardProfiles, name)
	}
	return *profile == "all" || strings.Contains(name, *profile)
}

// A profile is two links as DESIGN.md has them: Mbit/s, milliseconds of round trip and of jitter, percent of loss. With
// stalls, each connection is held up for more than a round trip every so many seconds.
type profileLink struct{ rate, rtt, jitter, loss, stalls float64 }

var profiles = []struct {
	name string
	a, b profileLink
}{
	{"baseline", profileLink{50, 20, 0, 0, 0}, profileLink{50, 20, 0, 0, 0}},
	{"rtt_40", profileLink{50, 20, 0, 0, 0}, profileLink{50, 40, 0, 0, 0}},
	{"rtt_70", profileLink{50, 20, 0, 0, 0}, profileLink{50, 70, 0, 0, 0}},
	{"rtt_120", profileLink{50, 20, 0, 0, 0}, profileLink{50, 120, 0, 0, 0}},
	{"rtt_320", profileLink{50, 20, 0, 0, 0}, profileLink{50, 320, 0, 0, 0}},
	{"jit_5", profileLink{50, 20, 5, 0, 0}, profileLink{50, 20, 5, 0, 0}},
	{"jit_20", profileLink{50, 20, 20, 0, 0}, profileLink{50, 20, 20, 0, 0}},
	{"loss_05", profileLink{50, 20, 0, 0.5, 0}, profileLink{50, 20, 0, 0.5, 0}},
	{"loss_2", profileLink{50, 20, 0, 2, 0}, profileLink{50, 20, 0, 2, 0}},
	{"bw_4to1", profileLink{50, 20, 0, 0, 0}, profileLink{12, 20, 0, 0, 0}},
	{"bw_10to1", profileLink{100, 20, 0, 0, 0}, profileLink{10, 20, 0, 0, 0}},
	{"dual_lte", profileLink{40, 30, 5, 0.5, 0}, profileLink{25, 45, 8, 0.5, 0}},
	{"fiber_lte", profileLink{300, 8, 0, 0, 0}, profileLink{30, 40, 8, 0.5, 0}},
	{"lte_starlink", profileLink{40, 35, 8, 0, 0}, profileLink{100, 50, 25, 1, 0}},
	{"lte_geo", profileLink{40, 35, 0, 0, 0}, profileLink{20, 320, 20, 0.5, 0}},
	{"congested", profileLink{20, 50, 20, 2, 0}, profileLink{15, 60, 25, 2, 0}},
	{"stalling", profileLink{50, 20, 0, 0, 1}, profileLink{50, 20, 0, 0, 1}},
	{"stalling_geo", profileLink{40, 35, 0, 0, 0}, profileLink{20, 320, 0, 0, 1}},
}

// pipe is a TCP connection with bbr over the link: paced at its rate once it has grown to it, a loss holds all behind it
// up until it was sent again, jitter keeps the order.
func (l profileLink) pipe() pipeParams {
	ms := func(v float64) time.Duration { return time.Duration(v * 1e6) }
	p := pipeParams{rate: mbit(l.rate) * (1 - l.loss/100), delay: ms(l.rtt / 2), queue: 30 * time.Millisecond, jitter: ms(l.jitter), grows: true,
		stalls: time.Duration(l.stalls * 1e9)}
	if l.loss > 0 {
		p.hold = l.loss / 100 // of each packet of a record
	}
	return p
}

// steady is the goodput of one way after a start of three seconds and ten round trips of the longest link.
func steady(t *testing.T, pool int, links ...profileLink) (float64, *world) {
	start := 3 * time.Second
	var pipes []pipeParams
	for _, l := range links {
		pipes = append(pipes, l.pipe())
		start = max(start, 3*time.Second+time.Duration(10*l.rtt*1e6))
	}
	w := newWorld(t, 5, pool)
	w.sides[1].toSend = 1 << 40
	for _, p := range pipes {
		w.addLink(p)
	}
	const span = 4 * time.Second
	from := uint64(0)
	for time.Duration(w.now) < start+span {
		if time.Duration(w.now) < start {
			from = w.sides[0].received
		}
		w.step()
	}
	return float64(w.sides[0].received-from) / span.Seconds(), w
}

// TestProfiles: over the 16 profiles one connection gets 0.95 of what its links give alone, and never less than the
// better one, with the memory that a router has.
func TestProfiles(t *testing.T) {
	t.Logf("%-14s %8s %8s %8s %7s %7s %7s", "profile", "A alone", "B alone", "both", "of sum", "of best", "again %")
	worst := math.Inf(1)
	for _, p := range profiles {
		if !isChosen(p.name) {
			continue
		}
		const router = 32 << 20
		a, _ := steady(t, router, p.a)
		b, _ := steady(t, router, p.b)
		both, w := steady(t, router, p.a, p.b)
		n := w.sides[1].conn.Counts()
		t.Logf("%-14s %8.1f %8.1f %8.1f %7.3f %7.3f %7.2f", p.name, a*8e-6, b*8e-6, both*8e-6, both/(a+b), both/max(a, b), 100*float64(n.Again)/float64(n.Sent))
		if worst = min(worst, both/(a+b)); both < 0.95*(a+b) || both < max(a, b) {
			t.Errorf("%s: %.3f of the sum, %.3f of the better\n%v\n%v", p.name, both/(a+b), both/max(a, b), w.sides[0].conn, w.sides[1].conn)
		}
	}
	t.Logf("worst: %.3f of the sum", worst)
}
