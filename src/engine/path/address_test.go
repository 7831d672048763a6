package path

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
)

var (
	otherPort = netip.AddrPortFrom(home.Addr(), 7000)
	away      = netip.MustParseAddrPort("203.0.113.9:4444")
	local     = netip.MustParseAddr("192.0.2.1")
)

// seat is an Address with the things around it: tokens that count up, and what was asked of whom.
type seat struct {
	Address
	t     testing.TB
	now   mono.Time
	token uint64
	asked map[netip.AddrPort]uint64 // the last token sent to each address
}

func newSeat(t testing.TB) *seat {
	return &seat{t: t, now: begin, token: 1000, asked: map[netip.AddrPort]uint64{}}
}

func (s *seat) random() uint64 { s.token++; return s.token }

// from lets a datagram of 100 bytes come.
func (s *seat) from(a netip.AddrPort, newest bool) bool {
	return s.From(s.now, a, local, 3, 100, newest, s.random)
}

// poll sends what is due and returns to whom.
func (s *seat) poll() (to []netip.AddrPort) {
	s.t.Helper()
	for {
		c, due := s.Challenge(s.now, 100)
		if !due {
			return to
		}
		if len(to) > 4 {
			s.t.Fatal("no end of challenges")
		}
		s.asked[c.To] = c.Token
		to = append(to, c.To)
		s.spend(61)
	}
}

// proven is a seat whose address has answered.
func proven(t testing.TB) *seat {
	s := newSeat(t)
	want(t, "challenge due", s.from(home, true), true)
	s.poll()
	s.Response(s.now, home, s.asked[home])
	want(t, "validated", s.Validated(), true)
	return s
}

// wait lets d pass, with challenges going out and nobody answering, and reports whether the path moved.
func (s *seat) wait(d time.Duration) (moved, host bool) {
	for until := s.now.Add(d); s.now < until; s.now = s.now.Add(5 * ms) {
		if moved, host = s.Settle(s.now); moved {
			return moved, host
		}
		s.poll()
	}
	return false, false
}

func TestTrusted(t *testing.T) {
	var a Address
	a.Trust(home)
	want(t, "validated", a.Validated(), true)
	want(t, "allows", a.Allows(1<<40), true)
	want(t, "next", a.NextChallenge(), mono.Never)
	_, due := a.Challenge(begin, 100)
	want(t, "due", due, false)
}

// RFC 9000 section 8: the first address is asked, and gets no more than came from it until it answers.
func TestFirstAddress(t *testing.T) {
	s := newSeat(t)
	want(t, "allows before anything came", s.Allows(1), false)
	want(t, "next before anything came", s.NextChallenge(), mono.Never)
	want(t, "challenge due", s.from(home, true), true)
	want(t, "remote", s.Remote, home)
	want(t, "link", s.Link, 3)
	want(t, "allows what came", s.Allows(100), true)
	want(t, "allows more", s.Allows(101), false)
	to := s.poll()
	want(t, "asked", fmt.Sprint(to), fmt.Sprint([]netip.AddrPort{home}))
	s.Response(s.now, home, s.asked[home]+1)
	want(t, "wrong token", s.Validated(), false)
	s.Response(s.now, away, s.asked[home])
	want(t, "answer from elsewhere", s.Validated(), false)
	s.Response(s.now, home, s.asked[home])
	want(t, "validated", s.Validated(), true)
	want(t, "next", s.NextChallenge(), mono.Never)
}

// Lost challenges are repeated while the address may be sent to; later ones begin when more comes.
func TestChallengesAreRepeated(t *testing.T) {
	s := newSeat(t)
	s.from(home, true)
	count := 0
	for range 60 {
		s.from(home, false)
		count += len(s.poll())
		s.now = s.now.Add(100 * ms)
	}
	if count < 10 || count > 30 {
		t.Errorf("%d challenges in 6s", count)
	}
	s.Response(s.now, home, s.asked[home])
	want(t, "a late answer counts", s.Validated(), true)
}

