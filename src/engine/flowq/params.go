package flowq

import "time"

const (
	// quantumBytes is what a flow may send per round: one full Ethernet packet, so that rounds stay short.
	quantumBytes = 1500
	// urgentFirst is how many packets at the start of a flow are urgent: a handshake, a first request.
	urgentFirst = 3
	// defaultLimitBytes bounds what one Queue holds.
	defaultLimitBytes = 4 << 20
	// minCostBytes is the least a packet counts towards the limit: a Buf takes 2 KiB however short its packet,
	// so that a flood of small packets cannot hold more than twice the limit in memory.
	minCostBytes = 1024
	// maxFlows bounds the flow table; beyond it the flow that was idle longest is forgotten.
	maxFlows = 8192
	// idleAfter is when an idle flow is forgotten: longer than a TCP sender keeps its window unused.
	idleAfter = 10 * time.Second
	// spareFlows bounds the free list of flows kept after a burst of many (about 400 bytes each).
	spareFlows = 1024

	// overtakeBytes is how much better traffic may pass a waiting level before one of its flows goes first: sparse and
	// bulk keep a fifth each even if urgent traffic of many hosts fills everything.
	overtakeBytes = 4 * quantumBytes
	// overtakeBackgroundBytes is the same for background flows, which thus keep a sixteenth.
	overtakeBackgroundBytes = 15 * quantumBytes

	// urgentShare is the part of the capacity that one LAN host may use as urgent.
	urgentShare = 0.20
	// urgentBurstTime and urgentBurstBytes: a host's bucket holds the larger of the two, so that a page's
	// worth of handshakes and name lookups passes on any link.
	urgentBurstTime  = 100 * time.Millisecond
	urgentBurstBytes = 16 << 10
	// hostSets times hostWays bounds the hosts remembered (about 12 KiB).
	hostSets, hostWays = 128, 4

	// targetShare is CoDel's target as a share of the expected inner round trip: a cubic sender that backs off
	// to 0.7 needs about that much standing queue to keep the links busy.
	targetShare = 2 // a half: a quarter left one cubic flow over two lossy links at 0.87 of their sum instead of 0.96
	// minInterval is CoDel's textbook interval; the interval is never below twice the target.
	minInterval = 100 * time.Millisecond
	// codelMemory is for how many intervals CoDel remembers its last drop rate (RFC 8289 section 5.4).
	codelMemory = 16
	// codelFloorBytes: a flow with no more than one packet queued is never marked or dropped.
	codelFloorBytes = 1500

	// rateWindow is over how long a flow's arrival rate is measured, rateMemory how long a measurement counts.
	rateWindow = 50 * time.Millisecond
	rateMemory = 200 * time.Millisecond

	dnsPort = 53
)

// Profile says how much delay of its own a backlogged flow may have, in exchange for throughput.
type Profile uint8

// The profiles, in the words of the configuration.
const (
	Balanced Profile = iota
	Latency
	Throughput
)

// bounds returns the least and the largest CoDel target of a profile.
func (p Profile) bounds() (low, high time.Duration) {
	switch p {
	case Latency:
		return 5 * time.Millisecond, 15 * time.Millisecond
	case Throughput:
		return 15 * time.Millisecond, 100 * time.Millisecond
	default:
		return 15 * time.Millisecond, 60 * time.Millisecond
	}
}

// Params are what a Queue is made with. The zero value is usable, but its flow hash can be guessed.
type Params struct {
	// LimitBytes bounds the packets held; a packet counts as at least 1024 bytes. 0 means 4 MiB.
	LimitBytes int
	// MaxFlows bounds the flow table. 0 means 8192.
	MaxFlows int
	// Profile bounds CoDel's target.
	Profile Profile
	// Seed keys the flow hash: secret, so that nobody outside can aim at somebody's queue.
	Seed uint64
	// HostIsDestination says that LAN hosts are told apart by destination address: true at the remote portal.
	HostIsDestination bool
}
