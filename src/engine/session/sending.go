package session

import "sync/atomic"

// Sending is the key ring of the direction that we send in. One goroutine, the engine's, owns it; Keys may be
// called by any number of sealers at the same time.
type Sending struct {
	ring      atomic.Pointer[sendRing]
	count     uint64
	confirmed bool
}

// sendRing is immutable: the keys of the current and the previous epoch, each at its epoch's place.
type sendRing struct {
	epoch uint8
	root  *Keys // of the handshake that the current ones derive from
	keys  [epochs]*Keys
}

// NewSending returns a ring that begins with keys at epoch 0.
func NewSending(keys *Keys) *Sending {
	s := &Sending{}
	s.ring.Store(&sendRing{root: keys, keys: [epochs]*Keys{keys}})
	return s
}

// Next counts one packet and returns the epoch that it belongs to, for its descriptor.
func (s *Sending) Next() uint8 {
	s.count++
	return s.ring.Load().epoch
}

// Epoch returns the current epoch modulo 4.
func (s *Sending) Epoch() uint8 { return s.ring.Load().epoch }

// Count returns how many packets the current key has protected.
func (s *Sending) Count() uint64 { return s.count }

// Due reports whether it is time to Rotate.
func (s *Sending) Due() bool { return s.count >= RotateAfter && s.confirmed }

// Confirm notes that a packet of that epoch was acknowledged: the receiver has moved there.
func (s *Sending) Confirm(epoch uint8) {
	if epoch&(epochs-1) == s.Epoch() {
		s.confirmed = true
	}
}

// Rotate moves to the next epoch by HKDF. It is false, and does nothing, while the current epoch is not
// confirmed: the receiver is ready for one step only.
func (s *Sending) Rotate() bool {
	if !s.confirmed {
		return false
	}
	ring := s.ring.Load()
	s.advance(ring.keys[ring.epoch].Next(), ring.root)
	return true
}

// Install moves to the next epoch with the keys of a new handshake.
func (s *Sending) Install(keys *Keys) { s.advance(keys, keys) }

// Root returns the handshake keys that the current ones are or derive from.
func (s *Sending) Root() *Keys { return s.ring.Load().root }

func (s *Sending) advance(keys, root *Keys) {
	old := s.ring.Load()
	ring := &sendRing{epoch: (old.epoch + 1) & (epochs - 1), root: root}
	ring.keys[old.epoch] = old.keys[old.epoch]
	ring.keys[ring.epoch] = keys
	s.count, s.confirmed = 0, false
	s.ring.Store(ring)
}

// Keys returns the keys of a descriptor's epoch, or nil if they are gone: the descriptor is then to be dropped.
func (s *Sending) Keys(epoch uint8) *Keys { return s.ring.Load().keys[epoch&(epochs-1)] }