// The port changes and the old one is silent, as when a NAT forgets: the path moves and keeps what it knows.
func TestPortChange(t *testing.T) {
	s := proven(t)
	s.now = s.now.Add(time.Second)
	want(t, "challenge due", s.from(otherPort, true), true)
	want(t, "data stays", s.Remote, home)
	want(t, "asked", fmt.Sprint(s.poll()), fmt.Sprint([]netip.AddrPort{otherPort, home}))
	s.now = s.now.Add(30 * ms)
	s.Response(s.now, otherPort, s.asked[otherPort])
	want(t, "data stays while the old one may answer", s.Remote, home)
	at := s.now
	moved, host := s.wait(time.Second)
	want(t, "moved", moved, true)
	want(t, "host", host, false)
	want(t, "remote", s.Remote, otherPort)
	want(t, "still validated", s.Validated(), true)
	if after := s.now.Sub(at); after < 50*ms || after > 60*ms {
		t.Errorf("moved %v after the answer", after)
	}
}

// Another host: the caller is told, because the way may be another one.
func TestHostChange(t *testing.T) {
	s := proven(t)
	s.from(away, true)
	s.poll()
	s.Response(s.now, away, s.asked[away])
	moved, host := s.wait(time.Second)
	want(t, "moved", moved, true)
	want(t, "host", host, true)
	want(t, "remote", s.Remote, away)
}

// Nobody answers at the new address: nothing changes, and after a while it is forgotten.
func TestChangeUnanswered(t *testing.T) {
	s := proven(t)
	s.from(away, true)
	moved, _ := s.wait(10 * time.Second)
	want(t, "moved", moved, false)
	want(t, "remote", s.Remote, home)
	want(t, "next", s.NextChallenge(), mono.Never)
	s.Response(s.now, away, s.asked[away])
	moved, _ = s.wait(30 * time.Second)
	want(t, "moved by an answer after the change was forgotten", moved, false)
}

// Somebody copies a packet and races it; the old address sends on: the change is dropped at once.
func TestCopiedPacketWhileOldSends(t *testing.T) {
	s := proven(t)
	s.from(away, true)
	s.poll()
	s.now = s.now.Add(5 * ms)
	s.Response(s.now, away, s.asked[away]) // he even answers
	s.now = s.now.Add(5 * ms)
	s.from(home, true)
	moved, _ := s.wait(5 * time.Second)
	want(t, "moved", moved, false)
	want(t, "remote", s.Remote, home)
}

// The old address answers its challenge, the new one is answered for by a relay: the old one's next datagram decides.
func TestCopiedPacketOldAnswers(t *testing.T) {
	s := proven(t)
	s.from(away, true)
	s.poll()
	s.now = s.now.Add(20 * ms)
	s.Response(s.now, away, s.asked[away])
	s.Response(s.now, home, s.asked[home])
	moved, _ := s.wait(900 * ms)
	want(t, "moved within a second", moved, false)
	s.from(home, true)
	moved, _ = s.wait(5 * time.Second)
	want(t, "moved", moved, false)
}

// An answer that was relayed from another address proves nothing for the new one.
func TestRelayedAnswer(t *testing.T) {
	s := proven(t)
	s.from(away, true)
	s.poll()
	s.Response(s.now, home, s.asked[away])
	moved, _ := s.wait(5 * time.Second)
	want(t, "moved", moved, false)
}

// Old datagrams from elsewhere (reordered, or copied late) begin nothing.
func TestOldDatagramBeginsNothing(t *testing.T) {
	s := proven(t)
	want(t, "challenge due", s.from(away, false), false)
	want(t, "asked", len(s.poll()), 0)
	// And an old one from the old address does not end a true change.
	s.from(otherPort, true)
	s.poll()
	s.from(home, false)
	s.Response(s.now, otherPort, s.asked[otherPort])
	moved, _ := s.wait(time.Second)
	want(t, "moved", moved, true)
}

