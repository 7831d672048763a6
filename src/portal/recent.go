package portal

import (
	"context"
	"sync"
	"time"

	"mpproxy/src/control"
	"mpproxy/src/stats"
)

const (
	// ringSeconds is how far back a page can look at once: three minutes, a sample each second.
	ringSeconds = 180
	// maxEvents bounds the events that are remembered.
	maxEvents = 100
)

// Ring is what each connection carried in the last minutes.
type Ring struct {
	// Now is when the newest sample was taken, seconds since 1970 by this machine's clock; samples are a second apart.
	Now   int64      `json:"now"`
	Links []RingLink `json:"links"`
}

// RingLink is one connection's samples, the oldest first, in bits per second. Those before it was there are 0.
type RingLink struct {
	Name string   `json:"name"`
	Down []uint64 `json:"down"`
	Up   []uint64 `json:"up"`
}

// Event is something that happened to a connection, or, without Link, to the session.
type Event struct {
	At   int64  `json:"at"` // seconds since 1970 by this machine's clock
	Link string `json:"link,omitempty"`
	// Kind is a stats.PathState or stats.LinkState that began, or "connected", "lost", "safe_mode", "cap_warn" or
	// "cap_reached"; of a cap Text says how much is used.
	Kind string `json:"kind"`
	Text string `json:"text,omitempty"`
	// Others are the connections that were in use when this one stopped being so.
	Others []string `json:"others,omitempty"`
}

// recent looks at the status every second and remembers. Safe for concurrent use.
type recent struct {
	status control.Handler
	mu     sync.Mutex
	at     int64
	count  int
	links  map[string]*[ringSeconds][2]uint64
	order  []string
	states map[string]string
	caps   map[string]stats.CapState
	up     stats.SessionState
	events []Event
}

func newRecent(status control.Handler) *recent {
	return &recent{status: status, links: map[string]*[ringSeconds][2]uint64{}, states: map[string]string{}, caps: map[string]stats.CapState{}}
}

// run samples until ctx ends.
func (m *recent) run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			result, err := m.status(ctx, control.Request{Cmd: control.CmdStatus})
			if s, ok := result.(stats.Status); ok && err == nil {
				m.sample(now.Unix(), &s)
			}
		}
	}
}

// sample takes one look. A server's connections are its routers.
func (m *recent) sample(now int64, s *stats.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slot := m.count % ringSeconds
	m.count++
	m.at = now
	for _, samples := range m.links {
		samples[slot] = [2]uint64{}
	}
	for _, l := range s.Links {
		m.add(l.Name, slot, 0, 0)
	}
	for i := range s.Sessions {
		one := &s.Sessions[i]
		for _, p := range one.Paths {
			name := p.Link
			if s.Role == "remote" {
				name = one.Peer
			}
			m.add(name, slot, p.DownBitsPerSecond, p.UpBitsPerSecond)
		}
	}
	if s.Role != "remote" {
		m.notice(now, s)
	}
}

func (m *recent) add(name string, slot int, down, up uint64) {
	samples := m.links[name]
	if samples == nil {
		samples = &[ringSeconds][2]uint64{}
		m.links[name] = samples
		m.order = append(m.order, name)
	}
	samples[slot][0] += down
	samples[slot][1] += up
}

// notice finds what changed since the last look.
func (m *recent) notice(now int64, s *stats.Status) {
	first := m.up == ""
	for i := range s.Sessions {
		one := &s.Sessions[i]
		if i == 0 {
			if was := m.up; one.State != was && (one.State == stats.SessionUp || was == stats.SessionUp) {
				kind := "lost"
				if one.State == stats.SessionUp {
					kind = "connected"
				}
				m.remember(Event{At: now, Kind: kind, Text: one.Trouble})
			}
			m.up = one.State
		}
	}
	for _, l := range s.Links {
		state := linkWord(l, s)
		if old, known := m.states[l.Name]; known && old != state && !first {
			e := Event{At: now, Link: l.Name, Kind: state}
			if old == string(stats.PathUp) {
				e.Others = inUse(s)
			}
			m.remember(e)
		}
		m.states[l.Name] = state
		m.noticeCap(now, l, first)
	}
}

// noticeCap tells what a data cap came to; that a link is not used for it any more is told by the link's state.
func (m *recent) noticeCap(now int64, l stats.Link, first bool) {
	if l.Cap == nil {
		delete(m.caps, l.Name)
		return
	}
	old, known := m.caps[l.Name]
	m.caps[l.Name] = l.Cap.State
	told := l.Cap.State == stats.CapReached && l.Cap.Action == "stop"
	if !known || first || old == l.Cap.State || told {
		return
	}
	kind := map[stats.CapState]string{stats.CapWarn: "cap_warn", stats.CapReached: "cap_reached"}[l.Cap.State]
	if kind != "" {
		m.remember(Event{At: now, Link: l.Name, Kind: kind, Text: l.Cap.Share()})
	}
}

// inUse names the links that carry the session.
func inUse(s *stats.Status) (names []string) {
	for _, l := range s.Links {
		if linkWord(l, s) == string(stats.PathUp) {
			names = append(names, l.Name)
		}
	}
	return names
}

// linkWord is a link's state in one word: its own if something is wrong with it, else that of its path.
func linkWord(l stats.Link, s *stats.Status) string {
	if l.State != stats.LinkUp {
		return string(l.State)
	}
	word := string(stats.PathValidating)
	for i := range s.Sessions {
		for _, p := range s.Sessions[i].Paths {
			if p.Link == l.Name {
				word = string(p.State)
				if p.State == stats.PathSuspect { // too short-lived to be news
					word = string(stats.PathUp)
				}
			}
		}
	}
	return word
}

func (m *recent) remember(e Event) {
	m.events = append(m.events, e)
	m.events = m.events[max(0, len(m.events)-maxEvents):]
}

// ring returns the samples.
func (m *recent) ring() Ring {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := Ring{Now: m.at, Links: []RingLink{}}
	for _, name := range m.order {
		l := RingLink{Name: name}
		for i := range ringSeconds {
			v := m.links[name][(m.count+i)%ringSeconds]
			l.Down, l.Up = append(l.Down, v[0]), append(l.Up, v[1])
		}
		r.Links = append(r.Links, l)
	}
	return r
}

// list returns the events, the newest last.
func (m *recent) list() []Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Event{}, m.events...)
}
