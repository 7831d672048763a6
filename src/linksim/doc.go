// Package linksim is a model of one Internet link, one direction at a time: rate, drop-tail queue, delay, jitter,
// loss and outage, in virtual time.
//
// A packet goes through a Link in this order:
//
//	offered -> StopAfter, LoseList -> outage -> random loss -> policer -> queue (bytes, drop-tail)
//	        -> serialised at Rate -> delay + jitter -> delivered (to a Joint's common link, where several lead into one)
//
// Contract of the room: no clock, no randomness of its own, no goroutine, no log, no I/O; not safe for concurrent
// use. Time is an argument and must not run backwards; random numbers come from a seeded generator that belongs to
// the Link, so that a run can be repeated. In steady state no call allocates.
package linksim
