package path

import (
	"math/rand/v2"
	"testing"
)

// search runs the search on a path that carries up to real, and returns the probes it took.
func search(t *testing.T, m *MTU, real int) (probes int) {
	t.Helper()
	for {
		size := m.Next()
		if size == 0 {
			return probes
		}
		if probes++; probes > 40 {
			t.Fatalf("no end of probing: at %d with %d, path carries %d", m.Size(), size, real)
		}
		if again := m.Next(); again != 0 {
			t.Fatalf("a second probe of %d while %d is out", again, size)
		}
		if size <= m.Size() || size > m.want {
			t.Fatalf("probes %d, proven %d, wanted %d", size, m.Size(), m.want)
		}
		if size <= real {
			m.Proved(size)
		} else {
			m.ProbeLost(size)
		}
	}
}

// Whatever the path carries is found to within a step, without asking again for what was refuted.
func TestMTUSearch(t *testing.T) {
	for real := MinMTU; real <= 1500; real++ {
		m := NewMTU(1450)
		probes := search(t, &m, real)
		if m.Size() > max(real, MinMTU) || m.Size() < min(real, 1450)-mtuStep {
			t.Fatalf("path of %d: found %d", real, m.Size())
		}
		if real >= 1450 && (m.Size() != 1450 || probes != 1) {
			t.Fatalf("path of %d: found %d with %d probes", real, m.Size(), probes)
		}
		// Each halving costs one probe that arrives or three that do not.
		if probes > 3*5 {
			t.Errorf("path of %d: %d probes", real, probes)
		}
	}
}

// A size is given up only after three losses, and a success of it in between counts.
func TestMTUTries(t *testing.T) {
	m := NewMTU(1450)
	for range 2 {
		want(t, "probe", m.Next(), 1450)
		m.ProbeLost(1450)
	}
	want(t, "third try", m.Next(), 1450)
	m.ProbeLost(1400) // not the one that is out
	want(t, "still out", m.Next(), 0)
	m.Proved(1450)
	want(t, "size", m.Size(), 1450)
	want(t, "done", m.Next(), 0)
}

// What wants less than every path carries needs no probe.
func TestMTUSmall(t *testing.T) {
	m := NewMTU(1000)
	want(t, "size", m.Size(), 1000)
	want(t, "probe", m.Next(), 0)
	m.TooBig(900)
	want(t, "size", m.Size(), 1000)
	want(t, "probe", m.Next(), 0)
}

// The host's own word refutes at once and lowers what was proven.
func TestMTUTooBig(t *testing.T) {
	m := NewMTU(1450)
	search(t, &m, 1450)
	m.TooBig(1450)
	want(t, "size", m.Size(), MinMTU)
	search(t, &m, 1420)
	if m.Size() < 1420-mtuStep || m.Size() > 1420 {
		t.Errorf("found %d of 1420", m.Size())
	}
	was := m.Size()
	m.TooBig(1440)
	want(t, "size untouched by a refusal above it", m.Size(), was)
}

// RFC 8899 section 4.3: full packets lost in a row mean a black hole; then the search begins again.
func TestMTUBlackHole(t *testing.T) {
	m := NewMTU(1450)
	search(t, &m, 1450)
	for i := range blackHoleLosses {
		want(t, "shrunk", m.Lost(1450, 0), i == blackHoleLosses-1)
	}
	want(t, "size", m.Size(), MinMTU)
	search(t, &m, 1300)
	if m.Size() < 1300-mtuStep || m.Size() > 1300 {
		t.Errorf("found %d of 1300", m.Size())
	}
	for range 100 {
		if m.Lost(MinMTU, 0) || m.Lost(200, 0) {
			t.Fatal("small packets shrank the MTU")
		}
	}
}

// Ordinary loss is no black hole: a full packet that arrives clears the count, also one that is shorter by a header.
func TestMTUOrdinaryLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, less := range []int{0, 5, 42} {
		m := NewMTU(1450)
		search(t, &m, 1450)
		for range 100_000 {
			if rng.IntN(20) == 0 {
				if m.Lost(1450-less, 65536/20) {
					t.Fatalf("5 %% loss of packets %d below the largest is taken for a black hole", less)
				}
			} else {
				m.Proved(1450 - less)
			}
		}
		want(t, "size", m.Size(), 1450)
	}
}

// A path that loses half of everything is no black hole either, while one that swallows all full packets is found soon,
// whatever it lost before.
func TestMTUHeavyLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 1))
	m := NewMTU(1450)
	search(t, &m, 1450)
	for range 100_000 {
		if rng.IntN(2) > 0 {
			m.Proved(1450)
		} else if m.Lost(1450, 65536/2) {
			t.Fatal("half of the packets lost is taken for a black hole")
		}
	}
	share, n := int64(0), 1
	for ; !m.Lost(1450, share) && n < 100; n++ {
		share += (65536 - share) / 256 // as Path.learn reckons
	}
	if n > blackHoleLosses+2 {
		t.Errorf("a black hole takes %d packets", n)
	}
}

// What was refuted, be it by chance, is tried again after some packets, and seldomer each time.
func TestMTURaise(t *testing.T) {
	m := NewMTU(1450)
	search(t, &m, 1300)
	before := m.Size()
	for packets := mtuRaiseMin; packets <= mtuRaiseMax; packets *= 2 {
		for range packets - m.proofs - 1 {
			m.Proved(before)
		}
		want(t, "probe too soon", m.Next(), 0)
		m.Proved(before)
		if search(t, &m, 1300) == 0 || m.Size() > 1300 || m.Size() < before {
			t.Fatalf("after %d packets: no probe, or %d", packets, m.Size())
		}
		before = m.Size()
	}
	for range mtuRaiseMax {
		m.Proved(before)
	}
	search(t, &m, 1450)
	want(t, "the path carries more by now", m.Size(), 1450)
}
