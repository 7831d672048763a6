package handshake

import (
	"slices"

	"mpproxy/src/engine/mono"
)

// Instance names the start of the router's process that asked.
func (p *Pending) Instance() Instance { return p.instance }

// keep adds p and makes room for it: at most MaxPendingPerPeer of one peer stay.
func (r *Responder) keep(p *Pending) {
	r.lastID++
	p.ID = r.lastID
	count, oldest := 0, -1
	for i, other := range r.pending {
		if other.PeerKey == p.PeerKey {
			if count++; oldest < 0 {
				oldest = i
			}
		}
	}
	if count >= MaxPendingPerPeer {
		p.Replaces = r.pending[oldest].ID
		r.pending = slices.Delete(r.pending, oldest, oldest+1)
	}
	r.pending = append(r.pending, p)
}

// Confirm notes that the Pending's first data datagram came, and returns the ids of the peer's older ones, which are
// now to be forgotten. From now on initiations of that router's process that are older than this one are refused.
func (r *Responder) Confirm(id uint64) (outdated []uint64) {
	i := slices.IndexFunc(r.pending, func(p *Pending) bool { return p.ID == id })
	if i < 0 {
		return nil
	}
	confirmed := r.pending[i]
	r.proven[confirmed.PeerKey] = attempt{confirmed.instance, confirmed.attempt}
	return r.remove(func(p *Pending) bool { return p.PeerKey == confirmed.PeerKey && p.ID <= id }, id)
}

// Drop forgets a Pending.
func (r *Responder) Drop(id uint64) { r.remove(func(p *Pending) bool { return p.ID == id }, 0) }

// DropPeer forgets everything of a peer that is gone from the configuration and returns what was pending.
func (r *Responder) DropPeer(key PublicKey) []uint64 {
	delete(r.proven, key)
	return r.remove(func(p *Pending) bool { return p.PeerKey == key }, 0)
}

// NextTimeout returns when the oldest Pending expires, or mono.Never.
func (r *Responder) NextTimeout() mono.Time {
	if len(r.pending) == 0 {
		return mono.Never
	}
	return r.pending[0].since.Add(PendingLifetime)
}

// OnTimeout forgets what has waited for PendingLifetime, and returns the ids.
func (r *Responder) OnTimeout(now mono.Time) (expired []uint64) {
	return r.remove(func(p *Pending) bool { return !now.Before(p.since.Add(PendingLifetime)) }, 0)
}

// remove takes out what gone is true for, and returns the ids except one.
func (r *Responder) remove(gone func(*Pending) bool, except uint64) (ids []uint64) {
	r.pending = slices.DeleteFunc(r.pending, func(p *Pending) bool {
		if !gone(p) {
			return false
		}
		if p.ID != except {
			ids = append(ids, p.ID)
		}
		return true
	})
	return ids
}
