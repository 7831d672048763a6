package engine

import (
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
)

// chaos does to a pair of tunnels what links, people and a hostile peer may do, step by step, and checks after each that
// time goes on; in the end that nothing leaked, that each packet came once, or not and is counted.
type chaos struct {
	*pair
	restarts bool // sessions and paths end
	small    bool // links may be too small for full packets
}

func (c *chaos) step() {
	l := c.links[c.rng.IntN(len(c.links))]
	router := c.sides[0]
	switch k := c.rng.IntN(100); {
	case k < 45:
		c.give(c.rng.IntN(2), uint16(c.rng.IntN(6)), 60+c.rng.IntN(1340), 1+c.rng.IntN(40))
	case k < 50:
		l.loss = float64(c.rng.IntN(4)) * 0.1
	case k < 54:
		l.jitter = time.Duration(c.rng.IntN(30)) * ms
	case k < 58:
		l.delay = time.Duration(1+c.rng.IntN(150)) * ms
	case k < 61 && c.small:
		l.limit = []int{2000, 1300, 1400, 1240}[c.rng.IntN(4)]
	case k < 64:
		l.double = float64(c.rng.IntN(2)) * 0.2
	case k < 70:
		l.cut = !l.cut
	case k < 74:
		c.sides[c.rng.IntN(2)].Carrier(c.now, c.rng.IntN(len(c.links)), c.rng.IntN(2) == 0)
	case k < 78:
		if len(router.Paths()) < MaxPaths {
			c.open(c.rng.IntN(len(c.links)))
		}
	case k < 82 && c.restarts:
		for _, s := range c.sides {
			if n := len(s.Paths()); n > 0 && c.rng.IntN(2) == 0 {
				s.LeavePath(c.now, s.Paths()[c.rng.IntN(n)].ID)
			}
		}
	case k < 84:
		c.sides[1].SetConfig([]byte{byte(c.rng.IntN(256))})
	case k < 86:
		c.sides[c.rng.IntN(2)].Notify(c.now, 1, "something")
	case k < 90:
		for _, p := range c.sides[c.rng.IntN(2)].Paths() {
			p.Busy = c.rng.IntN(2) == 0
		}
	case k < 93:
		for _, p := range router.Paths() {
			p.SetUse(path.Use{Metric: c.rng.IntN(3), Overflow: c.rng.IntN(2) == 0, Standby: c.rng.IntN(3) == 0, Metered: c.rng.IntN(3) == 0, Limit: int64(c.rng.IntN(2)) * 50_000})
		}
	case k < 96:
		c.garbage()
	case k < 97:
		l.addr = netip.AddrPortFrom(l.addr.Addr(), l.addr.Port()+1)
	case k < 98 && c.restarts:
		c.start()
		c.open(0)
	}
	c.run(time.Duration(c.rng.Int64N(int64(80 * ms))))
}

// garbage is what a broken peer might say, authentically.
func (c *chaos) garbage() {
	to := c.rng.IntN(2)
	if len(c.sides[to].Paths()) == 0 {
		return
	}
	p := c.sides[to].Paths()[c.rng.IntN(len(c.sides[to].Paths()))]
	frames := make([]byte, c.rng.IntN(300))
	for i := range frames {
		frames[i] = byte(c.rng.IntN(256))
	}
	if len(frames) > 0 {
		// Acknowledgements, lane frames and path closes would be believed: the peer may end what it likes. Data is not
		// from anybody the books know.
		frames[0] = []byte{0x02, 0x03, 0x04, 0x05, 0x06, 0x0E, 0x7F}[c.rng.IntN(7)]
	}
	if len(frames) > 20 {
		frames = frames[:20]
		for i := 9; i < len(frames); i++ {
			frames[i] = 0x7F
		}
	}
	if q := c.sides[1-to].Path(p.ID); q != nil {
		// Under a number that the other side has not used and will not use.
		n := q.Sent.Next()
		q.Sent.Sent(c.now, len(frames)+52, false, recovery.Payload{})
		c.inject(to, p.ID, n, frames)
	}
}

func runChaos(t testing.TB, seed uint64, steps int) {
	c := &chaos{pair: newPair(t, seed, 1+int(seed%3), func(p *Params) {
		p.Profile = []flowq.Profile{flowq.Balanced, flowq.Latency, flowq.Throughput}[seed/3%3]
		if seed%5 == 0 {
			p.RepairBytes, p.QueueBytes, p.LaneBytes = 30_000, 200_000, 100_000
		}
	})}
	c.restarts, c.small = seed%2 == 0, seed%4 > 1
	for range steps {
		c.step()
	}
	// All heals.
	for _, l := range c.links {
		*l = pairLink{delay: 10 * ms, limit: 2000, rate: 2_500_000, addr: l.addr}
	}
	for _, s := range c.sides {
		for _, p := range s.Paths() {
			p.Busy = false
		}
	}
	c.open(0)
	c.run(20 * time.Second)
	for i, s := range c.sides {
		if n := packetsQueued(s.Tunnel); n != 0 {
			t.Errorf("side %d: %d packets still wait on a good path: %s", i, n, s.reason(c.now))
		}
		if s.held != 0 {
			t.Errorf("side %d: %d bytes held for repair at rest", i, s.held)
		}
		c.accounted(i)
		// What was under way when its session or path ended may come again.
		if n := s.twice(); n > 0 && !c.restarts {
			t.Errorf("side %d: %d packets twice", i, n)
		}
	}
	c.close()
}

// Whatever happens, time goes on, nothing leaks, each packet comes at most once or is counted.
func TestChaos(t *testing.T) {
	for seed := range uint64(24) {
		runChaos(t, seed, 120)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzTunnels(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(seed, uint8(60))
	}
	f.Fuzz(func(t *testing.T, seed uint64, steps uint8) { runChaos(t, seed, int(steps)) })
}
