package main

import (
	"fmt"
	"time"

	"mpproxy/src/linksim"
)

// What a link's rate leaves for TCP payload at 1500 bytes a packet.
const (
	plainShare  = 1448.0 / 1500 // IP 20, TCP with timestamps 32
	tunnelShare = 0.92          // and outside IP 20, UDP 8, our header, frame and tag 30
)

// thresholds is what the demo holds the program to. Each is looser than the yardstick it stands for by what a busy
// machine and a short run cost.
var thresholds = struct {
	download, upload float64       // of the sum of ceilings
	used             float64       // of each link's rate: probes alone do not count as use
	back             float64       // of the sum, once a link is back
	backWithin       time.Duration // until then, with one cubic flow
	survivor         float64       // of what is left, after a cut
	silence          time.Duration // of a call when a link dies
	resent           uint64        // segments that the inner sender has to send again when a link dies
	broken           time.Duration // least silence of the control: else nothing was cut
}{
	download: 0.90, upload: 0.90,
	used: 0.5,
	back: 0.90, backWithin: 8 * time.Second,
	survivor: 0.85,
	silence:  300 * time.Millisecond,
	resent:   0,
	broken:   time.Second,
}

// ceiling is the TCP payload in bit/s that a link can carry inside the tunnel.
func ceiling(p linksim.Params) float64 { return float64(p.Rate) * (1 - p.Loss) * tunnelShare }

// line is one row of the table.
type line struct {
	what, value, wanted string
	ok, info            bool // info: no verdict
}

// table prints the rows and returns whether all are well.
func (s *show) table() bool {
	fmt.Printf("\n%-46s %-34s %-26s\n", "what", "measured", "wanted")
	well := true
	for _, l := range s.lines {
		verdict := "ok"
		switch {
		case l.info:
			verdict = ""
		case !l.ok:
			verdict, well = "FAILED", false
		}
		fmt.Printf("%-46s %-34s %-26s %s\n", l.what, l.value, l.wanted, verdict)
	}
	if well {
		fmt.Printf("\nverdict: all well, in %.0f s\n", time.Since(s.began).Seconds())
	} else {
		fmt.Printf("\nverdict: FAILED, in %.0f s\n", time.Since(s.began).Seconds())
	}
	return well
}

func (s *show) add(l line) { s.lines = append(s.lines, l) }

func mbit(rate float64) string { return fmt.Sprintf("%.1f Mbit/s", rate/1e6) }
