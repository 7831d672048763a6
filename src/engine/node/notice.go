package node

import (
	"slices"

	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
)

// notice is what the other side last said to people here. The zero value is ready.
type notice struct {
	text string
	at   mono.Time
}

// take keeps the newest text and returns those that were not told lately.
func (n *notice) take(now mono.Time, texts []string) (fresh []string) {
	for _, text := range texts {
		if text != n.current(now) {
			fresh = append(fresh, text)
		}
		n.text, n.at = text, now
	}
	return fresh
}

func (n *notice) current(now mono.Time) string {
	if now.Sub(n.at) > noticeLife {
		return ""
	}
	return n.text
}

// conflict finds out that two routers have one key: their processes take the session from each other. The zero value is ready.
type conflict struct {
	seen  []handshake.Instance // processes, the newest last
	swaps []swap
}

type swap struct {
	at   mono.Time
	back bool // to a process that was replaced before
}

// confirmed notes that a process got the session; it reports whether that makes or prolongs a conflict.
func (c *conflict) confirmed(now mono.Time, process handshake.Instance) bool {
	if n := len(c.seen); n > 0 && c.seen[n-1] == process {
		return false
	}
	at := slices.Index(c.seen, process)
	if len(c.seen) > 0 {
		c.swaps = append(c.swaps, swap{now, at >= 0})
	}
	if at >= 0 {
		c.seen = slices.Delete(c.seen, at, at+1)
	}
	c.seen = append(c.seen, process)
	// More than these bounds tell nothing more.
	c.seen = c.seen[max(0, len(c.seen)-2*conflictSwaps):]
	c.swaps = c.swaps[max(0, len(c.swaps)-2*conflictSwaps):]
	return c.stands(now)
}

// stands reports that two routers seem to use one key.
func (c *conflict) stands(now mono.Time) bool {
	swaps, back := 0, false
	for _, s := range c.swaps {
		if now.Sub(s.at) <= conflictWindow {
			swaps++
			back = back || s.back
		}
	}
	return swaps >= conflictSwaps && back
}
