// Package streams runs multipath streams (package mpp) over TCP connections.
//
//	Client.Open --dials each Way--> TCP --hello, records--> Server --first frame: MID--> Stream, Handle
//
// A Stream is one end of a connection: Read, Write, CloseWrite as with TCP. For each subflow one goroutine reads and
// one writes; all of them, the clients' calls and a timer take turns with the mpp.Conn under the Stream's lock. An
// idle stream holds no buffers.
package streams
