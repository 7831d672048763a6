// Package gaps learns when a path falls silent for a moment again and again at the same distance, as a satellite link does that is
// given another satellite every 15 seconds, and says when that is about to happen.
//
// What becomes of packets is kept in slots of 10 ms by when they were sent: lost or much later than usual, or well. A second later,
// when all is known, a run of bad slots without a good one is a gap. Three gaps at one distance are a period; what comes when it
// should keeps the period true, and one that does not come while the path is in use is missed.
//
// No clock, no randomness of its own, no goroutine, no log, no I/O; not safe for concurrent use. Nothing allocates.
package gaps

import "time"

const (
	// slot is the grain of time, and slots how many are kept: a power of two. A slot is judged when one judged later has begun:
	// by then a loss is known, but for paths that are given up altogether.
	slot   = 10 * time.Millisecond
	slots  = 256
	judged = 128

	// Late is how much more than the usual round trip makes a packet a bad one: calls notice no less.
	Late = 40 * time.Millisecond

	// leastSlots that are bad, over leastRun at least, and not more than longest make a gap: fewer are losses by chance, more a
	// path that died. A run ends also with nothing sent for pause.
	leastSlots = 3
	leastRun   = 4
	longest    = 60
	pause      = 25

	// remembered gaps are looked at for a period between least and greatest. Starlink's is 15 s.
	remembered     = 16
	leastPeriod    = 5 * time.Second
	greatestPeriod = 65 * time.Second
	// tolerance is how far a gap may be off: it is seen when the next packet meets it, and calls send every 20 ms.
	tolerance = 80 * time.Millisecond
	// weight is the share of a new distance in the period.
	weight = 4
	// mostMissed gaps that did not come end a period, and so does mostUnseen times its length without a gap seen, for want of
	// traffic: the error of its length has added up by then.
	mostMissed = 3
	mostUnseen = 10

	// before and after a gap as expected it is close: what the grain of time leaves open. More would cost what it saves.
	before = slot
	after  = slot
	// reach is how far beyond its bad slots, in slots, a gap may go for want of packets: calls send every second slot.
	reach = 2
)
