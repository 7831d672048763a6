package handshake

import (
	"slices"
	"testing"

	"mpproxy/src/engine/mono"
)

func TestPendingIsBoundedPerPeer(t *testing.T) {
	w := newWorld(t, func(w *world) { w.server.Load = 1000 })
	other := w.router
	other.Key = w.key()
	w.peers[other.Key.Public()] = Peer{PSK: w.router.PSK}
	second := NewInitiator(other)
	if err := second.Initiate(w.random, 0); err != nil {
		t.Fatal(err)
	}
	_, theirs, _ := w.ask(second.Datagram(0))
	var ids []uint64
	for i := range 5 {
		_, pending := w.handshake(0)
		want := uint64(0)
		if i >= MaxPendingPerPeer {
			want = ids[i-MaxPendingPerPeer]
		}
		if pending.Replaces != want {
			t.Errorf("pending %d replaces %d, want %d", i, pending.Replaces, want)
		}
		ids = append(ids, pending.ID)
	}
	if len(w.responder.pending) != MaxPendingPerPeer+1 || w.responder.pending[0].ID != theirs.ID {
		t.Errorf("%d pending", len(w.responder.pending))
	}
}

func TestConfirm(t *testing.T) {
	w := newWorld(t, nil)
	_, first := w.handshake(0)
	_, second := w.handshake(0)
	if got := w.responder.Confirm(second.ID); !slices.Equal(got, []uint64{first.ID}) {
		t.Errorf("outdated %v", got)
	}
	if got := w.responder.Confirm(second.ID); got != nil || w.responder.NextTimeout() != mono.Never {
		t.Errorf("confirmed twice: %v", got)
	}
	_, third := w.handshake(0)
	_, fourth := w.handshake(0)
	if got := w.responder.Confirm(third.ID); got != nil {
		t.Errorf("a newer one outdated: %v", got)
	}
	if got := w.responder.DropPeer(w.router.Key.Public()); !slices.Equal(got, []uint64{fourth.ID}) || len(w.responder.proven) != 0 {
		t.Errorf("DropPeer: %v", got)
	}
}

func TestPendingExpires(t *testing.T) {
	w := newWorld(t, nil)
	if w.responder.NextTimeout() != mono.Never {
		t.Error("a timeout with nothing pending")
	}
	_, first := w.handshake(0)
	start := w.now
	w.now += second
	_, later := w.handshake(0)
	if w.responder.NextTimeout() != start.Add(PendingLifetime) {
		t.Errorf("timeout at %d", w.responder.NextTimeout())
	}
	if got := w.responder.OnTimeout(start.Add(PendingLifetime - 1)); got != nil {
		t.Errorf("expired early: %v", got)
	}
	if got := w.responder.OnTimeout(start.Add(PendingLifetime)); !slices.Equal(got, []uint64{first.ID}) {
		t.Errorf("expired: %v", got)
	}
	w.responder.Drop(later.ID)
	if w.responder.NextTimeout() != mono.Never {
		t.Error("not dropped")
	}
}
