package path

import "time"

const (
	// suspectMin is the least silence that makes a path suspect.
	suspectMin = 30 * time.Millisecond
	// heardLately is how long ago something must have come on a path for it to count as alive the other way.
	heardLately = 25 * time.Millisecond
	// suspectQueueMax bounds what the predicted queue adds to that: on a path that is seldom used the prediction grows
	// with every packet that nobody acknowledges, and the path would never be suspect.
	suspectQueueMax = 400 * time.Millisecond
	// stallGrace is added when every path is silent: then this host may have been stalled, do not flood.
	stallGrace = 100 * time.Millisecond
	// downAfter is the longest a suspect path stays suspect.
	downAfter = time.Second
	// downPTOs is the silence in probe timeouts after which it is down.
	downPTOs = 3
	// answersToRise is how many probes a path that was down must answer.
	answersToRise = 2
	// flipWindow and flipMax: a path that went down this often in this time must answer for cleanAfterFlips first.
	flipWindow      = 30 * time.Second
	flipMax         = 3
	cleanAfterFlips = 2 * time.Second

	// openEvery is the interval of the first probes of a new path, downEvery that of a path that is down, and
	// downEverySlow after downPatience.
	openEvery     = 100 * time.Millisecond
	openPatience  = 2 * time.Second
	downEvery     = 200 * time.Millisecond
	downPatience  = 30 * time.Second
	downEverySlow = time.Second
	// activeProbe keeps delays fresh on a path without traffic while the session is active.
	activeProbe = 500 * time.Millisecond
	// heldEvery shows when a gap that is waited out begins and ends: 60 bytes, some 15 times per gap.
	heldEvery = 10 * time.Millisecond
	// backupProbe is the same for a path that is not wanted now.
	backupProbe = 2 * time.Second
	// meteredProbe is the same for a path that costs money per byte: two datagrams of under 90 bytes each 30 s and their
	// answers are 0.5 MB a day.
	meteredProbe = 30 * time.Second
	// idleAfter without traffic a session is idle, and keepalive holds the NAT's mapping.
	idleAfter = 25 * time.Second
	keepalive = 25 * time.Second

	// floorStuck to floorStuckMax, by the round trip, is the least queue that is suspected to be none: twice what the
	// congestion control keeps standing.
	floorStuck    = 3 * time.Millisecond
	floorStuckMax = 8 * time.Millisecond

	// crowdLeast is the least queue, beside crowdTimes quarters of the floor of the round trip and crowdNoise deviations, that is
	// others' for sure. Where the queue holds one bandwidth-delay product or less, and little in time, nobody starves.
	crowdLeast = 50 * time.Millisecond
	crowdTimes = 3
	crowdNoise = 6

	// unheard is a delay beyond all that come, and small enough to be subtracted from any.
	unheard = 1000 * time.Hour

	// rebasedLeast, beside rebasedNoise deviations, is the least queue taken for the path's own delay that may be another path's.
	rebasedLeast = 8 * time.Millisecond
	rebasedNoise = 4

	// tailMin is the least pause after which the end of a burst is followed by a probe.
	tailMin = 3 * time.Millisecond

	// maxLate bounds how late numbers are taken to be.
	maxLate = 400 * time.Millisecond

	// ackEvery datagrams an acknowledgement is due, and after ackDelayMax at the latest.
	ackEvery    = 8
	ackDelayMax = 10 * time.Millisecond
	ackDelayMin = time.Millisecond
	// rangeMaxAge is how long a range of received numbers goes on being reported beside two round trips.
	rangeMaxAge = 250 * time.Millisecond

	// burst is the time at the path's rate that may be sent back to back after a late timer.
	burst = 2 * time.Millisecond
	// maxPause is the longest pause that is reckoned with: by then every debt is paid.
	maxPause = 10 * time.Second
	// tick is the time at the path's rate that is worth waking up for.
	tick = 400 * time.Microsecond

	// probeAllowance is what an unproven address must still be allowed for a probe to go there.
	probeAllowance = 100

	// MinMTU is the datagram size (UDP payload) that every path must carry: IPv6's minimum less outer headers.
	MinMTU = 1232
	// mtuTries is how often a size is probed before it is given up (RFC 8899 MAX_PROBES).
	mtuTries = 3
	// fullSlack is how much smaller than the largest a datagram may be to count as a full one: packets differ in their headers.
	fullSlack = 64
	// mtuStep is the least difference that is worth probing for.
	mtuStep = 24
	// blackHoleLosses full packets lost in a row with none acknowledged mean that the path's MTU has shrunk.
	blackHoleLosses = 6
	// blackHoleMore in proportion to what the path loses are needed beside: 15 at one half.
	blackHoleMore = 30
	// mtuRaiseMin packets must arrive before a refuted size is tried again, then twice as many, up to mtuRaiseMax (RFC 8899
	// section 5.3: PMTU_RAISE_TIMER).
	mtuRaiseMin = 1 << 10
	mtuRaiseMax = 1 << 17
)
