package socks

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"mpproxy/src/park"
)

// resting is a relay between two connections over loopback.
type resting struct {
	ends  [2]*net.TCPConn // those of client and target
	sides [2]*park.Conn   // the relay's
	moved chan [2]uint64  // told of at its end
	lot   *park.Lot
}

func newResting(t *testing.T, idle time.Duration) *resting {
	t.Helper()
	lot, err := park.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lot.Close() })
	r := &resting{moved: make(chan [2]uint64, 1), lot: lot}
	for i := range r.sides {
		near, far := pair(t)
		t.Cleanup(func() { _ = far.Close() })
		r.sides[i], r.ends[i] = park.NewConn(near), far
	}
	Begin(lot, r.sides[0], r.sides[1], idle, func(up, down uint64) { r.moved <- [2]uint64{up, down} })
	return r
}

// slim waits until both of the relay's connections are.
func (r *resting) slim(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !r.sides[0].IsSlim() || !r.sides[1].IsSlim(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what carries nothing is not slim")
		}
	}
}

// over waits for the relay's end.
func (r *resting) over(t *testing.T) [2]uint64 {
	t.Helper()
	select {
	case n := <-r.moved:
		return n
	case <-time.After(20 * time.Second):
		t.Fatal("the relay goes on")
	}
	return [2]uint64{}
}

// TestSlimRelay: a relay that carries nothing is slim, carries on in either direction or both, and is slim again; its end and
// what it moved are those of any other.
func TestSlimRelay(t *testing.T) {
	r := newResting(t, time.Hour)
	b := make([]byte, 100_000)
	for round := range 6 {
		r.slim(t)
		for i, from := range r.ends {
			if round%3 == 1-i { // one of them, the other, both
				continue
			}
			go func() { _, _ = from.Write(b) }()
			_ = r.ends[1-i].SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.ReadFull(r.ends[1-i], make([]byte, len(b))); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.slim(t)
	_ = r.ends[0].CloseWrite()
	if n, err := r.ends[1].Read(b); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
	_ = r.ends[1].Close()
	if got, want := r.over(t), [2]uint64{4 * uint64(len(b)), 4 * uint64(len(b))}; got != want {
		t.Errorf("moved %v, want %v", got, want)
	}
}

// TestSlimRelayEnds: a slim relay ends when either client resets, and after nothing has moved for too long; both sides hear.
func TestSlimRelayEnds(t *testing.T) {
	for i := range 2 {
		r := newResting(t, time.Hour)
		r.slim(t)
		_ = r.ends[i].SetLinger(0)
		_ = r.ends[i].Close()
		r.over(t)
		if _, err := r.ends[1-i].Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Error("no reset:", err)
		}
	}
	r := newResting(t, time.Second)
	r.slim(t)
	r.over(t)
	for _, c := range r.ends {
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("it is open")
		}
	}
}

// stall has the first client send more than the second, which does not read, takes, and returns how much.
func (r *resting) stall(t *testing.T) (sent int) {
	t.Helper()
	for b := make([]byte, 1<<20); ; {
		_ = r.ends[0].SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		n, err := r.ends[0].Write(b)
		if sent += n; errors.Is(err, os.ErrDeadlineExceeded) {
			return sent
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestSlimBesideOneThatWaits: a direction that comes to rest leaves alone what the other, whose client does not read, waits for.
func TestSlimBesideOneThatWaits(t *testing.T) {
	r := newResting(t, time.Hour)
	r.slim(t)
	sent := r.stall(t)
	for range 2 { // the way back carries something and rests again
		_, _ = r.ends[1].Write([]byte{1})
		if _, err := io.ReadFull(r.ends[0], make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(20 * time.Second); r.lot.Parked() != 1; <-time.After(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the way back does not rest")
			}
		}
		<-time.After(2 * firstPatience)
	}
	_ = r.ends[0].CloseWrite()
	_ = r.ends[1].SetReadDeadline(time.Now().Add(20 * time.Second))
	if got, err := io.Copy(io.Discard, r.ends[1]); err != nil || got != int64(sent) {
		t.Errorf("%d bytes of %d came: %v", got, sent, err)
	}
}

// TestSlimSourceBreaks: one that was slim, and then sent more than the other takes, is missed when it breaks off.
func TestSlimSourceBreaks(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	r := newResting(t, time.Hour)
	r.slim(t)
	r.stall(t)
	_ = r.ends[0].SetLinger(0)
	_ = r.ends[0].Close()
	r.over(t)
}
