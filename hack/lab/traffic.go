package lab

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"mpproxy/src/engine/mono"
)

// DefaultCongestion is the congestion control of the inner TCP connections; the kernel's own default differs.
const DefaultCongestion = "cubic"

// serverStart is how long the server may take to listen.
const serverStart = 5 * time.Second

// registry routes the traffic programs' lines to the transfers they belong to.
type registry struct {
	mu    sync.Mutex
	last  uint64
	bulks map[uint64]*Bulk
	calls map[uint64]*Call
}

// sample is how many bytes a receiver got in the interval that ended at a time.
type sample struct {
	at    mono.Time
	bytes uint64
}

// Bulk is one TCP connection carrying as much as it can.
type Bulk struct {
	Direction Direction
	Started   mono.Time

	process *process
	mu      sync.Mutex
	samples []sample // under mu
	trips   []Trip   // under mu
}

// Trip is a round trip as the sender's TCP saw it, smoothed.
type Trip struct {
	At    mono.Time
	Delay time.Duration
}

// Flow says what a transfer is.
type Flow struct {
	Direction  Direction
	Length     time.Duration
	Congestion string // of the sending TCP, as the kernel names it; "" = DefaultCongestion
	From       string // the client's side, a namespace's role; "" = client
	To         string // the server's address; "" = ServerAddress
	// Proxy, if not "", is the SOCKS5 server, address and port, that the lab's TCP client connects through.
	Proxy string
	// Program, if not "", runs in place of the lab's TCP client, with the arguments NUMBER, D or U, SECONDS and ADDRESS. The
	// receiving end prints "b NUMBER NANOSECONDS BYTES" for every 100 ms, with the time of the monotonic clock; Serve starts
	// the other end.
	Program string
}

func (l *Lab) startServer() error {
	ready := make(chan struct{})
	var once sync.Once
	line := func(text string) {
		if text == "ready" {
			once.Do(func() { close(ready) })
			return
		}
		l.bulks.take(text, Down)
	}
	p, err := startProgram(l.Namespace("server"), line, "serve", DefaultCongestion)
	if err != nil {
		return err
	}
	l.server = p
	l.onClose(p.stop)
	return waitReady(p, ready)
}

func waitReady(p *process, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-p.ended:
		return fmt.Errorf("start server: %w: %s", p.err, &p.errors)
	case <-time.After(serverStart):
		return errors.New("start server: not ready in time")
	}
}

// StartBulk starts a TCP transfer of the given length between client and server, Down or Up.
func (l *Lab) StartBulk(d Direction, length time.Duration) (*Bulk, error) {
	return l.StartFlow(Flow{Direction: d, Length: length})
}

// StartFlow starts a transfer.
func (l *Lab) StartFlow(f Flow) (*Bulk, error) {
	b := &Bulk{Direction: f.Direction, Started: Now()}
	number := strconv.FormatUint(l.bulks.addBulk(b), 10)
	letter, seconds := "D", fmt.Sprint(f.Length.Seconds())
	if f.Direction == Up {
		letter = "U"
	}
	from, to := cmp.Or(f.From, "client"), cmp.Or(f.To, ServerAddress)
	line := func(text string) { l.bulks.take(text, Up) }
	var err error
	if f.Program != "" {
		b.process, err = start(l.Namespace(from), nil, line, f.Program, number, letter, seconds, to)
	} else {
		b.process, err = startProgram(l.Namespace(from), line, "bulk", number, letter, seconds, cmp.Or(f.Congestion, DefaultCongestion), to, f.Proxy)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Serve runs a program in the server's namespace until Close, once it has printed "ready". Its lines count as a Flow's.
func (l *Lab) Serve(name string, args ...string) error {
	ready := make(chan struct{})
	var once sync.Once
	p, err := start(l.Namespace("server"), nil, func(text string) {
		if text == "ready" {
			once.Do(func() { close(ready) })
			return
		}
		l.bulks.take(text, Down)
	}, name, args...)
	if err != nil {
		return err
	}
	l.onClose(p.stop)
	return waitReady(p, ready)
}

// Wait waits for the transfer's end and returns its error; running out of time is none.
func (b *Bulk) Wait() error {
	<-b.process.ended
	if b.process.err != nil {
		return fmt.Errorf("transfer %s: %w: %s", b.Direction, b.process.err, strings.TrimSpace(b.process.errors.String()))
	}
	return nil
}

// Rate returns what arrived in [from, to) in bit/s of TCP payload, over the whole sample intervals inside.
func (b *Bulk) Rate(from, to mono.Time) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var bytes uint64
	var first, last mono.Time
	for _, s := range b.samples {
		switch {
		case s.at.Before(from) || s.at.After(to):
		case first.IsZero():
			first = s.at
		default:
			bytes += s.bytes
			last = s.at
		}
	}
	if last <= first {
		return 0
	}
	return float64(bytes) * 8 / last.Sub(first).Seconds()
}

// Rates returns what arrived in each 100 ms since the start, in bit/s. What came late (a receiver that stalled) counts where it
// was noticed.
func (b *Bulk) Rates() []float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var rates []float64
	for _, s := range b.samples {
		at := max(0, int(s.at.Sub(b.Started)/sampleEvery)-1) // a sample is taken at the end of its time
		for len(rates) <= at {
			rates = append(rates, 0)
		}
		rates[at] += float64(s.bytes) * 8 / sampleEvery.Seconds()
	}
	return rates
}

