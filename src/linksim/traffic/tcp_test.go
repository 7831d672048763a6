package traffic

import (
	"testing"
)

func TestScratch(t *testing.T) {
	for _, w := range []string{"50M/20ms", "300M/8ms", "10M/20ms", "50M/320ms", "50M/20ms/0.5%", "50M/20ms/2%", "50M/20ms/j5ms", "50M/20ms/j5ms/reorder", "50M/20ms/j20ms", "50M/20ms/j1ms/reorder", "12M/40ms/q1s", "20M/50ms/j20ms/2%"} {
		s, r, p := tcp(0, nil)
		b := newBench(link(t, w), 1, p)
		b.run(13 * second)
		c, th, f := s.Window()
		sr, least := s.SRTT()
		t.Logf("%-24s %5.2f Mbit/s  1s %5.2f  cwnd %d/%d/%d srtt %v least %v %+v dup %d ooo %d gap %v reord %d steps %d", w, rate(r, 3*second, 13*second)/1e6, rate(r, 0, 2*second)/1e6, c, th, f, sr, least, s.Counters, r.Duplicates, r.OutOfOrder, r.LongestGap, s.reordering, s.rack.steps)
	}
}
