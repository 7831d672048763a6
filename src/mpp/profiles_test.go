package mpp

import (
	"flag"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

var (
	simple = flag.Bool("simple", false, "connections that know their link's rate, not bbr")
	seed   = flag.Uint64("seed", 5, "of the profiles' chance")
	runs   = flag.Int("runs", 1, "of each profile, with other chance; the means count, as jitter makes of bbr's rate a matter of luck")
	late   = flag.Bool("late", false, "the other end's kernel acknowledges late what comes alone")
	narrow = flag.Bool("narrow", false, "sockets as the kernel has them by itself, with a tail by the acknowledged rate")
)

var profile = flag.String("profile", "", "only profiles whose name contains this; all: every one. Default: those that are hard")

// hardProfiles are those that were ever missed.
var hardProfiles = []string{"rtt_320", "bw_10to1", "lte_geo"}

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
	{"slow", profileLink{50, 20, 0, 0, 0}, profileLink{2, 200, 0, 0, 0}},
	{"stalling", profileLink{50, 20, 0, 0, 1}, profileLink{50, 20, 0, 0, 1}},
	{"stalling_geo", profileLink{40, 35, 0, 0, 0}, profileLink{20, 320, 0, 0, 1}},
}

// pipe is a TCP connection with bbr over the link. One with stalls is a simple one: paced at its rate once it has grown to it.
func (l profileLink) pipe() pipeParams {
	ms := func(v float64) time.Duration { return time.Duration(v * 1e6) }
	return pipeParams{rate: mbit(l.rate), delay: ms(l.rtt / 2), queue: 30 * time.Millisecond, jitter: ms(l.jitter), grows: true,
		hold: l.loss / 100, bbr: l.stalls == 0 && !*simple, wide: !*narrow, stalls: time.Duration(l.stalls * 1e9)}
}

// start is how long a connection over these links may take to find their rates.
func start(links ...profileLink) time.Duration {
	most := 3 * time.Second
	for _, l := range links {
		most = max(most, 3*time.Second+time.Duration(10*l.rtt*1e6))
	}
	return most
}

// alone is what a plain connection with bbr gets over one link.
func (l profileLink) alone(t *testing.T, seed uint64, start time.Duration) float64 {
	p := l.pipe()
	if !p.bbr {
		rate, _ := steady(t, seed, start, 32<<20, l)
		return rate
	}
	k := newKernel(p, rand.New(rand.NewPCG(seed, 3)))
	k.endless = true
	from := uint64(0)
	for now := mono.Time(1); time.Duration(now) < start+span(); now = mono.Max(now+1, k.run(now)) {
		if time.Duration(now) < start {
			from = k.base
		}
	}
	return float64(k.base-from) / span().Seconds()
}

// span is how long is measured: short where a test is to be quick.
func span() time.Duration {
	if *profile == "" {
		return 4 * time.Second
	}
	return 10 * time.Second
}

// steady is the goodput of one way after the start.
func steady(t *testing.T, seed uint64, start time.Duration, pool int, links ...profileLink) (float64, *world) {
	w := newWorld(t, seed, pool)
	w.sides[1].toSend = 1 << 40
	for _, l := range links {
		w.addLink(l.pipe())
	}
	from := uint64(0)
	for time.Duration(w.now) < start+span() {
		if time.Duration(w.now) < start {
			from = w.sides[0].received
		}
		w.step()
	}
	return float64(w.sides[0].received-from) / span().Seconds(), w
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
		from := start(p.a, p.b)
		var a, b, both float64
		var n Counts
		var w *world
		for run := range *runs {
			by := *seed + 2*uint64(run)
			var one float64
			one, w = steady(t, by, from, router, p.a, p.b)
			a, b, both = a+p.a.alone(t, by, from), b+p.b.alone(t, by+1, from), both+one
			n.Sent, n.Again = n.Sent+w.sides[1].conn.Counts().Sent, n.Again+w.sides[1].conn.Counts().Again
		}
		a, b, both = a/float64(*runs), b/float64(*runs), both/float64(*runs)
		t.Logf("%-14s %8.1f %8.1f %8.1f %7.3f %7.3f %7.2f", p.name, a*8e-6, b*8e-6, both*8e-6, both/(a+b), both/max(a, b), 100*float64(n.Again)/float64(n.Sent))
		if worst = min(worst, both/(a+b)); both < 0.95*(a+b) || both < max(a, b) {
			t.Errorf("%s: %.3f of the sum, %.3f of the better\n%v\n%v", p.name, both/(a+b), both/max(a, b), w.sides[0].conn, w.sides[1].conn)
		}
	}
	t.Logf("worst: %.3f of the sum", worst)
}
