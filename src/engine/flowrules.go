package engine

import (
	"net/netip"
	"time"

	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/packet"
	"mpproxy/src/engine/path"
	"mpproxy/src/engine/recovery"
	"mpproxy/src/engine/sched"
	"mpproxy/src/engine/wire"
)

const (
	// tellEvery is how often the server is told of a flow that rules name, wishLife for how long it holds to that: as
	// long as it knows a flow that is idle.
	tellEvery = time.Second
	wishLife  = 10 * time.Second
	// boundLife is how much longer it holds to links while the flow goes on: where none of those works, nothing of the flow that comes
	// from the router reminds it.
	boundLife = time.Minute
	// maxWishes bounds the flows that a server remembers so, at some 50 bytes each.
	maxWishes = 4096
	// twiceShare is the part of the capacity that copies by rules may take: one in so many, a fifth, as of urgent packets.
	twiceShare = 5
	// twiceSpan and twiceLeast: so much of it at once, the larger of the two; what urgent packets of a host have, too.
	twiceSpan  = 100 * time.Millisecond
	twiceLeast = 16 << 10
)

// ruled is what rules want of flows. The zero value is ready.
type ruled struct {
	// wishes are those of which a router told its server, by the key of what the server sends.
	wishes map[uint64]wish
	swept  mono.Time
	room   bucket // for what is sent twice
}

// wish is what a router wants of a flow's answers, and until when that counts.
type wish struct {
	verdict flowq.Verdict
	until   mono.Time
}

// refresh follows the capacity, in bytes per second, and forgets flows of which nothing was heard for long. While a path is searching
// for its own, nobody knows what a fifth is: it would be one of what little there was to send.
func (w *ruled) refresh(now mono.Time, q *flowq.Queue, capacity int64, searching bool) {
	rate := capacity / twiceShare
	if searching {
		rate = 0
	}
	w.room.set(now, rate, max(twiceLeast, rate*int64(twiceSpan)/int64(time.Second)))
	if now.Sub(w.swept) < tellEvery {
		return
	}
	w.swept = now
	for key, wish := range w.wishes {
		if q.Lookup(key) != nil && wish.verdict.Links != 0 {
			wish.until = wish.until.Add(boundLife)
		}
		if now >= wish.until {
			delete(w.wishes, key)
			q.Rejudge(key)
		}
	}
}

// SetJudge has rules decide what becomes of flows: judge is asked with the first packet of each, and anew with the next one of those
// that are known. Their answers follow, for the server is told. nil: nothing is said of any. What is to be sent twice goes over two
// paths as long as it is small; paths that carry no copies (path.Use) carry none of it. For judge's duties see flowq.Queue.SetJudge.
// Only for the router.
func (t *Tunnel) SetJudge(judge func(flowq.Info) flowq.Verdict) { t.queue.SetJudge(judge) }

// named reports that a packet of f goes over a second path because a rule says so: one that does not wait in a backlog, as
// long as there is room for copies.
func (t *Tunnel) named(now mono.Time, f *flowq.Flow, load *recovery.Payload) bool {
	if load.Laned || !load.Urgent && f.BacklogBytes() >= sched.Quantum {
		return false
	}
	return f.Verdict().Twice && t.ruled.room.open(now)
}

// tellRule tells the server now and then how a flow's answers are to be sent, ahead of the flow's packet b and on the
// paths that it takes.
func (t *Tunnel) tellRule(now mono.Time, f *flowq.Flow, p, second *path.Path, b *packet.Buf, out *Batch) {
	v := f.Verdict()
	none := v == flowq.Verdict{}
	switch {
	case !t.params.Initiator || none && f.Binding.RuleTold == 0 || v == (flowq.Verdict{Twice: true}) && len(t.paths) < 2:
		return
	case !none && f.Binding.RuleTold != 0 && now.Sub(f.Binding.RuleTold) < tellEvery:
		return
	}
	info, ok := flowq.ParseIP(b.Bytes())
	if !ok {
		return
	}
	if f.Binding.RuleTold = now; none {
		f.Binding.RuleTold = 0 // that no rule names it any more is told once
	}
	ask := wire.FlowFrame{Wishes: wishesOf(v), Protocol: info.Proto, HasPorts: info.HasPorts && !info.Fragment}
	if !ask.HasPorts {
		info.SrcPort, info.DstPort = 0, 0
	}
	ask.From, ask.To = netip.AddrPortFrom(info.Src, info.SrcPort), netip.AddrPortFrom(info.Dst, info.DstPort)
	for _, on := range [2]*path.Path{p, second} {
		if on != nil {
			d := t.datagram(on, out)
			out.arena = ask.Append(out.arena)
			t.finish(now, on, d, out)
		}
	}
}

// wishesOf are a verdict's words on the wire.
func wishesOf(v flowq.Verdict) wire.Wishes {
	w := wire.Wishes{Twice: v.Twice, Class: uint8(v.Class), Links: v.Links}
	if v.Own {
		w.Profile = 1 + uint8(v.Profile)
	}
	return w
}

// verdictOf is the reverse of wishesOf.
func verdictOf(w wire.Wishes) flowq.Verdict {
	v := flowq.Verdict{Twice: w.Twice, Class: flowq.Want(w.Class), Way: flowq.Way{Links: w.Links, Own: w.Profile > 0}}
	if v.Own {
		v.Profile = flowq.Profile(w.Profile - 1)
	}
	return v
}

// onFlow is the server's: a router says how it wants the answers on a flow sent.
func (t *Tunnel) onFlow(now mono.Time, f *wire.FlowFrame) {
	if t.params.Initiator {
		return
	}
	back := flowq.Info{
		Src: f.To.Addr(), Dst: f.From.Addr(), SrcPort: f.To.Port(), DstPort: f.From.Port(), Proto: f.Protocol, HasPorts: f.HasPorts, Version: 4,
	}
	if !back.Src.Is4() {
		back.Version = 6
	}
	key, wants := t.queue.KeyOf(&back), verdictOf(f.Wishes)
	old, known := t.ruled.wishes[key]
	if wants == (flowq.Verdict{}) {
		delete(t.ruled.wishes, key)
		t.queue.Rejudge(key)
		return
	}
	if !known && len(t.ruled.wishes) >= maxWishes {
		return
	}
	if t.ruled.wishes == nil {
		t.ruled.wishes = make(map[uint64]wish)
	}
	t.ruled.wishes[key] = wish{wants, now.Add(wishLife)}
	if !known || old.verdict != wants {
		t.queue.Rejudge(key)
	}
}

// wished is the server's judge: what the router wants of a flow.
func (t *Tunnel) wished(info flowq.Info) flowq.Verdict {
	if len(t.ruled.wishes) == 0 {
		return flowq.Verdict{}
	}
	return t.ruled.wishes[t.queue.KeyOf(&info)].verdict
}

// onPathLink is the server's: the router tells which of its links a path is over.
func (t *Tunnel) onPathLink(now mono.Time, p *path.Path, link int) {
	if t.params.Initiator {
		return
	}
	use := p.Config.Use
	use.Number = link
	p.SetUse(use)
	t.refreshAt = now
}
