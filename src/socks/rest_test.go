package socks

import (
	"io"
	"net"
	"testing"
	"time"

	"mpproxy/src/park"
)

// resting is a relay between two connections over loopback.
type resting struct {
	ends  [2]*net.TCPConn // those of client and target
	sides [2]*park.Conn   // the relay's
	moved chan [2]uint64  // told of at its end
}

func newResting(t *testing.T, idle time.Duration) *resting {
	t.Helper()
	lot, err := park.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lot.Close() })
	r := &resting{moved: make(chan [2]uint64, 1)}
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
