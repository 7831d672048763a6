package session

import (
	"math/rand"
	"testing"
)

func TestReplay(t *testing.T) {
	const w = ReplayWindow
	if w < 8192 {
		t.Fatal("the window is too small")
	}
	steps := []struct {
		number uint64
		want   Verdict
	}{
		{0, Fresh}, {0, Duplicate}, {1, Fresh}, {1, Duplicate}, {9, Fresh}, {8, Fresh}, {7, Fresh}, {7, Duplicate},
		{w, Fresh}, {w - 1, Fresh}, {w, Duplicate}, {w - 1, Duplicate}, {0, Old}, {1, Duplicate}, {2, Fresh}, {2, Duplicate},
		{w + 16, Fresh}, {16, Old}, {17, Fresh}, {w, Duplicate},
		{w * 4, Fresh}, {w * 3, Old}, {w*3 + 1, Fresh}, {w*4 - 5, Fresh}, {w*4 - 5, Duplicate}, {w * 4, Duplicate},
		{1 << 62, Fresh}, {1 << 62, Duplicate}, {1<<62 - w, Old}, {1<<62 - w + 1, Fresh}, {w * 4, Old},
	}
	var replay Replay
	for i, step := range steps {
		if got := replay.Judge(step.number); got != step.want {
			t.Errorf("step %d: %d is %d, want %d", i, step.number, got, step.want)
		}
		if replay.Accept(step.number) != (step.want == Fresh) {
			t.Errorf("step %d: Accept and Judge disagree", i)
		}
	}
}

// naiveReplay remembers everything.
type naiveReplay struct {
	seen     map[uint64]bool
	greatest uint64
}

func (n *naiveReplay) accept(number uint64) bool {
	if n.seen[number] || number+ReplayWindow <= n.greatest {
		return false
	}
	n.seen[number] = true
	n.greatest = max(n.greatest, number)
	return true
}

func TestReplayAgainstModel(t *testing.T) {
	for seed := range int64(20) {
		random := rand.New(rand.NewSource(seed))
		model := naiveReplay{seen: map[uint64]bool{}}
		var replay Replay
		at := int64(0)
		for range 20000 {
			switch random.Intn(100) {
			case 0:
				at += random.Int63n(3 * ReplayWindow)
			default:
				at += random.Int63n(4)
			}
			number := uint64(max(0, at-random.Int63n(int64(1)<<random.Intn(16))))
			if want := model.accept(number); replay.Accept(number) != want {
				t.Fatalf("seed %d: number %d: want %v", seed, number, want)
			}
		}
	}
}

func FuzzReplay(f *testing.F) {
	f.Add([]byte{1, 2, 3, 255, 128, 64})
	f.Add([]byte{255, 255, 255, 0, 0, 1, 1, 254})
	f.Fuzz(func(t *testing.T, steps []byte) {
		model := naiveReplay{seen: map[uint64]bool{}}
		var replay Replay
		at := uint64(0)
		for _, step := range steps {
			number := at - min(at, uint64(step&31)*1021)
			if step&0x80 != 0 {
				at += uint64(step&0x7F) * 131
				number = at
			}
			if want := model.accept(number); replay.Accept(number) != want {
				t.Fatalf("number %d: want %v", number, want)
			}
		}
	})
}
