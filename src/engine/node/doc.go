// Package node is one portal's whole end of the protocol as a value: handshakes, sessions, and the tunnels they carry. Local is
// the router's, with one server; Remote the server's, with all its routers.
//
//	handshake datagrams --> Handshake --> handshake.Initiator / Responder --> Batch.Raws
//	data datagrams --(opened by the caller with Table)--> Receive --> engine.Tunnel --> Delivered
//	inner packets --> Enqueue --> engine.Tunnel --> Poll --> Batch.Datagrams --(sealed by the caller)-->
//
// A path id is used once in a session, and a new session begins with id 1 under new keys. The server knows the connection
// ids of the next few path ids, so the router opens a path by sending on it.
//
// No clock, no goroutine, no log, no I/O; randomness is an io.Reader. Not safe for concurrent use, except that Table
// and the keys in descriptors may be used by I/O goroutines meanwhile.
package node
