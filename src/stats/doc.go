// Package stats has the names and the shapes of what mpproxy counts: drop reasons with their counters, and the
// status model with its three printers (people, JSON, Prometheus).
//
// It is a pure room: no clock, no goroutine, no log, no I/O. Who owns a counter says how it may be used: Drops belongs
// to one goroutine, AtomicDrops to any number. Nothing here can hold a key or another secret.
package stats
