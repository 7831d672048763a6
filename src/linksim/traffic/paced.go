package traffic

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"time"

	"mpproxy/src/engine/mono"
)

const (
	udpBytes   = 8
	pacedBytes = 16 // sequence and time of sending
)

// PacedConfig describes a UDP stream of even pace.
type PacedConfig struct {
	Local, Remote netip.AddrPort // of one IP version
	Rate          float64        // packets per second, above 0
	Size          int            // bytes of an IP packet, at least 44 (IPv4) or 64 (IPv6)
	DSCP          uint8          // 0..63
	Start, Stop   mono.Time      // packets are sent in [Start, Stop); Stop 0 = never stops
}

// PacedSource sends the stream. Its packets carry their number and time of sending.
type PacedSource struct {
	// Sent counts the packets.
	Sent uint64

	cfg  PacedConfig
	ends ends
}

// NewPacedSource returns the sending end.
func NewPacedSource(cfg PacedConfig) *PacedSource {
	p := &PacedSource{cfg: cfg, ends: ends{local: cfg.Local, remote: cfg.Remote, dscp: cfg.DSCP}}
	p.cfg.Size = max(cfg.Size, p.ends.headerBytes()+udpBytes+pacedBytes)
	return p
}

// Stop ends the stream.
func (p *PacedSource) Stop(now mono.Time) { p.cfg.Stop = max(now, 1) }

// NextTimeout returns when the next packet is due, or mono.Never.
func (p *PacedSource) NextTimeout() mono.Time {
	at := p.cfg.Start.Add(time.Duration(float64(p.Sent) * 1e9 / p.cfg.Rate))
	if p.cfg.Stop != 0 && at >= p.cfg.Stop {
		return mono.Never
	}
	return at
}

// OnTimeout does nothing: Poll looks at the time itself.
func (p *PacedSource) OnTimeout(mono.Time) {}

// OnPacket does nothing: the stream has one direction.
func (p *PacedSource) OnPacket(mono.Time, []byte) {}

// Poll writes the next packet into buf if it is due and returns its length, else 0.
func (p *PacedSource) Poll(now mono.Time, buf []byte) int {
	if p.NextTimeout() > now {
		return 0
	}
	pkt := buf[:p.cfg.Size]
	b := pkt[p.ends.headerBytes():]
	clear(b)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	binary.BigEndian.PutUint64(b[udpBytes:], p.Sent)
	binary.BigEndian.PutUint64(b[udpBytes+8:], uint64(now))
	p.Sent++
	p.ends.seal(pkt, protoUDP, 0)
	return len(pkt)
}

// Sample is one packet that arrived.
type Sample struct {
	Number uint64
	At     mono.Time
	Delay  time.Duration // one way
}

// PacedSink receives the stream.
type PacedSink struct {
	// Samples has the packets in order of arrival, without duplicates.
	Samples []Sample
	// Duplicates, Late (after a packet with a higher number) and Corrupt count packets.
	Duplicates, Late, Corrupt uint64

	ends    ends
	highest uint64
	seen    []uint64 // bits
}

// NewPacedSink returns the receiving end of a stream from remote to local.
func NewPacedSink(local, remote netip.AddrPort) *PacedSink {
	return &PacedSink{ends: ends{local: local, remote: remote}}
}

// NextTimeout returns mono.Never.
func (p *PacedSink) NextTimeout() mono.Time { return mono.Never }

// OnTimeout does nothing.
func (p *PacedSink) OnTimeout(mono.Time) {}

// Poll has nothing to send.
func (p *PacedSink) Poll(mono.Time, []byte) int { return 0 }

// maxPaced bounds the numbers, and so the memory, that a packet can claim.
const maxPaced = 1 << 26

// OnPacket takes a packet.
func (p *PacedSink) OnPacket(now mono.Time, pkt []byte) {
	b, _, ok := p.ends.open(pkt, protoUDP)
	if !ok || len(b) < udpBytes+pacedBytes {
		p.Corrupt++
		return
	}
	number := binary.BigEndian.Uint64(b[udpBytes:])
	if number >= maxPaced {
		p.Corrupt++
		return
	}
	word, bit := int(number/64), uint64(1)<<(number%64)
	for len(p.seen) <= word {
		p.seen = append(p.seen, 0)
	}
	if p.seen[word]&bit != 0 {
		p.Duplicates++
		return
	}
	p.seen[word] |= bit
	if number < p.highest {
		p.Late++
	}
	p.highest = max(p.highest, number)
	sent := mono.Time(binary.BigEndian.Uint64(b[udpBytes+8:]))
	p.Samples = append(p.Samples, Sample{number, now, now.Sub(sent)})
}

// Lost returns how many of the first sent packets have not arrived.
func (p *PacedSink) Lost(sent uint64) uint64 { return sent - uint64(len(p.Samples)) }

// Silence returns the longest time without an arrival within [from, to].
func (p *PacedSink) Silence(from, to mono.Time) time.Duration {
	last, longest := from, time.Duration(0)
	for _, s := range p.Samples {
		if s.At >= from && s.At <= to {
			longest = max(longest, s.At.Sub(last))
			last = s.At
		}
	}
	return max(longest, to.Sub(last))
}

// Delay returns the q-quantile (0..1) of the one-way delay of what arrived within [from, to], 0 if nothing did.
func (p *PacedSink) Delay(q float64, from, to mono.Time) time.Duration {
	var delays []time.Duration
	for _, s := range p.Samples {
		if s.At >= from && s.At <= to {
			delays = append(delays, s.Delay)
		}
	}
	if len(delays) == 0 {
		return 0
	}
	slices.Sort(delays)
	return delays[int(math.Round(q*float64(len(delays)-1)))]
}
