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
	CmdPair   = "pair"   // server: Action is one of those below; Text is an enrol.Order, the result an enrol.Issued or a list of them
	CmdJob    = "job"    // what takes longer: Action start with Name and Text, or poll with Name, the job's id; a portal.Job
	CmdLimits = "limits" // what this version cannot do yet: a list of config.Limit
	CmdSecret = "secret" // Action set: the password Name ("user.ann", "relay.nl") is Text, empty for none; list: the names of those set
	CmdRing   = "ring"   // the last minutes of each connection: a portal.Ring
	CmdEvents = "events" // what happened lately: a list of portal.Event
	CmdPeers  = "peers"  // server: lists, or changes the router Name; the result is a list of enrol.Router
	CmdTrace  = "trace"  // what the tunnels do, from line Text on, or from now; on while asked: a portal.Traced
	CmdReload = "reload" // the result is a Reloaded; an error means that nothing changed

	ActionPause  = "pause"  // stop using the link until resume or a restart
	ActionResume = "resume" // use it again

	ActionSet = "set" // a password

	ActionStart = "start" // a job
	ActionPoll  = "poll"  // how far the job Name is

	ActionIssue  = "issue"  // a new token
	ActionList   = "list"   // the open tokens; the routers
	ActionRevoke = "revoke" // the token Name; the router Name
	ActionAllow  = "allow"  // the router Name again
	ActionRename = "rename" // the router Name to Text
	ActionLimit  = "limit"  // the router Name to Text, "UP DOWN" in Mbit/s, 0 for none, -1 for as it is
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
	Name   string `json:"name,omitempty"`   // of a router, a token, or a job
	Text   string `json:"text,omitempty"`   // what the command needs beside, as it says
}

// Reloaded is what reading the configuration again came to, one phrase each.
type Reloaded struct {
	Changes []string `json:"changes"`           // what changed
	Restart []string `json:"restart,omitempty"` // what differs, and changes with a restart only
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
