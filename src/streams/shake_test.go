package streams

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mpproxy/src/engine/session"
	"mpproxy/src/mpp"
)

// fakeShake and fakeAnswer stand for the real handshake: the secret is a hash of the question.
func fakeShake(n *atomic.Int64) Shake {
	return func() ([]byte, func([]byte) (mpp.Secret, error), error) {
		n.Add(1)
		q := make([]byte, 1200)
		_, _ = rand.Read(q)
		return q, func(answer []byte) (mpp.Secret, error) {
			if string(answer) != "well" {
				return mpp.Secret{}, errors.New("no")
			}
			return mpp.NewSecret(session.AES256GCM, sha256.Sum256(q)), nil
		}, nil
	}
}

func fakeAnswer(_ netip.AddrPort, q []byte) ([]byte, string, mpp.Secret, error) {
	if len(q) != 1200 {
		return nil, "", mpp.Secret{}, errors.New("what?")
	}
	return []byte("well"), "home", mpp.NewSecret(session.AES256GCM, sha256.Sum256(q)), nil
}

// TestWithoutSession: the first subflow makes a secret, later ones use it; a server that has forgotten it gets another
// one; and a session's secret is taken as soon as there is one.
func TestWithoutSession(t *testing.T) {
	b := newBed(t, mirror)
	b.server.Answer = fakeAnswer
	var shakes atomic.Int64
	b.client = NewClient(testClock(), b.pools[0], 78)
	if _, err := b.client.Open(b.ways(1)); !errors.Is(err, ErrNoSecret) {
		t.Fatal(err)
	}
	b.client.SetShake(fakeShake(&shakes))
	open := func(ways int) {
		t.Helper()
		s, err := b.client.Open(b.ways(ways))
		if err != nil {
			t.Fatal(err)
		}
		roundTrip(t, s, content(100_000))
	}
	open(1)
	open(2)
	if n := b.server.Counts(); shakes.Load() != 1 || n.Shaken != 1 || n.Streams != 2 {
		t.Errorf("%d handshakes, %+v", shakes.Load(), n)
	}
	b.server.mu.Lock()
	clear(b.server.secrets)
	b.server.mu.Unlock()
	open(1)
	if n := shakes.Load(); n != 2 {
		t.Errorf("%d handshakes after the server forgot", n)
	}
	next := mpp.NewSecret(session.AES256GCM, [32]byte{42})
	b.server.AddSecret("home", next)
	b.client.SetSecret(next)
	open(3)
	if n := shakes.Load(); n != 2 {
		t.Errorf("%d handshakes with a session", n)
	}
}

// TestShakeProvesNothing: a copied initiation is answered and gives nothing away; without a first record nothing is
// kept of it. Nonsense is not answered, and what is too much of it neither.
func TestShakeProvesNothing(t *testing.T) {
	b := newBed(t, mirror)
	b.server.Answer = fakeAnswer
	good := append([]byte{shakeMagic, shakeVersion, 4, 0xb0}, make([]byte, 1200)...)
	for name, tt := range map[string]struct {
		send   []byte
		answer int
	}{
		"copy":         {good, 6},
		"then garbage": {append(bytes.Clone(good), content(4000)...), 6},
		"short":        {good[:600], 0},
		"other length": {append([]byte{shakeMagic, shakeVersion, 0, 1}, 1), 0},
		"too long":     {append([]byte{shakeMagic, shakeVersion, 0xff, 0xff}, make([]byte, 70000)...), 0},
		"version":      {append([]byte{shakeMagic, 9, 4, 0xb0}, make([]byte, 1200)...), 0},
	} {
		c, err := net.Dial("tcp", b.at)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(tt.send)
		_ = c.(*net.TCPConn).CloseWrite()
		if got, _ := io.ReadAll(c); len(got) != tt.answer {
			t.Errorf("%s: answered with %d bytes", name, len(got))
		}
		_ = c.Close()
	}
	settle(t, func() bool { return b.server.Counts().Strangers == 6 })
	if n := b.server.Counts(); n.Shaken != 0 || len(b.server.secrets) != 1 {
		t.Errorf("%+v, %d secrets", n, len(b.server.secrets))
	}
	var limit rateLimit
	let, now := 0, time.Now()
	for range 1000 {
		if limit.take(now) {
			let++
		}
		now = now.Add(time.Millisecond)
	}
	if let < 90 || let > 110 { // those that were saved up, and a second's
		t.Errorf("%d of 1000 let through", let)
	}
}

// TestInUse: two starts of a router with one number in common; the later one is told.
func TestInUse(t *testing.T) {
	b := newBed(t, func(s *Stream) { _, _ = io.Copy(io.Discard, s) })
	first, err := b.client.Open(b.ways(1))
	if err != nil {
		t.Fatal(err)
	}
	settle(t, func() bool { return b.server.Counts().Active == 1 })
	other := NewClient(testClock(), b.pools[0], 77)
	secret := mpp.NewSecret(session.AES256GCM, [32]byte{7})
	b.server.AddSecret("home", secret)
	other.SetSecret(secret)
	s, err := other.Open(b.ways(1))
	if err != nil {
		t.Fatal(err)
	}
	var reset *mpp.ResetError
	if _, err := s.Read(make([]byte, 1)); !errors.As(err, &reset) || reset.Code != mpp.CodeInUse {
		t.Error(err)
	}
	if first.Err() != nil {
		t.Error("the earlier one was broken too:", first.Err())
	}
	first.Abort()
}

// TestShakeAllAtOnce: several ways make their secrets at the same time, and all can be used.
func TestShakeAllAtOnce(t *testing.T) {
	b := newBed(t, mirror)
	b.server.Answer = fakeAnswer
	var shakes atomic.Int64
	b.client = NewClient(testClock(), b.pools[0], 79)
	b.client.SetShake(fakeShake(&shakes))
	var gate sync.WaitGroup
	gate.Add(4)
	ways := b.ways(4)
	for i := range ways {
		plain, once := ways[i].Dial, sync.Once{}
		ways[i].Dial = func(ctx context.Context) (net.Conn, error) {
			c, err := plain(ctx)
			once.Do(gate.Done)
			gate.Wait()
			return c, err
		}
	}
	s, err := b.client.Open(ways)
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, s, content(4<<20))
	if n := b.server.Counts(); n.Subflows != 4 || n.Shaken != uint64(shakes.Load()) {
		t.Errorf("%d handshakes, %+v", shakes.Load(), n)
	}
}
