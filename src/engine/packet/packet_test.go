package packet

import "testing"

// lend takes n Bufs and gives them back.
func lend(t *testing.T, p *Pool, n int) {
	t.Helper()
	var bufs []*Buf
	for range n {
		b := p.Get()
		if b == nil {
			t.Fatalf("the pool has fewer than %d", n)
		}
		bufs = append(bufs, b)
	}
	for _, b := range bufs {
		b.Release()
	}
}

// TestTrimFollowsTheLoad: what a load uses stays, what it no longer needs goes by halves, and all can be had again.
func TestTrimFollowsTheLoad(t *testing.T) {
	p := NewPool(1000)
	lend(t, p, 1000)
	p.Trim()
	if p.made != 1000 {
		t.Fatalf("%d left after a load that used 1000", p.made)
	}
	for range 20 {
		lend(t, p, 100)
		p.Trim()
	}
	if p.made < 100 || p.made > 102 {
		t.Errorf("%d left after a load that uses 100", p.made)
	}
	if n := testing.AllocsPerRun(10, func() { lend(t, p, 100) }); n > 8 { // the list in lend
		t.Errorf("%v allocations for the steady load", n)
	}
	lend(t, p, 1000)
	if lent, limit := p.Lent(); lent != 0 || limit != 1000 {
		t.Errorf("lent %d of %d", lent, limit)
	}
	if p.Trim(); p.made != 1000 {
		t.Errorf("%d made, want the limit", p.made)
	}
}

// TestTrimWhileLent: Bufs that are out do not count as spare.
func TestTrimWhileLent(t *testing.T) {
	p := NewPool(10)
	held := []*Buf{p.Get(), p.Get(), p.Get()}
	p.Trim()
	p.Trim()
	for _, b := range held {
		b.Release()
	}
	if p.made != 3 {
		t.Errorf("%d made, want 3", p.made)
	}
}
