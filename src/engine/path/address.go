package path

import (
	"net/netip"
	"time"

	"mpproxy/src/engine/mono"
)

// Address is where the other end of a path is, as far as that is proven (RFC 9000 section 8 and 9).
//
// The router's end knows its server and starts validated. At the server the address of the first packet, and
// every later change, must answer a challenge: until then data stays where it was, and at most as many bytes go to
// an unproven address as came from it. A challenge goes to the old address too; if that one answers and
// packets go on coming from there, the change was somebody copying packets.
type Address struct {
	// Remote is where data goes; Local the own address it must come from, if that matters, and Link the portal's number
	// of the socket.
	Remote netip.AddrPort
	Local  netip.Addr
	Link   int

	validated bool
	allowance int64 // bytes that may still go to an unproven Remote
	token     uint64
	sent      mono.Time
	tries     int
	size      int64 // of a challenge

	next         netip.AddrPort
	nextLocal    netip.Addr
	nextLink     int
	nextToken    uint64
	nextAnswered mono.Time
	oldAnswered  bool // since then
	nextSince    mono.Time
	nextAsked    mono.Time
	nextBytes    int64
}

// Challenge is what to send to prove an address.
type Challenge struct {
	// Token is to come back; To, Local and Link are as in Address.
	Token uint64
	To    netip.AddrPort
	Local netip.Addr
	Link  int
}

const (
	challengeEvery = 100 * time.Millisecond
	challengeTries = 10
	// challengePause is how long after the last try of a first address the next may begin.
	challengePause = time.Second
	changePatience = 3 * time.Second
	// changeDoubt is how long nothing may come from an old address that answers before the new one is believed.
	changeDoubt = time.Second
)

// Trust makes the address proven: the portal chose it itself.
func (a *Address) Trust(remote netip.AddrPort) { a.Remote, a.validated = remote, true }

// Validated reports that Remote answered a challenge.
func (a *Address) Validated() bool { return a.validated }

// Allows reports that n more bytes may go to Remote.
func (a *Address) Allows(n int) bool { return a.validated || a.allowance >= int64(n) }

func (a *Address) spend(n int) {
	if !a.validated {
		a.allowance -= int64(n)
	}
}

// From takes the source of an authenticated datagram of n bytes. newest says that its number is the greatest so far.
// random makes challenge tokens. changed reports that a challenge is due.
func (a *Address) From(now mono.Time, remote netip.AddrPort, local netip.Addr, link, n int, newest bool, random func() uint64) (changed bool) {
	switch {
	case !a.Remote.IsValid():
		a.Remote, a.Local, a.Link, a.token = remote, local, link, random()
		a.allowance = int64(n)
		return true
	case remote == a.Remote:
		if !a.validated {
			a.allowance += int64(n)
			a.tryAgain(now)
		}
		if newest {
			// It still sends from there: who sent from elsewhere had copied a packet.
			a.Local, a.Link, a.next = local, link, netip.AddrPort{}
		}
		return false
	case !newest:
		return false
	case remote == a.next:
		a.nextBytes += int64(n)
		return false
	}
	a.next, a.nextLocal, a.nextLink, a.nextToken, a.nextBytes = remote, local, link, random(), int64(n)
	a.nextAnswered, a.nextSince, a.nextAsked, a.sent, a.tries, a.oldAnswered = 0, now, 0, 0, 0, false
	a.token = random()
	return true
}

// tryAgain begins the challenges anew when all were lost and the other side goes on sending.
func (a *Address) tryAgain(now mono.Time) {
	if a.tries >= challengeTries && !a.next.IsValid() && now.Sub(a.sent) >= challengePause {
		a.tries = 0
	}
}

// Challenge returns a challenge of size bytes on the link to send now and where to, if one is due. Call it again until
// due is false.
func (a *Address) Challenge(now mono.Time, size int) (c Challenge, due bool) {
	if a.next.IsValid() && now.Sub(a.nextSince) > changePatience {
		a.next = netip.AddrPort{}
	}
	pending := !a.validated || a.next.IsValid()
	if !pending || !a.Remote.IsValid() || a.tries >= challengeTries || now < a.sent.Add(challengeEvery) && a.tries%2 == 0 && a.sent != 0 {
		return Challenge{}, false
	}
	if a.size = int64(size); a.starved() {
		return Challenge{}, false
	}
	a.tries++
	a.sent = now
	if a.next.IsValid() && a.tries%2 == 1 {
		a.nextBytes -= int64(size)
		if a.nextAsked == 0 {
			a.nextAsked = now
		}
		return Challenge{a.nextToken, a.next, a.nextLocal, a.nextLink}, true
	}
	if !a.next.IsValid() {
		a.tries++ // a new path has one address to ask, so each try counts for both
	}
	return Challenge{a.token, a.Remote, a.Local, a.Link}, a.Allows(size)
}

// starved reports that a challenge to the new address must wait until more has come from there.
func (a *Address) starved() bool {
	return a.next.IsValid() && a.tries%2 == 0 && a.nextBytes < a.size
}

// NextChallenge is when Challenge or Settle is to be called next, or mono.Never.
func (a *Address) NextChallenge() mono.Time {
	if a.next.IsValid() && a.nextAnswered != 0 {
		return a.settleAt()
	}
	if a.validated && !a.next.IsValid() || a.tries >= challengeTries || !a.Remote.IsValid() || a.starved() {
		return mono.Never
	}
	return a.sent.Add(challengeEvery)
}

// Response takes the answer to a challenge, which came from that address. An address is proven only by an answer from it:
// else somebody in between could have the router answer for him.
func (a *Address) Response(now mono.Time, from netip.AddrPort, token uint64) {
	switch {
	case a.next.IsValid() && token == a.nextToken && from == a.next:
		a.nextAnswered = now
	case a.next.IsValid() && token == a.token && a.validated:
		a.oldAnswered = true // whatever way the answer took: what is sent there gets to the router
	case !a.validated && a.Remote.IsValid() && token == a.token && from == a.Remote:
		a.validated = true
	}
}

// settleAt is when the old address has had its time to answer: half as long again as the new one needed. If it did
// answer, somebody copies packets, or relays them; then it matters from where the router's packets go on coming: any
// that comes from the old address ends the change.
func (a *Address) settleAt() mono.Time {
	if a.oldAnswered {
		return mono.Max(a.nextAnswered, a.nextSince.Add(changeDoubt))
	}
	return a.nextAnswered.Add(max(challengeEvery, a.nextAnswered.Sub(a.nextAsked)) / 2)
}

// Settle moves the path to its new address when that answered and the old one stayed silent. host reports that the
// IP address changed too, not only the port.
func (a *Address) Settle(now mono.Time) (moved, host bool) {
	if !a.next.IsValid() || a.nextAnswered == 0 || now < a.settleAt() {
		return false, false
	}
	host = a.next.Addr() != a.Remote.Addr()
	a.Remote, a.Local, a.Link, a.validated = a.next, a.nextLocal, a.nextLink, true
	a.next = netip.AddrPort{}
	return true, host
}
