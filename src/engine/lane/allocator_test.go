package lane

import "testing"

func TestAllocator(t *testing.T) {
	a := NewAllocator()
	for i := range MaxLanes {
		id, next, ok := a.Acquire()
		if !ok || int(id) != i || next != 0 {
			t.Fatalf("lane %d: %d, %d, %v", i, id, next, ok)
		}
	}
	if _, _, ok := a.Acquire(); ok || a.InUse() != MaxLanes {
		t.Error("one lane too many")
	}
	a.Release(17, 1000)
	a.Release(4, 1<<SeqBits+5)
	if id, next, ok := a.Acquire(); !ok || id != 17 || next != 1000 {
		t.Errorf("got %d, %d", id, next)
	}
	if id, next, ok := a.Acquire(); !ok || id != 4 || next != 5 {
		t.Errorf("got %d, %d", id, next)
	}
}

// TestAllocatorRests: a returned lane is not the next one given away, nor are all 4096 gone through.
func TestAllocatorRests(t *testing.T) {
	a := NewAllocator()
	last, highest := map[uint16]int{}, uint16(0)
	for i := range 10000 {
		id, next, ok := a.Acquire()
		if !ok {
			t.Fatal("none left")
		}
		if before, used := last[id]; used && i-before <= restLanes {
			t.Fatalf("lane %d was used again after %d others", id, i-before)
		}
		last[id], highest = i, max(highest, id)
		a.Release(id, next+3)
	}
	if highest > 2*restLanes {
		t.Errorf("%d lanes for one flow at a time", highest)
	}
	if a.InUse() != 0 {
		t.Errorf("%d in use", a.InUse())
	}
}

func TestAllocatorReleasedTwice(t *testing.T) {
	for name, lane := range map[string]uint16{"twice": 0, "never acquired": 5, "no lane": MaxLanes} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			a := NewAllocator()
			id, _, _ := a.Acquire()
			a.Release(id, 0)
			a.Release(lane, 0)
		}()
	}
}
