package handshake

import (
	"errors"
	"math/rand"
	"slices"
	"testing"

	"mpproxy/src/engine/wire"
)

// forgedResponses are answers that reach the noise state: their id and MAC1 are right.
func forgedResponses(w *world, right []byte) [][]byte {
	key := publicly(labelMAC1, w.router.Key.Public())
	var forged [][]byte
	sign := func(b []byte) {
		sum := mac(key[:], b)
		forged = append(forged, append(b, sum[:]...))
	}
	body := right[:len(right)-macBytes]
	zeroPoint := slices.Clone(body) // a low-order point: the noise library gives up in the middle
	clear(zeroPoint[headerBytes : headerBytes+KeyBytes])
	sign(zeroPoint)
	otherPoint := slices.Clone(body)
	otherPoint[headerBytes] ^= 1
	sign(otherPoint)
	sign(slices.Clone(body[:headerBytes+minNoise2Bytes]))
	sign(append(slices.Clone(body), 0))
	damaged := slices.Clone(body)
	damaged[len(damaged)-1] ^= 1
	sign(damaged)
	return forged
}

// The router's half of the contract: after any error the right answer is still accepted.
func TestGarbageDoesNotKillAnAttempt(t *testing.T) {
	w := newWorld(t, nil)
	earlier, _, _ := w.ask(w.initiate(0))
	right, pending, _ := w.ask(w.initiate(0))
	id := right[4:8]
	for _, test := range []struct {
		datagram []byte
		want     error
	}{
		{nil, ErrTruncated},
		{right[:7], ErrTruncated},
		{earlier, ErrNotOurs},
		{right[:headerBytes+minNoise2Bytes+macBytes-1], ErrTruncated},
		{append(slices.Clone(right), make([]byte, 2000)...), ErrTooLong},
		{append([]byte{1, 1, 0, 0}, id...), ErrKind},
		{append([]byte{0x40, 1, 0, 0}, id...), ErrKind},
		{append([]byte{3, 1, 0, 0}, id...), ErrTruncated},
		{append([]byte{4, 1, 0, 0}, id...), ErrTruncated},
		{right[:len(right)-1], ErrMAC1},
	} {
		if result, err := w.initiator.Process(0, test.datagram); !errors.Is(err, test.want) || result != nil {
			t.Errorf("%.16x: %v, want %v", test.datagram, err, test.want)
		}
	}
	for round := range 2 {
		for i, forged := range forgedResponses(w, right) {
			if result, err := w.initiator.Process(0, forged); !errors.Is(err, ErrNotAuthentic) || result != nil {
				t.Errorf("round %d, forged %d: %v", round, i, err)
			}
		}
	}
	result, err := w.initiator.Process(0, right)
	if err != nil {
		t.Fatalf("the right answer: %v", err)
	}
	w.agree(result, pending)
	if _, err := w.initiator.Process(0, right); !errors.Is(err, ErrNoAttempt) || w.initiator.Datagram(0) != nil {
		t.Errorf("its copy: %v", err)
	}
}

// The server's half: what gives an error leaves no trace.
func TestGarbageLeavesNoTraceAtTheServer(t *testing.T) {
	w := newWorld(t, func(w *world) { w.server.Load = 1000 })
	good := w.initiate(0)
	key := publicly(labelMAC1, w.router.Server)
	signed := func(edit func([]byte)) []byte {
		b := slices.Clone(good)
		edit(b)
		sum := mac(key[:], b[:len(b)-2*macBytes])
		copy(mac1Of(b), sum[:])
		return b
	}
	for i, test := range []struct {
		datagram []byte
		want     error
	}{
		{nil, ErrKind},
		{good[:InitiationBytes-1], ErrTruncated},
		{append(slices.Clone(good), make([]byte, 400)...), ErrTooLong},
		{append([]byte{2}, good[1:]...), ErrKind},
		{append([]byte{0x40}, good[1:]...), ErrKind},
		{append(slices.Clone(good), 0), ErrMAC1},
		{make([]byte, 1300), ErrKind},
		{signed(func(b []byte) { b[8], b[9] = 0xFF, 0xFF }), ErrTruncated},
		{signed(func(b []byte) { b[8], b[9] = 0, minNoise1Bytes-1 }), ErrTruncated},
		{signed(func(b []byte) { b[9]-- }), ErrNotAuthentic},
		{signed(func(b []byte) { clear(b[10:42]) }), ErrNotAuthentic},
		{signed(func(b []byte) { clear(b[10:]) }), ErrNotAuthentic},
		{signed(func(b []byte) { b[2] = 77 }), ErrNotAuthentic},
	} {
		if reply, pending, err := w.ask(test.datagram); !errors.Is(err, test.want) || reply != nil || pending != nil {
			t.Errorf("%d: %d bytes, %v, want %v", i, len(reply), err, test.want)
		}
	}
	if len(w.responder.pending)+len(w.responder.answers.answers)+len(w.responder.proven) != 0 {
		t.Error("garbage left a trace")
	}
	if _, pending, err := w.ask(good); err != nil || pending == nil {
		t.Errorf("the right one: %v", err)
	}
}

