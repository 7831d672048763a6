package lab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mpproxy/src/engine/mono"
)

// Call is a running or past call.
type Call struct {
	Started mono.Time

	process *process
	mu      sync.Mutex
	packets [2]map[uint32]callRecord // by direction and sequence; under mu
}

// callRecord is what became of one packet; received 0 = not (yet).
type callRecord struct{ sent, received mono.Time }

// CallStats is what one direction of a call was like.
type CallStats struct {
	Sent, Lost    int
	Silence       time.Duration // longest time without a packet arriving
	P50, P95, Max time.Duration // one-way delay
}

// String says it in a few words.
func (s CallStats) String() string {
	return fmt.Sprintf("%d of %d packets lost, longest silence %d ms, delay %.1f ms (95%%: %.1f ms)",
		s.Lost, s.Sent, s.Silence.Milliseconds(), s.P50.Seconds()*1e3, s.P95.Seconds()*1e3)
}

// StartCall starts a call of the given length between client and server.
func (l *Lab) StartCall(length time.Duration) (*Call, error) {
	c := &Call{Started: Now(), packets: [2]map[uint32]callRecord{{}, {}}}
	number := l.bulks.addCall(c)
	line := func(text string) { l.bulks.take(text, Up) }
	p, err := startProgram(l.Namespace("client"), line, "call", strconv.FormatUint(number, 10), fmt.Sprint(length.Seconds()))
	if err != nil {
		return nil, err
	}
	c.process = p
	return c, nil
}

// Wait waits for the call's end, with the packets still under way then.
func (c *Call) Wait() error {
	<-c.process.ended
	if c.process.err != nil {
		return fmt.Errorf("call: %w: %s", c.process.err, strings.TrimSpace(c.process.errors.String()))
	}
	return nil
}

// take notes that a packet was sent or, with a time of arrival, received. Doubled packets count once.
func (c *Call) take(d Direction, sequence uint32, sent, received mono.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	record := c.packets[d][sequence]
	record.sent = sent
	if record.received.IsZero() {
		record.received = received
	}
	c.packets[d][sequence] = record
}

// Stats returns what happened to the packets sent in [from, to).
func (c *Call) Stats(d Direction, from, to mono.Time) CallStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	var s CallStats
	var delays []time.Duration
	arrivals := []mono.Time{from}
	for _, r := range c.packets[d] {
		if !r.received.IsZero() && !r.received.Before(from) && r.received.Before(to) {
			arrivals = append(arrivals, r.received)
		}
		if r.sent.Before(from) || !r.sent.Before(to) {
			continue
		}
		s.Sent++
		if r.received.IsZero() {
			s.Lost++
		} else {
			delays = append(delays, r.received.Sub(r.sent))
		}
	}
	slices.Sort(arrivals)
	for i, at := range append(arrivals[1:], to) {
		s.Silence = max(s.Silence, at.Sub(arrivals[i]))
	}
	slices.Sort(delays)
	if n := len(delays); n > 0 {
		s.P50, s.P95, s.Max = delays[n/2], delays[n*95/100], delays[n-1]
	}
	return s
}

// Delays returns the one-way delays of the packets sent in [from, to) that arrived, shortest first.
func (c *Call) Delays(d Direction, from, to mono.Time) []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var delays []time.Duration
	for _, r := range c.packets[d] {
		if !r.sent.Before(from) && r.sent.Before(to) && !r.received.IsZero() {
			delays = append(delays, r.received.Sub(r.sent))
		}
	}
	slices.Sort(delays)
	return delays
}
