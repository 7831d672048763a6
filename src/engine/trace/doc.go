// Package trace writes down what a tunnel does, as JSON lines in the manner of qlog, and keeps the last of them.
//
//	mpproxy trace --seconds 10 --output trace.jsonl        of a running portal
//	go run ./hack/sweep -only rtt_120 -trace trace.jsonl   in virtual time
//	go run ./hack/plot trace.jsonl                         draws trace.svg
//
// Each line is one object. These members are in all of them:
//
//	time    ms since the trace began
//	tunnel  which end: the name of the other side, or "router" and "server" in virtual time
//	event   one of those below
//
// Rates are Mbit/s as on the link, sizes bytes, times ms. Events and their members:
//
//	trace   the beginning: version 1, side "router" or "server"
//	open    a path was opened: path, link
//	close   a path was closed: path
//	path    a look at a path, every 20 ms while it is used: path, link, state (opening, up, suspect, down),
//	        phase (the congestion control's), rate (pacing), bandwidth (estimate), window, flight, packets (on the way),
//	        queue (predicted wait in the path), delay (one-way, above the path's floor), deviation, rtt, rtt_min,
//	        loss (percent), and since the path was opened: sent and received (bytes), lost (packets); shared, if it shares its
//	        bottleneck with another
//	queue   a look at what waits for a path: backlog, packets, wait (the longest that a packet sent since the last look
//	        had stood), flows, spread (flows over several paths), repairs (waiting), and since the tunnel was made:
//	        dropped, marked, sent_packets
//	lanes   a look at what waits for order: held, held_bytes, holds (a list: packets released since the last look that were held
//	        below 0.5, 1, 2 ... 512 ms, or longer), evened (packets since then that were kept for the sake of even delays) and even_time
//	        (of all those together, so that even_time / evened is what each was kept), and since the session began: delivered, gaps, skipped, gave_up, late
//	state   a path's state changed: path, from, to
//	phase   a path's congestion control moved on: path, from, to
//	lost    a packet was declared lost: path, number, bytes, and lane and seq if it had them
//	late    packets declared lost came after all: path, count
//	repair  a lost packet is sent again: path, from (the path it was lost on), after (ms since its loss was seen), lane and seq
//	gave_up a lost packet is not sent again: lane and seq
//
// Lines that did not fit are missing and counted; nothing in the tunnel waits for a trace.
//
// This is a pure room: no clock, no randomness, no goroutine, no log, no I/O.
package trace
