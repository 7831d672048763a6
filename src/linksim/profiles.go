package linksim

import "time"

// Profile is a pair of links with a name, as the yardsticks use it. A and B hold for both directions of a link.
type Profile struct {
	Name string
	A, B Params
}

// Profiles returns the sixteen profiles of the most careful public report on multipath tunnels. Order is kept under
// jitter; set Reorder for the other kind.
func Profiles() []Profile {
	return []Profile{
		{"baseline", line(50, 20, 0, 0), line(50, 20, 0, 0)},
		{"rtt_40", line(50, 20, 0, 0), line(50, 40, 0, 0)},
		{"rtt_70", line(50, 20, 0, 0), line(50, 70, 0, 0)},
		{"rtt_120", line(50, 20, 0, 0), line(50, 120, 0, 0)},
		{"rtt_320", line(50, 20, 0, 0), line(50, 320, 0, 0)},
		{"jit_5", line(50, 20, 5, 0), line(50, 20, 5, 0)},
		{"jit_20", line(50, 20, 20, 0), line(50, 20, 20, 0)},
		{"loss_05", line(50, 20, 0, 0.5), line(50, 20, 0, 0.5)},
		{"loss_2", line(50, 20, 0, 2), line(50, 20, 0, 2)},
		{"bw_4to1", line(50, 20, 0, 0), line(12, 20, 0, 0)},
		{"bw_10to1", line(100, 20, 0, 0), line(10, 20, 0, 0)},
		{"dual_lte", line(40, 30, 5, 0.5), line(25, 45, 8, 0.5)},
		{"fiber_lte", line(300, 8, 0, 0), line(30, 40, 8, 0.5)},
		{"lte_starlink", line(40, 35, 8, 0), line(100, 50, 25, 1)},
		{"lte_geo", line(40, 35, 0, 0), line(20, 320, 20, 0.5)},
		{"congested", line(20, 50, 20, 2), line(15, 60, 25, 2)},
	}
}

// line is one direction of a link given as Mbit/s, round trip and jitter in ms, loss in percent.
func line(rate int64, roundTrip, jitter int, loss float64) Params {
	return Params{
		Rate:   rate * 1e6,
		Delay:  time.Duration(roundTrip) * time.Millisecond / 2,
		Jitter: time.Duration(jitter) * time.Millisecond,
		Loss:   loss / 100,
	}
}
