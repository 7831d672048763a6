package streams

import (
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"mpproxy/src/engine/mono"
	"mpproxy/src/mpp"
)

// asleep waits until a stream sleeps.
func asleep(t *testing.T, all ...*Stream) {
	t.Helper()
	for _, s := range all {
		settle(t, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.live == nil && s.conn == nil && s.packed != ""
		})
	}
}

// openRead is open that leaves nothing to be read.
func (r *restBed) openRead(t *testing.T, subflows int) (near, far *Stream) {
	t.Helper()
	near, far = r.open(t, subflows)
	if _, err := io.ReadFull(far, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return near, far
}

// still reports that no subflow of a stream keeps what it needs to move something.
func still(s *Stream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.subs, func(k *subflow) bool { return k.moving != nil })
}

// TestSleep: streams on which nothing moves sleep, and keep nothing of what moving takes; they are woken by what is done with them,
// and by what comes, but not by being looked at.
func TestSleep(t *testing.T) {
	r := newRestBed(t)
	near, far := r.openRead(t, 2)
	for range 3 {
		asleep(t, near, far)
		for _, s := range []*Stream{near, far} {
			settle(t, func() bool { return still(s) }) // one on which nothing was heard yet waits for an answer
			asleep(t, s)
			info := s.Info()
			if len(info.Subflows) != 2 || info.Counts.Sent < 70_000 || info.Counts.Received < 70_000 || info.Subflows[0].RTT == 0 || s.Err() != nil {
				t.Errorf("%+v %v", info, s.Err())
			}
		}
		asleep(t, near, far)
		both(t, near, far)
	}
	asleep(t, near, far)
	if used, want := r.pools[0].Used(), streamBytes+subflowBytes; used != want {
		t.Errorf("%d bytes of the pool are used, want %d", used, want)
	}
	w := make(woken, 1)
	if !far.Rest(w) {
		t.Error("there is something to read")
	}
	asleep(t, near, far)
	if _, err := near.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	<-w
	_, _ = near.Close(), far.Close()
	settle(t, func() bool { return r.pools[0].Used() == 0 })
}

// TestSleepEnds: the end of one direction, then bytes the other way, and a reset come through sleep.
func TestSleepEnds(t *testing.T) {
	r := newRestBed(t)
	near, far := r.openRead(t, 1)
	asleep(t, near, far)
	if err := near.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(far); err != nil {
		t.Fatal(err)
	}
	asleep(t, near)
	if _, err := far.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	_ = far.CloseWrite()
	if all, err := io.ReadAll(near); err != nil || len(all) < 4 || string(all[len(all)-4:]) != "late" {
		t.Fatal(all, err)
	}
	near, far = r.openRead(t, 1)
	asleep(t, near, far)
	near.Abort()
	reset := (*mpp.ResetError)(nil)
	if _, err := io.ReadAll(far); !errors.As(err, &reset) || reset.Code != mpp.CodeAborted || !reset.Remote {
		t.Error(err)
	}
}

// TestSleepAsks: a stream that sleeps asks the other side when its time has come, and sleeps on.
func TestSleepAsks(t *testing.T) {
	r := newRestBed(t)
	var later atomic.Int64
	clock := r.client.home.clock
	r.client.home.clock = func() mono.Time { return clock().Add(time.Duration(later.Load())) }
	near, far := r.openRead(t, 1)
	asleep(t, near, far)
	next := func() mono.Time {
		near.mu.Lock()
		defer near.mu.Unlock()
		if near.packed == "" {
			return 0
		}
		return near.packed.Unpack(near.params()).NextTimeout()
	}
	later.Store(int64(17 * time.Second))
	both(t, near, far)
	asleep(t, near, far)
	before := next()
	settle(t, func() bool { return next() > before })
	if at := next(); at.Sub(before) < 15*time.Second {
		t.Errorf("the next question is at %v, the last was due at %v", at, before)
	}
	both(t, near, far)
}

// TestNoMemory: a stream for which there is no memory is refused, at either end, with the reason; once others have gone there is.
func TestNoMemory(t *testing.T) {
	for end, name := range []string{"router", "server"} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, mirror)
			s, err := b.client.Open(b.ways(1))
			if err != nil {
				t.Fatal(err)
			}
			settle(t, func() bool { return b.server.Counts().Active == 1 })
			taken := 0
			for b.pools[end].Reserve(streamBytes) {
				taken++
			}
			if _, err = b.client.Open(b.ways(1)); end == 0 && !errors.Is(err, ErrNoMemory) {
				t.Error(err)
			}
			if end == 1 {
				var refused *Stream
				if refused, err = b.client.Open(b.ways(1)); err != nil {
					t.Fatal(err)
				}
				_, _ = refused.Write([]byte{1})
				reset := (*mpp.ResetError)(nil)
				if _, err := refused.Read(make([]byte, 1)); !errors.As(err, &reset) || reset.Code != mpp.CodeNoMemory {
					t.Error(err)
				}
			}
			roundTrip(t, s, content(300_000)) // who is there goes on
			b.pools[end].Return(taken * streamBytes)
			if s, err = b.client.Open(b.ways(1)); err != nil {
				t.Fatal(err)
			}
			roundTrip(t, s, content(1000))
		})
	}
}
