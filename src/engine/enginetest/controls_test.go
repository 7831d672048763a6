package enginetest

import (
	"slices"
	"testing"

	"mpproxy/src/linksim/traffic"
)

// TestOtherControls holds what senders other than Linux's cubic get of two links: those that model the path by its shortest round
// trip, and those that leave slow start early and grow by a segment for each round trip.
func TestOtherControls(t *testing.T) {
	cells := Profiles()
	for _, k := range []struct {
		cell  string
		inner traffic.Control
		least float64 // of the sum
	}{
		{"baseline", traffic.BBR, 0.9},
		{"rtt_40", traffic.BBR, 0.9},
		{"rtt_70", traffic.BBR, 0.85},
		{"jit_20", traffic.BBR, 0.4}, // 0.07 while the luckiest packets went on at once
		{"jit_20 reorder", traffic.BBR, 0.4},
		{"loss_2", traffic.BBR, 0.9}, // 0.83
		{"baseline", traffic.QUIC, 0.95},
		{"loss_05", traffic.QUIC, 0.8},            // 0.66 while what a loss held back went on in one lump
		{"loss_2", traffic.QUIC, 0.85},            // 0.67
		{"fiber_lte reorder", traffic.QUIC, 0.75}, // 0.49 while the luckiest packet counted as what the path takes
		{"dual_lte reorder", traffic.QUIC, 0.8},   // 0.62
		{"congested reorder", traffic.QUIC, 0.8},  // 0.51
	} {
		t.Run(k.cell+" "+k.inner.String(), func(t *testing.T) {
			t.Parallel()
			c := cells[slices.IndexFunc(cells, func(c Cell) bool { return c.Name == k.cell })]
			c.Inner = k.inner
			var ratios []float64
			for seed := range uint64(3) { // when such a sender leaves slow start is luck: the median counts
				ratios = append(ratios, c.Run(seed+1, true).Ratio)
			}
			if slices.Sort(ratios); ratios[1] < k.least {
				t.Errorf("%.3f of the sum, want %v", ratios, k.least)
			}
		})
	}
}
