// Package traffic has models of the traffic inside a tunnel: a bulk TCP connection that behaves as Linux does, and a
// UDP stream of even pace such as a call. They speak real IP packets with real headers and checksums, so that whatever
// carries them can look into them, and they do not know what that is.
//
// Every end has the same four methods: OnPacket takes a packet that arrived; Poll fills in the next packet to send and
// returns its length, 0 when there is none for now; NextTimeout and OnTimeout are its timer. After each OnPacket and
// OnTimeout the caller polls until 0. Time is an argument; both ends of a model share one clock. There is no
// randomness at all.
//
// What TCP follows of Linux 6.x: RACK with its reordering window and DSACK, proportional rate reduction, tail loss
// probes, F-RTO and undo, the timeout's estimator, CUBIC with HyStart, quick and delayed acknowledgements, classic ECN.
// Beside CUBIC there are Linux's BBR (version 1, without its guess at policers), paced, and quic-go's Reno (Control): in UDP, paced, it
// tells losses as RFC 9002 does, takes nothing back, and grows only by what is acknowledged while the window is full; its receiver
// drops what comes while 256 packets wait, and acknowledges what waited at once (LikeQUIC).
//
// What it leaves out, because it does not bind in bulk transfers: autotuning of the receive window (it is wide from
// the start), compression of SACKs, GRO and GSO, path MTU changes, FIN, restart after idle.
//
// How near it comes to two Linux 6.18 kernels over the same links is in TestCalibration.
package traffic
