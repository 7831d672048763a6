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
	// twiceTell is how often the server is told of a flow that rules have sent twice, twiceLife for how long it holds to that: as
	// long as it knows a flow that is idle.
	twiceTell = time.Second
	twiceLife = 10 * time.Second
	// maxTwice bounds the flows that a server remembers so.
	maxTwice = 1024
	// twiceShare is the part of the capacity that copies by rules may take: one in so many, a fifth, as of urgent packets.
	twiceShare = 5
	// twiceSpan and twiceLeast: so much of it at once, the larger of the two; what urgent packets of a host have, too.
	twiceSpan  = 100 * time.Millisecond
	twiceLeast = 16 << 10
)

// twice is what is to be sent twice because a rule says so. The zero value is ready.
type twice struct {
	// asked are the flows of which a router told its server, by the key of what the server sends, and until when that counts.
	asked map[uint64]mono.Time
	swept mono.Time
	room  bucket
}

// refresh follows the capacity, in bytes per second, and forgets flows of which nothing was heard for long. While a path is searching
// for its own, nobody knows what a fifth is: it would be one of what little there was to send.
func (w *twice) refresh(now mono.Time, capacity int64, searching bool) {
	rate := capacity / twiceShare
	if searching {
		rate = 0
	}
	w.room.set(now, rate, max(twiceLeast, rate*int64(twiceSpan)/int64(time.Second)))
	if now.Sub(w.swept) < twiceTell {
		return
	}
	w.swept = now
	for key, until := range w.asked {
		if now >= until {
			delete(w.asked, key)
		}
	}
}

// SetTwice has flows sent twice, each packet on two paths, as long as they are small: judge is asked with the first packet of each,
// and anew with the next one of those that are known. Their answers follow, for the server is told. nil: none is. Paths that
// carry no copies (path.Use) carry none of these. For judge's duties see flowq.Queue.SetJudge.
func (t *Tunnel) SetTwice(judge func(flowq.Info) bool) { t.queue.SetJudge(judge) }

// named reports that a packet of f goes over a second path because a rule says so: one that does not wait in a backlog, as
// long as there is room for copies.
func (t *Tunnel) named(now mono.Time, f *flowq.Flow, load *recovery.Payload) bool {
	if load.Laned || !load.Urgent && f.BacklogBytes() >= sched.Quantum {
		return false
	}
	if !f.Twice() && (len(t.twice.asked) == 0 || now >= t.twice.asked[f.Key()]) {
		return false
	}
	return t.twice.room.open(now)
}

// tellTwice tells the server now and then that a flow's answers are to be sent twice, too, ahead of the flow's packet b and on the
// paths that it takes.
func (t *Tunnel) tellTwice(now mono.Time, f *flowq.Flow, p, second *path.Path, b *packet.Buf, out *Batch) {
	if !t.params.Initiator || len(t.paths) < 2 || f.Binding.TwiceTold != 0 && now.Sub(f.Binding.TwiceTold) < twiceTell {
		return
	}
	info, ok := flowq.ParseIP(b.Bytes())
	if !ok {
		return
	}
	f.Binding.TwiceTold = now
	ask := wire.SendTwiceFrame{Protocol: info.Proto, HasPorts: info.HasPorts && !info.Fragment}
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

// onSendTwice is the server's: a router wants the answers on a flow sent twice.
func (t *Tunnel) onSendTwice(now mono.Time, f *wire.SendTwiceFrame) {
	if t.params.Initiator {
		return
	}
	back := flowq.Info{
		Src: f.To.Addr(), Dst: f.From.Addr(), SrcPort: f.To.Port(), DstPort: f.From.Port(), Proto: f.Protocol, HasPorts: f.HasPorts, Version: 4,
	}
	if !back.Src.Is4() {
		back.Version = 6
	}
	key := t.queue.KeyOf(&back)
	if _, known := t.twice.asked[key]; !known && len(t.twice.asked) >= maxTwice {
		return
	}
	if t.twice.asked == nil {
		t.twice.asked = make(map[uint64]mono.Time)
	}
	t.twice.asked[key] = now.Add(twiceLife)
}
