package engine

import (
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
)

// pastPathFrom is a path that came from addr and was known to carry bandwidth.
func pastPathFrom(addr string, bandwidth int64) *path.Path {
	p := path.New(mono.Time(time.Hour), path.Config{ID: 1, Datagram: 1400, Bandwidth: bandwidth, Offset: &recovery.Offset{}})
	if addr != "" {
		p.Peer.Trust(netip.MustParseAddrPort(addr))
	}
	return p
}

// What a link carried is remembered by its address, half of it given back, once.
func TestPast(t *testing.T) {
	var m past
	a, b := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")
	if bw, _ := m.recall(a); bw != 0 {
		t.Errorf("from nothing %d", bw)
	}
	m.keep(pastPathFrom("", 1000))
	m.keep(pastPathFrom("198.51.100.2:1", 0))
	if bw, _ := m.recall(netip.Addr{}); bw != 0 {
		t.Errorf("of no address %d", bw)
	}
	if bw, _ := m.recall(b); bw != 0 {
		t.Errorf("of a path that showed nothing %d", bw)
	}
	m.keep(pastPathFrom("198.51.100.1:1", 1_000_000))
	m.keep(pastPathFrom("198.51.100.1:2", 3_000_000))
	m.keep(pastPathFrom("198.51.100.2:1", 5_000_000))
	newer, _ := m.recall(a)
	older, _ := m.recall(a)
	none, _ := m.recall(a)
	first, second := pastPathFrom("", 1_000_000).Known(), pastPathFrom("", 3_000_000).Known()
	if first == 0 || newer != second/2 || older != first/2 || none != 0 {
		t.Errorf("%d, %d, %d; known %d, %d", newer, older, none, second, first)
	}
	for range 2 * MaxPaths {
		m.keep(pastPathFrom("198.51.100.9:1", 2))
	}
	if bw, _ := m.recall(b); bw != 0 {
		t.Errorf("after many others still %d", bw)
	}
}
