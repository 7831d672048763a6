package mpp

import (
	"errors"
	"flag"
	"math/rand/v2"
	"testing"
	"time"
)

var transfers = flag.Int("transfers", 250, "how many transfers TestExact makes")

// TestExact moves random amounts over random pipes that are killed, frozen and replaced at random, with clients that
// read late, and compares what arrives.
func TestExact(t *testing.T) {
	var again, doubled, refused uint64
	kills, packs := 0, 0
	for seed := range uint64(*transfers) {
		w := randomWorld(t, seed)
		kills += w.chaos()
		if !w.done() {
			t.Fatalf("seed %d: not done at %v after %d steps\n%v\n%v", seed, time.Duration(w.now), w.steps, w.sides[0].conn, w.sides[1].conn)
		}
		if err := w.check(); err != nil {
			t.Fatalf("seed %d: %v\n%v\n%v", seed, err, w.sides[0].conn, w.sides[1].conn)
		}
		for _, s := range w.sides {
			n := s.conn.Counts()
			again, doubled, refused = again+n.Again, doubled+n.Doubled, refused+n.Refused
		}
		if err := w.leaks(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		packs += w.packs
	}
	t.Logf("%d transfers, %d subflows killed, %d times packed, %d bytes again, %d doubled, %d refused for want of memory", *transfers, kills, packs, again, doubled, refused)
	if kills == 0 || packs == 0 || again == 0 || doubled == 0 || refused == 0 {
		t.Error("the test does not test what it should")
	}
}

// randomWorld has one to four pipes, and sometimes a pool that is too small.
func randomWorld(t *testing.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 99))
	pool := 64 << 20
	if rng.IntN(4) == 0 {
		pool = BlockBytes * (1 + rng.IntN(12))
	}
	w := newWorld(t, seed, pool)
	for _, s := range w.sides {
		s.toSend = randomSize(rng)
		if rng.IntN(4) == 0 {
			longest := time.Duration(1+rng.IntN(300)) * time.Millisecond
			s.paused = func(r *rand.Rand) time.Duration {
				if r.IntN(50) > 0 {
					return 0
				}
				return time.Duration(r.Int64N(int64(longest)))
			}
		}
	}
	for range 1 + rng.IntN(4) {
		w.addLink(randomPipe(rng))
	}
	return w
}

func randomSize(rng *rand.Rand) int {
	switch rng.IntN(5) {
	case 0:
		return rng.IntN(3)
	case 1:
		return rng.IntN(20000)
	}
	return rng.IntN(1 << 20)
}

func randomPipe(rng *rand.Rand) pipeParams {
	return pipeParams{
		rate: mbit(1 + 99*rng.Float64()), delay: time.Duration(rng.IntN(150)) * time.Millisecond,
		queue: time.Duration(rng.IntN(100)) * time.Millisecond, hold: 0.05 * rng.Float64() * float64(rng.IntN(2)),
	}
}

// chaos runs a world to its end with random events, and returns how many subflows it killed.
func (w *world) chaos() (kills int) {
	rng := w.rng
	for end := w.now.Add(10 * time.Minute); !w.done() && w.now < end; {
		w.step()
		alive := 0
		for _, l := range w.links {
			if !l.dead {
				alive++
			}
		}
		switch rng.IntN(150) {
		case 0:
			if l := w.links[rng.IntN(len(w.links))]; !l.dead {
				w.kill(l)
				kills++
				alive--
			}
		case 1:
			d := w.links[rng.IntN(len(w.links))].dir[rng.IntN(2)]
			d.frozen = !d.frozen && alive > 1
		case 2:
			if alive < 5 {
				w.addLink(randomPipe(rng))
			}
		case 3: // at any time at all
			end, l := rng.IntN(2), w.links[rng.IntN(len(w.links))]
			w.sides[end].conn.Rest()
			l.seal[end].Rest()
			l.open[end].Rest()
		}
		if alive == 0 && rng.IntN(4) == 0 {
			w.addLink(randomPipe(rng))
		}
		for _, l := range w.links { // what is frozen for good dies
			if !l.dead && (w.sides[0].conn.Dead(w.now, l.id) || w.sides[1].conn.Dead(w.now, l.id)) {
				w.kill(l)
				kills++
			}
		}
	}
	return kills
}

// TestReset breaks connections off at random instants: both ends learn of it, and all memory comes back.
func TestReset(t *testing.T) {
	for seed := range uint64(200) {
		w := randomWorld(t, seed)
		w.sides[0].toSend, w.sides[1].toSend = 1<<30, 1<<30
		for range w.rng.IntN(300) {
			w.step()
		}
		by := w.rng.IntN(2)
		w.sides[by].conn.Reset(CodeAborted)
		if !w.run(10 * time.Second) {
			t.Fatalf("seed %d: not done\n%v\n%v", seed, w.sides[0].conn, w.sides[1].conn)
		}
		for i, s := range w.sides {
			var reset *ResetError
			if !errors.As(s.conn.Err(), &reset) || reset.Code != CodeAborted || reset.Remote == (i == by) {
				t.Fatalf("seed %d: side %d: %v", seed, i, s.conn.Err())
			}
		}
		if err := w.leaks(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestForged changes bytes under way at random: the subflow dies, the stream does not.
func TestForged(t *testing.T) {
	for seed := range uint64(100) {
		w := randomWorld(t, seed)
		bad := w.addLink(randomPipe(w.rng))
		after := w.rng.IntN(20)
		w.forge = func(l *link, _ int, b []byte) {
			if after--; l == bad && after < 0 {
				b[w.rng.IntN(len(b))] ^= 1 << w.rng.IntN(8)
			}
		}
		if w.run(5 * time.Minute); !w.done() || w.check() != nil {
			t.Fatalf("seed %d: done %v: %v\n%v\n%v", seed, w.done(), w.check(), w.sides[0].conn, w.sides[1].conn)
		}
	}
}
