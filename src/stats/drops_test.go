package stats

import (
	"regexp"
	"sync"
	"testing"
)

func TestReasonNamesAreUnique(t *testing.T) {
	shape := regexp.MustCompile(`^[a-z][a-z_]*[a-z]$`)
	seen := map[string]Reason{}
	for r := Reason(0); int(r) < NumReasons; r++ {
		name := r.String()
		if !shape.MatchString(name) {
			t.Errorf("reason %d has the name %q", r, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("reasons %d and %d share the name %q", other, r, name)
		}
		seen[name] = r
	}
	if got := Reason(NumReasons).String(); got != "unknown_reason" || seen[got] != 0 {
		t.Errorf("a value that is no reason is called %q", got)
	}
}

func TestDropsCountPerReason(t *testing.T) {
	var a, b Drops
	a.Add(QueueFull, 2)
	a.Add(TunWriteError, 1)
	b.Add(QueueFull, 3)
	a.Merge(&b)
	if a[QueueFull] != 5 || a[TunWriteError] != 1 || a.Total() != 6 {
		t.Errorf("counts %d, %d, total %d; want 5, 1, 6", a[QueueFull], a[TunWriteError], a.Total())
	}
	m := a.Map()
	if len(m) != 2 || m["queue_full"] != 5 || m["tun_write_error"] != 1 {
		t.Errorf("map %v", m)
	}
	if m := new(Drops).Map(); m != nil {
		t.Errorf("map of no drops is %v, want nil", m)
	}
}

func TestDropsRefuseWhatIsNoReason(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("counting an unknown reason did not panic")
		}
	}()
	new(Drops).Add(Reason(NumReasons), 1)
}

func TestAtomicDropsCountFromSeveralGoroutines(t *testing.T) {
	var d AtomicDrops
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				d.Add(SocketOverflow, 2)
			}
		})
	}
	wg.Wait()
	snap := d.Snapshot()
	if snap[SocketOverflow] != 8000 || snap.Total() != 8000 || d.Load(SocketOverflow) != 8000 {
		t.Errorf("snapshot %d, total %d, load %d; want 8000", snap[SocketOverflow], snap.Total(), d.Load(SocketOverflow))
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	var d Drops
	var a AtomicDrops
	if n := testing.AllocsPerRun(100, func() { d.Add(CoDel, 1); a.Add(CoDel, 1) }); n != 0 {
		t.Errorf("%v allocations per count", n)
	}
}
