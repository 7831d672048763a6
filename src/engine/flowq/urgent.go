package flowq

import (
	"mpproxy/src/engine/mono"
)

// Class is how a packet or flow is treated.
type Class uint8

// The classes, best first.
const (
	// Urgent: calls, games, DNS, SYNs, the first packets of a flow, as far as the host's share allows.
	Urgent Class = iota
	// Sparse: a flow that sends less than one quantum per round.
	Sparse
	// Bulk: backlogged flows, served by deficit round robin.
	Bulk
	// Background: CS1 and LE; a sixteenth while others wait.
	Background

	classes = 4
)

// String returns the class in one word.
func (c Class) String() string {
	switch c {
	case Urgent:
		return "urgent"
	case Sparse:
		return "sparse"
	case Bulk:
		return "bulk"
	case Background:
		return "background"
	}
	return "unknown"
}

// DSCPs with a meaning here (RFC 4594, RFC 5865, RFC 8622).
const (
	dscpLE  = 1
	dscpCS1 = 8
	dscpCS4 = 32
	dscpCS5 = 40
	dscpVA  = 44
	dscpEF  = 46
	dscpCS6 = 48
	dscpCS7 = 56
)

// wish returns the class a packet asks for: Urgent, Bulk or Background. first says that it is among the first of its flow.
func wish(info *Info, first bool) Class {
	switch info.DSCP {
	case dscpLE, dscpCS1:
		return Background
	case dscpEF, dscpVA, dscpCS4, dscpCS5, dscpCS6, dscpCS7:
		return Urgent
	}
	if first || info.TCPFlags&FlagSYN != 0 {
		return Urgent
	}
	if (info.Proto == ProtoUDP || info.Proto == ProtoTCP) && (info.SrcPort == dnsPort || info.DstPort == dnsPort) {
		return Urgent
	}
	return Bulk
}

// host is one LAN host's allowance of urgent bytes.
type host struct {
	key    uint64
	used   mono.Time
	tokens float64
}

// hosts is a bounded table of token buckets; a full set forgets its least recently used host.
type hosts struct {
	bytesPerSecond float64 // of one host; 0: no limit known yet
	burst          float64
	table          [hostSets][hostWays]host
}

func (h *hosts) setCapacity(bitsPerSecond float64) {
	h.bytesPerSecond = max(0, bitsPerSecond) / 8 * urgentShare
	h.burst = max(urgentBurstBytes, h.bytesPerSecond*urgentBurstTime.Seconds())
}

// allow takes n bytes from the host's bucket, or is false if they are not there.
func (h *hosts) allow(now mono.Time, key uint64, n int) bool {
	if h.bytesPerSecond == 0 {
		return true
	}
	set := &h.table[key%hostSets]
	entry := &set[0]
	for i := range set {
		if set[i].key == key {
			entry = &set[i]
			break
		}
		if set[i].used < entry.used {
			entry = &set[i]
		}
	}
	if entry.key != key || entry.used.IsZero() {
		*entry = host{key: key, used: now, tokens: h.burst}
	}
	if elapsed := now.Sub(entry.used); elapsed > 0 {
		entry.tokens = min(h.burst, entry.tokens+elapsed.Seconds()*h.bytesPerSecond)
		entry.used = now
	}
	if entry.tokens < float64(n) {
		return false
	}
	entry.tokens -= float64(n)
	return true
}
