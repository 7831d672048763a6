package engine

import (
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/recovery"
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
		{Wishes: wire.Wishes{Twice: true}, Protocol: flowq.ProtoICMPv6, From: netip.MustParseAddrPort("[fd00:99::2]:0"), To: netip.MustParseAddrPort("[2001:db8::9]:0")},
		{Wishes: wire.Wishes{Twice: true}, Protocol: flowq.ProtoUDP, HasPorts: true, From: netip.MustParseAddrPort("10.0.0.2:443"), To: netip.MustParseAddrPort("10.0.0.1:1005")},
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
	none := wire.FlowFrame{Protocol: flowq.ProtoUDP, HasPorts: true, From: asks[1].From, To: asks[1].To}
	none.From = netip.AddrPortFrom(none.From.Addr(), 1000)
	server.onFlow(w.now, &none)
	want(t, "named no more", len(server.ruled.wishes), maxWishes-1)
	none.Twice = true
	server.onFlow(w.now, &none)
	server.ruled.refresh(w.now.Add(wishLife-1), server.queue, 0, false)
	want(t, "before their time", len(server.ruled.wishes), maxWishes)
	server.ruled.refresh(w.now.Add(wishLife+time.Second), server.queue, 0, false)
	want(t, "after it", len(server.ruled.wishes), 0)
}

// Links stand for so much longer while the flow goes on, as nothing that comes from the router may remind of them.
func TestLinksStandLonger(t *testing.T) {
	w := newPair(t, 1, 2, nil)
	server := w.sides[1].Tunnel
	packet := inner(5, 100, 1)
	info, _ := flowq.ParseIP(packet)
	ask := wire.FlowFrame{Wishes: wire.Wishes{Links: 2, Class: 1, Profile: 3}, Protocol: info.Proto, HasPorts: true, From: netip.AddrPortFrom(info.Dst, info.DstPort), To: netip.AddrPortFrom(info.Src, info.SrcPort)}
	server.onFlow(w.now, &ask)
	w.give(1, 5, 100, 1)
	f := server.queue.Lookup(server.queue.KeyOf(&info))
	if f == nil || f.Verdict() != (flowq.Verdict{Class: flowq.WantUrgent, Way: flowq.Way{Links: 2, Own: true, Profile: flowq.Throughput}}) {
		t.Fatalf("%+v", f.Verdict())
	}
	server.ruled.refresh(w.now.Add(wishLife+time.Second), server.queue, 0, false)
	want(t, "while it goes on", len(server.ruled.wishes), 1)
	server.ruled.refresh(w.now.Add(wishLife+boundLife), server.queue, 0, false)
	want(t, "long after", len(server.ruled.wishes), 0)
	w.give(1, 5, 100, 1)
	want(t, "then", f.Verdict(), flowq.Verdict{})
}

// No more ways are known than are bounded, and those that no flow takes are forgotten.
func TestWaysAreBounded(t *testing.T) {
	w := newPair(t, 1, 2, nil)
	tn := w.sides[0].Tunnel
	for i := range uint64(3 * maxWays) {
		tn.polled = tn.polled.Add(time.Millisecond)
		tn.roads(flowq.Way{Links: i + 1})
		tn.roads(flowq.Way{Links: 1})
	}
	want(t, "known", len(tn.ways), maxWays)
	for _, w := range tn.ways {
		if w.Links != 1 && w.Links <= 2*maxWays {
			t.Errorf("an older one, %d, is kept", w.Links)
		}
	}
	tn.refreshWays(tn.polled.Add(wayIdle - 1))
	if len(tn.ways) == 0 {
		t.Error("forgotten too soon")
	}
	tn.refreshWays(tn.polled.Add(wayIdle))
	want(t, "in the end", len(tn.ways), 0)
}

// What is repaired of a flow that is bound to links goes over those, also where any other would do, or waits without holding others up.
func TestRepairsKeepToLinks(t *testing.T) {
	w := newPair(t, 1, 3, nil)
	w.run(time.Second)
	tn := w.sides[0].Tunnel
	for i, p := range tn.paths {
		p.Config.Use.Number = i + 1
	}
	tn.SetJudge(func(info flowq.Info) flowq.Verdict {
		if info.SrcPort == 1005 {
			return flowq.Verdict{Way: flowq.Way{Links: 4}}
		}
		return flowq.Verdict{}
	})
	w.give(0, 5, 100, 1)
	w.give(0, 6, 100, 1)
	w.run(100 * time.Millisecond)
	lost := func(flow uint16) repair {
		b := w.sides[0].pool.Get()
		b.Set(inner(flow, 100, 1))
		info, _ := flowq.ParseIP(b.Bytes())
		b.Flow = tn.queue.KeyOf(&info)
		tn.held += int64(b.Len())
		return repair{load: recovery.Payload{Buf: b, Copies: 1}, until: w.now.Add(time.Hour), from: tn.paths[2].ID}
	}
	bound, free := lost(5), lost(6)
	if p := tn.repairPath(w.now, &bound); p != tn.paths[2] {
		t.Errorf("the bound one goes over %v", p.Number)
	}
	if p := tn.repairPath(w.now, &free); p == tn.paths[2] {
		t.Error("the other goes where it was lost")
	}
	tn.paths[2].Busy = true
	tn.repairs.push(bound)
	tn.repairs.push(free)
	before := tn.counts.Repaired
	tn.sendRepairs(w.now, &Batch{})
	want(t, "repaired", tn.counts.Repaired-before, 1)
	want(t, "left", tn.repairs.len(), 1)
	want(t, "which is", tn.repairs.front().load.Buf, bound.load.Buf)
}
