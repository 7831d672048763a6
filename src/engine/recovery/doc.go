// Package recovery keeps what was sent on one path until its fate is known: round trips, one-way delays, delivery rates
// and losses come from here.
//
// No clock, no randomness of its own, no goroutine, no log, no I/O; not safe for concurrent use.
// Terms are those of RFC 9002; the adaptive reordering window follows RFC 8985 (RACK), the delivery rate
// draft-ietf-ccwg-bbr with the receiver's clock in place of the sender's.
package recovery