// Trips returns the round trips in [from, to), if the sender is one that tells them.
func (b *Bulk) Trips(from, to mono.Time) []Trip {
	b.mu.Lock()
	defer b.mu.Unlock()
	var trips []Trip
	for _, t := range b.trips {
		if !t.At.Before(from) && t.At.Before(to) {
			trips = append(trips, t)
		}
	}
	return trips
}

// Reached returns how long after from the transfer first carried rate bit/s or more for half a second; false if never.
func (b *Bulk) Reached(from mono.Time, rate float64) (time.Duration, bool) {
	const window = 5 // samples
	b.mu.Lock()
	samples := b.samples
	b.mu.Unlock()
	var bytes uint64
	inside := 0
	for i, s := range samples {
		if !s.at.After(from) {
			continue
		}
		bytes += s.bytes
		if inside++; inside > window {
			bytes -= samples[i-window].bytes
		}
		if inside >= window && float64(bytes)*8/(window*sampleEvery.Seconds()) >= rate {
			return s.at.Sub(from) - window*sampleEvery, true
		}
	}
	return 0, false
}

func (r *registry) addBulk(b *Bulk) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bulks == nil {
		r.bulks = map[uint64]*Bulk{}
	}
	r.last++
	r.bulks[r.last] = b
	return r.last
}

func (r *registry) addCall(c *Call) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls == nil {
		r.calls = map[uint64]*Call{}
	}
	r.last++
	r.calls[r.last] = c
	return r.last
}

// take reads a line that a traffic program printed; speaks is the direction in which that program sends.
func (r *registry) take(text string, speaks Direction) {
	words := strings.Fields(text)
	if len(words) < 4 {
		return
	}
	var n [4]uint64
	for i, word := range words[1:] {
		n[i], _ = strconv.ParseUint(word, 10, 64)
	}
	r.mu.Lock()
	bulk, call := r.bulks[n[0]], r.calls[n[0]]
	r.mu.Unlock()
	switch {
	case words[0] == "b" && bulk != nil:
		bulk.mu.Lock()
		bulk.samples = append(bulk.samples, sample{mono.Time(n[1]), n[2]})
		bulk.mu.Unlock()
	case words[0] == "t" && bulk != nil:
		bulk.mu.Lock()
		bulk.trips = append(bulk.trips, Trip{mono.Time(n[1]), time.Duration(n[2]) * time.Microsecond})
		bulk.mu.Unlock()
	case words[0] == "s" && call != nil:
		call.take(speaks, uint32(n[1]), mono.Time(n[2]), 0)
	case words[0] == "r" && call != nil:
		call.take(1-speaks, uint32(n[1]), mono.Time(n[2]), mono.Time(n[3]))
	}
}

// Retransmits returns how many TCP segments a namespace (by role) has sent again since it was made.
func (l *Lab) Retransmits(role string) (uint64, error) {
	var text []byte
	err := inside(l.Namespace(role), func() error {
		var err error
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read tcp counters: %w", err)
	}
	return retransmits(string(text))
}

// retransmits finds RetransSegs in /proc/net/snmp: a line of names, then one of values.
func retransmits(text string) (uint64, error) {
	var names []string
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = words
			continue
		}
		for i, name := range names {
			if name == "RetransSegs" && i < len(words) {
				return strconv.ParseUint(words[i], 10, 64)
			}
		}
	}
	return 0, errors.New("read tcp counters: no RetransSegs")
}
