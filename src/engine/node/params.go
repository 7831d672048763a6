package node

import "time"

const (
	// hedgeSlow is the pause between initiations once the server has been silent for hedgePatience; it varies by
	// hedgeJitter percent, so that the routers of a server that comes back do not ask at once.
	hedgeSlow     = time.Second
	hedgePatience = 10 * time.Second
	hedgeJitter   = 20
	// attemptLife is how long one initiation is repeated before a fresh one is made.
	attemptLife = 4 * time.Second
	// refusedPause is how long a router waits after the server refused a session, or ended it.
	refusedPause = time.Second
	// rekeyPause is the same after the server refused new keys for a session that stands.
	rekeyPause = 30 * time.Second
	// brokenPause is how long a router waits that cannot even begin a handshake.
	brokenPause = 10 * time.Second
	// silencePatience is how long the server may be silent before people are told what it may be.
	silencePatience = 3 * time.Second
	// allDownPatience is how long no path may answer before a new session is asked for.
	allDownPatience = time.Second
	// peerPatience is how long a server holds a session that nothing comes of: several keepalives. Afterwards it stops
	// sending to an address that may be somebody else's by now.
	peerPatience = 3 * time.Minute
	// conflictWindow and conflictSwaps: so many changes between processes with one key in this time are told to people, if
	// an earlier process came back: a router that was started anew never does.
	conflictWindow = 10 * time.Minute
	conflictSwaps  = 3
	// noticeLife is how long a notice of the other side is shown; the same text is not told again in that time.
	noticeLife = 10 * time.Minute
	// keyLifetimes of the greatest round trip the keys of the previous epoch stay valid, at least keyLifetimeMin.
	keyLifetimes   = 3
	keyLifetimeMin = time.Second
	// pathsAhead is how many path ids beyond the greatest seen are known to the table: as many as a router may open before
	// one of them gets through. pathsBehind is how many below stay known, for datagrams that are late.
	pathsAhead  = 32
	pathsBehind = 32
)

// What people are told. The texts name what to look at, the likeliest first.
const (
	// TextConflict is told on both sides when two routers use one key.
	TextConflict = "two routers use the same key and push each other out: pair one of them again"

	textNoLink  = "no link has an address and a carrier"
	textSilence = "no answer from the server: check that it runs, that its address and UDP port are right and not blocked, " +
		"that option public_key is the server's, and that the server knows this router's public key"
	textPSK = "the server answers, but the preshared keys of router and server differ: set the same on both"
	textKey = "the server's public key is not valid: check option public_key"
)

// noticeConflict is the NOTICE code for TextConflict.
const noticeConflict = 1
