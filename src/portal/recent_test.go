package portal

import (
	"reflect"
	"testing"

	"mpproxy/src/stats"
)

func routerStatus(session stats.SessionState, wan, lte stats.PathState, lteLink stats.LinkState) *stats.Status {
	s := &stats.Status{Role: "local", Links: []stats.Link{{Name: "wan", State: stats.LinkUp}, {Name: "lte", State: lteLink}}}
	s.Sessions = []stats.Session{{Peer: "vps", State: session, Paths: []stats.Path{{Link: "wan", State: wan, DownBitsPerSecond: 7, UpBitsPerSecond: 1}}}}
	if lteLink == stats.LinkUp {
		s.Sessions[0].Paths = append(s.Sessions[0].Paths, stats.Path{Link: "lte", State: lte, DownBitsPerSecond: 3})
	}
	return s
}

func TestRecentRing(t *testing.T) {
	m := newRecent(nil)
	for i := range ringSeconds + 5 {
		m.sample(int64(i), routerStatus(stats.SessionUp, stats.PathUp, stats.PathUp, stats.LinkUp))
	}
	m.sample(1000, routerStatus(stats.SessionUp, stats.PathUp, stats.PathUp, stats.LinkNoCarrier))
	r := m.ring()
	if r.Now != 1000 || len(r.Links) != 2 || r.Links[0].Name != "wan" || len(r.Links[0].Down) != ringSeconds {
		t.Fatalf("%d links, now %d", len(r.Links), r.Now)
	}
	last := ringSeconds - 1
	if w, l := r.Links[0], r.Links[1]; w.Down[last] != 7 || w.Up[0] != 1 || l.Down[last] != 0 || l.Down[last-1] != 3 {
		t.Errorf("wan %v, lte %v", w.Down[last], l.Down[last-1:])
	}
	m = newRecent(nil)
	m.sample(1, routerStatus(stats.SessionUp, stats.PathUp, stats.PathUp, stats.LinkUp))
	if r := m.ring(); r.Links[0].Down[0] != 0 || r.Links[0].Down[last] != 7 {
		t.Error("the time before the start is not empty")
	}
	server := &stats.Status{Role: "remote", Sessions: []stats.Session{{Peer: "home", Paths: []stats.Path{{DownBitsPerSecond: 1}, {DownBitsPerSecond: 2}}}}}
	m = newRecent(nil)
	m.sample(1, server)
	if r := m.ring(); len(r.Links) != 1 || r.Links[0].Name != "home" || r.Links[0].Down[last] != 3 || len(m.list()) != 0 {
		t.Errorf("a server's ring: %+v", r.Links)
	}
}

func TestRecentEvents(t *testing.T) {
	m := newRecent(nil)
	up := stats.PathUp
	for i, s := range []*stats.Status{
		routerStatus(stats.SessionConnecting, stats.PathValidating, stats.PathValidating, stats.LinkUp),
		routerStatus(stats.SessionUp, up, up, stats.LinkUp),
		routerStatus(stats.SessionUp, up, stats.PathSuspect, stats.LinkUp),
		routerStatus(stats.SessionUp, up, stats.PathDown, stats.LinkUp),
		routerStatus(stats.SessionUp, up, up, stats.LinkUp),
		routerStatus(stats.SessionUp, up, up, stats.LinkNoCarrier),
		routerStatus(stats.SessionDown, stats.PathDown, up, stats.LinkNoCarrier),
	} {
		m.sample(int64(i), s)
	}
	want := []Event{
		{At: 1, Kind: "connected"}, {At: 1, Link: "wan", Kind: "up"}, {At: 1, Link: "lte", Kind: "up"}, {At: 3, Link: "lte", Kind: "down", Others: []string{"wan"}},
		{At: 4, Link: "lte", Kind: "up"}, {At: 5, Link: "lte", Kind: "no_carrier", Others: []string{"wan"}}, {At: 6, Kind: "lost"}, {At: 6, Link: "wan", Kind: "down"},
	}
	got := m.list()
	if len(got) != len(want) {
		t.Fatalf("events %+v", got)
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("event %d: %+v, want %+v", i, got[i], want[i])
		}
	}
	for i := range 3 * maxEvents {
		state := up
		if i%2 == 0 {
			state = stats.PathDown
		}
		m.sample(int64(i), routerStatus(stats.SessionUp, state, up, stats.LinkUp))
	}
	if n := len(m.list()); n != maxEvents {
		t.Errorf("%d events are kept", n)
	}
}
