package congestion

import "time"

const (
	// MTU stands for a full packet on the link in bytes.
	MTU = 1500
	// InitialWindow is the first window: 32 packets paced over the handshake's round trip, or initialSpread if that is less: on a
	// long path a slower pace would make an inner sender believe that it has filled the path (HyStart).
	InitialWindow = 32 * MTU
	initialSpread = 10 * time.Millisecond
	// MinWindow keeps a path able to report losses by later packets.
	MinWindow = 4 * MTU
	// MinWindowSlow is MinWindow below SlowRate, where four packets would be a long queue.
	MinWindowSlow = 2 * MTU
	// SlowRate is 2 Mbit/s.
	SlowRate = 250_000

	// startupGain fills a path within log2(bandwidth) round trips (BBR: 4 ln 2).
	startupGain = 277
	drainGain   = 50
	// startupSpread is the pace of slow start's window, in percent of a window per round trip.
	startupSpread = 125
	probeGain     = 125
	// probeGainLong is for paths whose round trip makes a quarter of it a long queue.
	probeGainLong = 112
	downGain      = 80
	// probeFaster is added to the gain for each round that a probe has brought growth, up to probeGainMax.
	probeFaster  = 25
	probeGainMax = 200
	// emptyRounds without a queue at full rate are a reason to probe at once.
	emptyRounds = 4

	// windowGain is how many bandwidth-delay products may be on the way, in percent.
	windowGain = 200

	// startupGrowth is the growth a round must bring for start-up to go on, in percent.
	startupGrowth = 125
	// startupRounds without growth end start-up (BBR's full pipe).
	startupRounds = 3
	// startupQueueRounds with a standing queue end it too: buffers a second deep exist.
	startupQueueRounds = 2
	// startupQueueWeight is how much more a round counts in which the queue also grew.
	startupQueueWeight = 3
	// startupQueueMost is a queue of which one round is enough: by the next one the link's buffer may have overflowed.
	startupQueueMost = 50 * time.Millisecond
	// startupTelling is how many bytes a round must have for its delay or loss to say anything.
	startupTelling = 12 * MTU
	// startupLossTelling is how many bytes a round must have for its loss alone to end start-up: a queue too short for the delay to
	// show it through the jitter overflows, and each round more loses as much again.
	startupLossTelling = 48 * MTU

	// queueTargetMin and queueTargetMax bound the queue that is kept standing while cruising, so that the link never runs dry.
	queueTargetMin = 1500 * time.Microsecond
	queueTargetMax = 4 * time.Millisecond
	// queueTargetNoisy bounds it where the delay jitters and a small queue cannot be seen.
	queueTargetNoisy = 8 * time.Millisecond
	// queueAbort ends a probe whatever the gain.
	queueAbort = 40 * time.Millisecond

	// probeEvery rounds, within probeMin and probeMax, the rate is probed upwards.
	probeRounds = 8
	probeMin    = 500 * time.Millisecond
	probeMax    = 2 * time.Second
	// probeBackoffMax bounds the pauses after probes that found nothing but loss.
	probeBackoffMax = 8 * time.Second
	// probeGrowth is the growth in percent that makes a probe go on.
	probeGrowth = 105

	// saturatedRounds in which delivery lags behind sending while a queue stands show what the link carries.
	saturatedRounds = 2

	// rivalFlows is how many flows the path competes as: one with as much again for it to grow into.
	rivalFlows = 2
	// rivalLife bounds the mode, for the case that no trial tells.
	rivalLife = 60 * time.Second
	// rivalGone is the round trip in percent of what it was before, below which the others have gone. The mode begins above 175.
	rivalGone = 130
	// rivalEvery is the time between trials. Each costs what rivalLess leaves of the window for rivalRounds rounds: one for the
	// queue to shrink, one to measure. It must not be so much that CoDel drops what waits meanwhile.
	rivalEvery  = 10 * time.Second
	rivalLess   = 75
	rivalRounds = 2
	// rivalAlone is the rate in percent of that before, that says "alone": with half of the link 89 are left, with a tenth 82.
	rivalAlone = 95
	// rivalSure trials in a row must say so.
	rivalSure = 2
	// rivalBan is for how long the mode stays off after that, the first time and at most.
	rivalBan     = 30 * time.Second
	rivalBanMost = 5 * time.Minute

	// fullSlack is how much of a window may be free for it to count as used: pacing and whole packets never fill it.
	fullSlack = 3 * MTU
	// deliveryRounds is after how many round trips an old delivery rate begins to be forgotten.
	deliveryRounds = 8
	// longIdle is a pause after which a window says little (RFC 2861; ENGINE: careful resume).
	longIdle = 10 * time.Second
	// paceSlowStart and paceAvoidance are the windows per round trip that pacing allows: enough to double, and enough not to
	// hold the window back (Linux has the same 2; RFC 9002 section 7.7 suggests 1.25).
	paceSlowStart = 2.0
	paceAvoidance = 1.25
	// renoShrink is RFC 9002's kLossReductionFactor; cubicShrink and cubicC are RFC 9438's beta and C.
	renoShrink  = 0.5
	cubicShrink = 0.7
	cubicC      = 0.4

	// hystartMin and hystartMax bound the growth of the delay that ends slow start, hystartSamples round trips are looked
	// at, and hystartRounds rounds of growing hystartSlower times slower confirm it (RFC 9406 section 4.3).
	hystartMin     = 4 * time.Millisecond
	hystartMax     = 16 * time.Millisecond
	hystartSamples = 8
	hystartSlower  = 4
	hystartRounds  = 5

	// inferredSearch and inferredGrowth are what a round without trouble adds, before and after the first trouble, and
	// inferredCreep while a short queue stands.
	inferredSearch = 1.5
	inferredGrowth = 1.1
	inferredCreep  = 1.02
	// inferredUsed of the rate must be delivered for it to count as used.
	inferredUsed = 0.75
	// inferredTelling is how many bytes must have been acknowledged or lost for their shares to say something.
	// After inferredRounds they are taken as they are.
	inferredTelling = 32 * MTU
	inferredRounds  = 4
	// inferredBack is the share of what was delivered that is sent after trouble, inferredBackMost the least share of the
	// rate that one round can leave.
	inferredBack = 0.95
	// inferredBackFirst is the least share of the best rate of late that the first back-off leaves.
	inferredBackMost  = 0.7
	inferredBackFirst = 0.8
	// inferredLoss beyond the usual share lost is trouble, and inferredUsual is the most that is believed to be usual.
	inferredLoss  = 0.04
	inferredUsual = 0.10
	// inferredQueue standing for a round is trouble, too, where the delay does not vary by as much anyway.
	inferredQueue = 20 * time.Millisecond
	inferredNoise = 3
	// inferredMost bounds the rate by what was delivered lately, and inferredLeast from below (64 kbit/s).
	inferredMost  = 2.0
	inferredLeast = 8000
)
