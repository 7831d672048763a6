package congestion

// maxFilter is the maximum of the last two probe cycles: a cycle holds one probe, so a rate found by a
// probe outlives the quiet time until the next one (BBRv3, MaxBwFilter).
type maxFilter struct{ now, before int64 }

func (f *maxFilter) update(v int64) { f.now = max(f.now, v) }

func (f *maxFilter) get() int64 { return max(f.now, f.before) }

// advance starts a new cycle.
func (f *maxFilter) advance() {
	if f.now > 0 {
		f.before, f.now = f.now, 0
	}
}

// set forgets everything but v.
func (f *maxFilter) set(v int64) { f.now, f.before = v, 0 }
