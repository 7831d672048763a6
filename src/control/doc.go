// Package control lets programs on the same machine ask a running portal: one JSON line over a unix socket, one JSON
// line back, then the connection ends.
//
//	-> {"cmd":"status"}
//	<- {"result":{…}}
//	-> {"cmd":"link","link":"dsl","action":"pause"}
//	<- {"error":"there is no link 'dsl'"}
//
// The socket is open to its owner only. What a client may cost is bounded: 16 at once, 64 KiB, a few seconds each.
package control

import (
	"encoding/json"
	"errors"
	"time"
)

// The commands and what a link can be told.
const (
	CmdStatus = "status" // the result is a stats.Status
	CmdLink   = "link"   // no result

	ActionPause  = "pause"  // stop using the link until resume or a restart
	ActionResume = "resume" // use it again
)

// Bounds, each far above what an honest client needs.
const (
	maxClients       = 16
	maxRequestBytes  = 64 << 10
	maxResponseBytes = 8 << 20         // a status of 256 peers has some 300 KB
	clientTimeout    = 5 * time.Second // for each of: request, handling, answer
	acceptPause      = 100 * time.Millisecond
)

// Request is what a client asks.
type Request struct {
	Cmd    string `json:"cmd"`
	Link   string `json:"link,omitempty"`   // the link's name
	Action string `json:"action,omitempty"` // what to do with it
}

// response is what it gets; one of the two is set.
type response struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// ErrNotRunning says that nobody answers at the socket.
var ErrNotRunning = errors.New("mpproxy is not running")

// ErrRunning says that the socket is taken by a portal that answers.
var ErrRunning = errors.New("mpproxy is already running")
