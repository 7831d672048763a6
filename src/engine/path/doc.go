// Package path is one way between the portals: how alive it is, when it may send, what it owes in acknowledgements.
//
//	Opening --first answer--> Up <--new acknowledgement-- Suspect
//	                          Up --silence, others heard--> Suspect --3 PTO or 1 s--> Down
//	                          Down --2 probes answered over a round trip--> Up
//
// A state is this side's verdict on its own sending; the other side has its own.
//
// No clock, no randomness of its own, no goroutine, no log, no I/O; not safe for concurrent use.
package path
