package node

import "testing"

// What all may use is divided so that each gets the same at most, and nobody is held back while there is some left.
func TestLevel(t *testing.T) {
	for _, c := range []struct {
		rate int64
		want []int64
		get  int64
	}{
		{100, nil, 100},
		{100, []int64{100}, 100},
		{100, []int64{100, 100}, 50},
		{100, []int64{10, 100}, 90},
		{100, []int64{0, 0, 0}, 100},
		{100, []int64{10, 20}, 100},
		{100, []int64{10, 40, 100, 100}, 30},
		{100, []int64{100, 25, 20, 100}, 27},
		{3, []int64{9, 9, 9, 9}, 1},
	} {
		if got := level(c.rate, append([]int64(nil), c.want...)); got != c.get {
			t.Errorf("%d among %v: %d, want %d", c.rate, c.want, got, c.get)
		}
	}
}
