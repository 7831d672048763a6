// Package portal assembles a running daemon from its configuration.
//
// Tasks, each one goroutine that owns its state; batches cross between them, not locks:
//
//	TUN reader  --tunBatch-->  loop  --engine.Batch-->  sender of each socket --> network
//	TUN writer  <--tunBatch--  loop  <----rxBatch----   reader of each socket <-- network
//	                            ^ do(func)
//	                            |-- system task (links, addresses, routes; watches the kernel)
//	                            |-- control socket (status, pause)
//
// The loop alone touches node.Local or node.Remote. Readers open datagrams and senders seal them, so the cryptography runs
// beside the engine.
package portal

import "time"

const (
	// rxBatches and tunBatches are how many batches may wait for the loop; behind them the kernel's own buffers fill.
	rxBatches  = 16
	tunBatches = 8
	// trimEvery is how often buffers that nobody has needed are let go.
	trimEvery = 10 * time.Second
	// tunWritePackets is from how many packets on no more batches are joined to one write.
	tunWritePackets = 128
	// sendQueue is how many batches may wait for a sender before its paths count as busy.
	sendQueue = 8
	// busyRetry and busyTries: what a socket does not take now is tried again so often.
	busyRetry = time.Millisecond
	busyTries = 20
	// resolveEvery is how often a server's name that does not resolve is tried again, and resolveAgain one that does.
	resolveEvery = 5 * time.Second
	resolveAgain = 5 * time.Minute
	// directAfter without a session the LAN goes direct again, unless the kill switch forbids it.
	directAfter = 15 * time.Second
	// lookEvery is how often the system task looks whether all is as it should be, whatever it was told.
	lookEvery = 2 * time.Second
)