// A second new address takes the place of the first, whose answer is worth nothing then.
func TestChangeOfChange(t *testing.T) {
	s := proven(t)
	s.from(away, true)
	s.poll()
	first := s.asked[away]
	s.from(otherPort, true)
	s.poll()
	s.Response(s.now, away, first)
	s.Response(s.now, otherPort, first)
	moved, _ := s.wait(time.Second)
	want(t, "moved", moved, false)
	s.from(otherPort, true)
	s.Response(s.now, otherPort, s.asked[otherPort])
	moved, _ = s.wait(2 * time.Second)
	want(t, "moved", moved, true)
	want(t, "remote", s.Remote, otherPort)
}

// The change comes before the first address is proven.
func TestChangeBeforeProof(t *testing.T) {
	s := newSeat(t)
	s.from(home, true)
	s.poll()
	s.from(otherPort, true)
	s.poll()
	s.Response(s.now, otherPort, s.asked[otherPort])
	moved, _ := s.wait(time.Second)
	want(t, "moved", moved, true)
	want(t, "validated", s.Validated(), true)
	want(t, "remote", s.Remote, otherPort)
}

// Whatever comes from wherever, no address gets more bytes than came from it until it has answered; timers move on; only
// an address that answered is ever trusted.
func TestNoBytesBeyondAllowance(t *testing.T) {
	addresses := []netip.AddrPort{home, otherPort, away, netip.MustParseAddrPort("[2001:db8::1]:5")}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 3))
		s := newSeat(t)
		came, went := map[netip.AddrPort]int{}, map[netip.AddrPort]int{}
		answered := map[netip.AddrPort]bool{}
		put := func(to netip.AddrPort, n int) {
			s.spend(n)
			if s.Validated() && to == s.Remote {
				return
			}
			if went[to] += n; went[to] > came[to] {
				t.Fatalf("seed %d: %d bytes to %v, which sent %d", seed, went[to], to, came[to])
			}
		}
		for range 400 {
			s.now = s.now.Add(time.Duration(rng.Int64N(int64(60 * ms))))
			switch k := rng.IntN(10); {
			case k < 3:
				a, n := addresses[min(rng.IntN(8), 3)], 50+rng.IntN(1400)
				came[a] += n
				s.From(s.now, a, local, 0, n, rng.IntN(3) > 0, s.random)
			case k < 6:
				if n := 40 + rng.IntN(1200); s.Remote.IsValid() && s.Allows(n) {
					put(s.Remote, n)
				}
			case k < 7:
				if a := addresses[rng.IntN(4)]; s.asked[a] != 0 {
					answered[a] = true
					s.Response(s.now, a, s.asked[a])
				}
			}
			for n := 0; ; n++ {
				c, due := s.Challenge(s.now, 100)
				if !due {
					break
				}
				if n > 4 {
					t.Fatal("no end of challenges")
				}
				s.asked[c.To] = c.Token
				put(c.To, 61+rng.IntN(40))
			}
			if moved, _ := s.Settle(s.now); moved {
				clear(went)
				clear(came)
			}
			if s.Validated() && !answered[s.Remote] {
				t.Fatalf("seed %d: %v is trusted and never answered", seed, s.Remote)
			}
			if at := s.NextChallenge(); at <= s.now {
				s.Challenge(s.now, 100)
				if s.Settle(s.now); s.NextChallenge() <= s.now {
					t.Fatalf("seed %d: the next challenge stays in the past", seed)
				}
			}
		}
	}
}

// Little comes from a new address: it is asked as soon as that is enough, and nobody is woken in vain before.
func TestNewAddressStarved(t *testing.T) {
	s := proven(t)
	s.From(s.now, otherPort, local, 0, 60, true, s.random)
	want(t, "asked", len(s.poll()), 0)
	want(t, "next", s.NextChallenge(), mono.Never)
	s.now = s.now.Add(2 * time.Second)
	s.From(s.now, otherPort, local, 0, 60, true, s.random)
	if s.NextChallenge() > s.now {
		t.Error("nobody is woken")
	}
	want(t, "asked", len(s.poll()), 2)
	s.Response(s.now, otherPort, s.asked[otherPort])
	moved, _ := s.wait(time.Second)
	want(t, "moved", moved, true)
}
