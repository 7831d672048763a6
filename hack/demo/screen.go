package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// screen prints: on a terminal the latest line of a scene is drawn over, elsewhere every line stays.
type screen struct {
	out      *os.File
	terminal bool
	open     bool // a line that may be drawn over is on the terminal
}

func newScreen(out *os.File) *screen {
	_, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS)
	return &screen{out: out, terminal: err == nil}
}

// say prints a line that stays.
func (s *screen) say(format string, args ...any) {
	s.endLine()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// live prints a line that the next live line replaces.
func (s *screen) live(text string) {
	if !s.terminal {
		fmt.Fprintln(s.out, text)
		return
	}
	fmt.Fprintf(s.out, "\r\x1b[K%s", text)
	s.open = true
}

// endLine keeps what live drew last.
func (s *screen) endLine() {
	if s.open {
		fmt.Fprintln(s.out)
		s.open = false
	}
}

// barWidth is the length of a bar that stands for the sum of all links.
const barWidth = 30

// bar draws parts of a whole, each with its own sign.
func bar(parts []float64, whole float64) string {
	signs := []string{"█", "▓", "▒", "░"}
	var b strings.Builder
	width := 0
	for i, part := range parts {
		n := int(part/whole*barWidth + 0.5)
		n = max(0, min(n, barWidth-width))
		b.WriteString(strings.Repeat(signs[i%len(signs)], n))
		width += n
	}
	return b.String() + strings.Repeat("·", barWidth-width)
}