// A router over a network that loses, doubles, delays and reorders, against a server that is sometimes busy: each
// attempt ends with a session that both sides have, soon.
func TestHandshakeOverABadNetwork(t *testing.T) {
	for seed := range int64(60) {
		w := newWorld(t, nil)
		network := rand.New(rand.NewSource(seed))
		type letter struct {
			toServer bool
			link     uint32
			bytes    []byte
		}
		var flying []letter
		send := func(l letter) {
			if l.bytes == nil {
				return
			}
			for range network.Intn(3) { // lost, once, twice
				flying = append(flying, l)
			}
		}
		pending := map[uint64]*Pending{}
		var result *Result
		for step := 0; result == nil; step++ {
			if step > 400 {
				t.Fatalf("seed %d: no session", seed)
			}
			w.now += second / 20
			if network.Intn(10) == 0 {
				w.overload()
			}
			if step%40 == 0 {
				w.initiate(0)
			}
			if step%5 == 0 {
				link := uint32(network.Intn(3))
				send(letter{true, link, w.initiator.Datagram(link)})
			}
			if len(flying) == 0 {
				continue
			}
			i := network.Intn(len(flying))
			l := flying[i]
			flying = slices.Delete(flying, i, i+1)
			if l.toServer {
				reply, p, _ := w.ask(l.bytes)
				if p != nil {
					pending[p.SessionID] = p
				}
				send(letter{false, l.link, reply})
				continue
			}
			var err error
			if result, err = w.initiator.Process(l.link, l.bytes); err == nil {
				w.agree(result, pending[result.SessionID])
			} else if !errors.Is(err, ErrCookie) && !errors.Is(err, ErrNotOurs) {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if len(w.responder.pending) > MaxPendingPerPeer {
			t.Errorf("seed %d: %d pending", seed, len(w.responder.pending))
		}
	}
}

func FuzzResponder(f *testing.F) {
	w := newWorld(f, nil)
	good := w.initiate(0)
	reply, _, _ := w.ask(good)
	f.Add(good, false)
	f.Add(good[:1199], true)
	f.Add(reply, false)
	f.Add(append(slices.Clone(good), 1, 2), true)
	f.Fuzz(func(t *testing.T, b []byte, sign bool) {
		w := newWorld(t, func(w *world) { w.server.Load = 2 })
		b = slices.Clone(b)
		if sign && len(b) > 2*macBytes {
			key := publicly(labelMAC1, w.router.Server)
			sum := mac(key[:], b[:len(b)-2*macBytes])
			copy(mac1Of(b), sum[:])
		}
		for range 4 {
			_, p, err := w.ask(b)
			if p != nil && p.PeerKey != w.router.Key.Public() {
				t.Fatal("a session with a stranger")
			}
			if err != nil && !errors.Is(err, ErrUnderLoad) && len(w.responder.pending) != 0 {
				t.Fatal("an error left something")
			}
		}
	})
}

func FuzzInitiator(f *testing.F) {
	w := newWorld(f, nil)
	good := w.initiate(0)
	reply, _, _ := w.ask(good)
	w.overload()
	w.responder.answers = answerCache{}
	cookie, _, _ := w.ask(good)
	f.Add(reply, false)
	f.Add(cookie, false)
	f.Add(append([]byte{byte(wire.KindVersionReply), 2, 0, 0}, make([]byte, 20)...), true)
	for _, forged := range forgedResponses(w, reply) {
		f.Add(forged, true)
	}
	f.Fuzz(func(t *testing.T, b []byte, address bool) {
		w := newWorld(t, nil)
		right, pending, _ := w.ask(w.initiate(0))
		b = slices.Clone(b)
		if address && len(b) >= headerBytes+macBytes {
			copy(b[4:8], right[4:8])
			key := publicly(labelMAC1, w.router.Key.Public())
			sum := mac(key[:], b[:len(b)-macBytes])
			copy(b[len(b)-macBytes:], sum[:])
		}
		if result, err := w.initiator.Process(0, b); err == nil {
			w.agree(result, pending)
			return
		} else if result != nil {
			t.Fatal("a result with an error")
		}
		result, err := w.initiator.Process(0, right)
		if err != nil {
			t.Fatalf("after garbage: %v", err)
		}
		w.agree(result, pending)
	})
}
