// Package lab builds a small Internet out of network namespaces on one machine and runs the real program in it.
//
//	client ──veth── router ──veth── nat1 ──TUN[linksim]── net ──veth── remote   (one interface, one public address)
//	10.1.0.2        (local portal)  nat2 ──TUN[linksim]──  │
//	                                                       └───veth── server   198.51.100.2
//
// Each nat namespace masquerades, so the router's link addresses are private (and may all be the same: Collide).
// The link itself is two TUN devices, one in nat and one in net; packets read from one go through a linksim.Link per
// direction, in real time, and come out of the other. The emulator's counters, not the program's, say what a link
// carried. A packet crosses each namespace once only: conntrack would take a second pass for the same connection.
//
// Everything is named mpp<pid>-…; Close removes it, and RemoveStale what a killed run left behind.
//
// The traffic (bulk TCP, calls) runs in processes of its own: the binary that uses this package starts itself again
// inside a namespace, so its main (or TestMain) must call RunProgram first.
package lab
