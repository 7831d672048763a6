package engine

import (
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/wire"
)

// back is an answer on a flow of the kind that a router asked about: IPv6, without ports.
func back() []byte {
	b := make([]byte, 48)
	b[0], b[5], b[6] = 0x60, 8, flowq.ProtoICMPv6
	from, to := netip.MustParseAddr("2001:db8::9").As16(), netip.MustParseAddr("fd00:99::2").As16()
	copy(b[8:], from[:])
	copy(b[24:], to[:])
	b[40] = 129
	return b
}

// The server finds the flow that a router asked about, of either family, with ports or without; it remembers so many only, for a
// while; and a router takes no such wishes.
func TestFlowsNameTheAnswers(t *testing.T) {
	w := newPair(t, 1, 2, nil)
	router, server := w.sides[0].Tunnel, w.sides[1].Tunnel
	asks := []wire.FlowFrame{
		{Protocol: flowq.ProtoICMPv6, From: netip.MustParseAddrPort("[fd00:99::2]:0"), To: netip.MustParseAddrPort("[2001:db8::9]:0")},
		{Protocol: flowq.ProtoUDP, HasPorts: true, From: netip.MustParseAddrPort("10.0.0.2:443"), To: netip.MustParseAddrPort("10.0.0.1:1005")},
	}
	for i := range asks {
		router.onFlow(w.now, &asks[i])
		server.onFlow(w.now, &asks[i])
	}
	want(t, "at the router", len(router.ruled.wishes), 0)
	for i, answer := range [][]byte{back(), inner(5, 100, 1)} {
		info, ok := flowq.ParseIP(answer)
		want(t, "parsed", ok, true)
		if until := server.ruled.wishes[server.queue.KeyOf(&info)].until; until != w.now.Add(wishLife) {
			t.Errorf("answer %d: until %v", i, until)
		}
	}
	for i := range 2 * maxWishes {
		asks[1].From = netip.AddrPortFrom(asks[1].From.Addr(), uint16(i+1000))
		server.onFlow(w.now, &asks[1])
	}
	want(t, "remembered", len(server.ruled.wishes), maxWishes)
	server.ruled.refresh(w.now.Add(wishLife-1), server.queue, 0, false)
	want(t, "before their time", len(server.ruled.wishes), maxWishes)
	server.ruled.refresh(w.now.Add(wishLife+time.Second), server.queue, 0, false)
	want(t, "after it", len(server.ruled.wishes), 0)
}
