// Package streams runs multipath streams (package mpp) over TCP connections.
//
//	Client.Open --dials each Way--> TCP --hello, records--> Server --first frame: MID--> Stream, Handle
//
// Secrets come from the portals' session. Without one the first subflow makes a secret by a handshake of its own, which
// costs one more round trip (see shake.go).
//
// A Stream is one end of a connection: Read, Write, CloseWrite as with TCP. For each subflow one goroutine reads and
// one writes while there is something to do; all of them, the clients' calls and a timer take turns with the mpp.Conn under
// the Stream's lock. An idle stream holds no buffers, its subflows are parked (package park), and keys are made again when
// something comes. Once all rests it sleeps: its mpp.Conn is packed, and there is no timer (see rest.go). What a stream takes by
// being there, and while something moves, counts in the pool, so that the windows of others are smaller for it.
package streams
