package mpp

import "time"

const (
	// BlockBytes is the most payload of a frame.
	BlockBytes = 16 << 10
	// pieceBytes is the unit of buffers: of many connections that keep little each, half of it is empty.
	pieceBytes = 8 << 10
	// MaxRecord bounds the plaintext of a record: one full data frame, and acknowledgement, reset and pings before it.
	MaxRecord = BlockBytes + 2048
	// minChunk is one packet on most paths: less costs more in headers than it gains in delay.
	minChunk = 1400
	// chunkTime is how long one frame may take to leave at a subflow's rate.
	chunkTime = 10 * time.Millisecond
	// initialWindow is how much may be under way to a receiver that has said nothing yet.
	initialWindow = 128 << 10
	// minWindow is what a connection keeps under pressure.
	minWindow = 8 << 10
	// windowGain is how many round trips of data the window holds: what is held up by the slowest, what goes on
	// meanwhile, and room to grow.
	windowGain = 2.5
	// poolPressure is the fill of the pool above which windows shrink, poolPlenty below which they may grow.
	poolPressure = 0.75
	poolPlenty   = 0.5
	// leastCarried is the part of the pool that is for what connections carry in any case.
	leastCarried = 8
	// poolReserved is the most of the pool that may be reserved: the rest is for what connections carry.
	poolReserved = 0.75
	// firstFlight is what a subflow gets before anything is known of it, and floorFlight what it always may have.
	firstFlight = 64 << 10
	floorFlight = 16 << 10
	// flightRounds is how many of its own round trips of a subflow's rate may be under way. A kernel that has less than
	// its congestion window allows takes its connection for one that has nothing to send: bbr never ends its start-up then,
	// at three times the rate that it has found, and what was lost in a full queue holds all up for another round trip.
	// What waits unsent is bounded by the socket; this bounds what waits in relays on the way.
	flightRounds = 3
	// slackFlight is beside that the time that may be under way: batches, late acknowledgements.
	slackFlight = 50 * time.Millisecond
	// unevenFlight is how much of the deviation of acknowledgements comes on top of that: a link with jitter, or whose
	// losses hold all up, is busy for longer than its round trip says.
	unevenFlight = 4
	// defaultRTT is assumed of a subflow that has not answered yet: rather slow, so that it gets no tail.
	defaultRTT = 200 * time.Millisecond
	// ackDelay and ackBytes: an acknowledgement waits so long, or for so much.
	ackDelay = 5 * time.Millisecond
	ackBytes = 64 << 10
	// ackPatience is how long the best subflow may take to fetch an acknowledgement until any may.
	ackPatience = 25 * time.Millisecond
	// silence is how long nothing may come on a subflow, while something comes on others, until acknowledgements avoid it.
	silence = 50 * time.Millisecond
	// lateFactor times the predicted time (and lateSlack) is when data on a subflow is sent again on others.
	lateFactor = 1.5
	lateSlack  = 10 * time.Millisecond
	// headBytes is how much behind the first byte that is missing counts as what the reader waits for.
	headBytes = 64 << 10
	// againAfter is how long what a receiver had no room for waits to be sent again.
	againAfter = 50 * time.Millisecond
	// nearBytes and farAfter: what was refused further behind what has come than the least window waits so much longer, or until
	// it is near: a receiver that is short of memory would refuse it again and again.
	nearBytes = 2 * minWindow
	farAfter  = 500 * time.Millisecond
	// estimateSpan is how long a rate or a least round trip counts at most, twice that at the longest.
	estimateSpan = 2 * time.Second
	rttSpan      = 15 * time.Second
	// pingEvery keeps a subflow alive through translators and proxies; deadAfter without an answer it is dead.
	pingEvery = 20 * time.Second
	// answerPatience is how much later than that the side asks that did not open the subflow: it need not while it is asked.
	answerPatience = 5 * time.Second
	deadAfter      = 15 * time.Second
	// lifeAfter is when a subflow of which nothing was heard yet is asked for life.
	lifeAfter = time.Second
	// maxRanges is how many ranges an acknowledgement tells, maxHeld how many a receiver keeps.
	maxRanges = 64
	maxHeld   = 1024
	// maxSubflows bounds the subflows of a connection at a time.
	maxSubflows = 64
	// fullFor is how long a client that had more to write than there was room for is taken for one that goes on, and
	// bulkBytes how much must have arrived until a subflow whose kernel still looks for its rate is given all it takes.
	fullFor   = 500 * time.Millisecond
	bulkBytes = 1 << 20
	// feedFor is how long a subflow gets that at most: behind a relay, the kernel's start-up may last for ever. startFlight
	// times as much may be under way then, as what is acknowledged is behind what the kernel has found, above all when a
	// loss holds all up.
	feedFor     = 10 * time.Second
	startFlight = 3
	// startShare is the part of the window that one in its start-up may fill at most: a full queue's losses hold it up for
	// rounds, and the others must have room to go on meanwhile.
	startShare = 4
	// aDay, in seconds, bounds predictions.
	aDay = 86400
	// scanTail is how many segments are looked at for a tail that another subflow would finish sooner.
	scanTail = 64
)
