package engine

import (
	"bytes"

	"mpproxy/src/engine/mono"
)

// pendingConfig is the configuration that the peer is to have; it is repeated until acknowledged.
type pendingConfig struct {
	blob []byte
	id   uint64
	at   mono.Time
	done bool
}

func (c *pendingConfig) due(now mono.Time) bool {
	if c.blob == nil || c.done || now < c.at {
		return false
	}
	c.at = now.Add(configEvery)
	return true
}

func (c *pendingConfig) acked(id uint64) { c.done = c.done || id == c.id }

func (c *pendingConfig) resend() { c.done, c.at = false, 0 }

// SetConfig gives the peer its configuration (wire.SessionConfig), now and after every new session.
func (t *Tunnel) SetConfig(blob []byte) {
	t.config = pendingConfig{blob: blob, id: t.config.id + 1}
}

// PeerConfig returns the configuration the peer sent, and a number that changes with it; nil before there is any. The
// slice is the tunnel's.
func (t *Tunnel) PeerConfig() (blob []byte, id uint64) { return t.peerConfig, t.peerConfigs }

func (t *Tunnel) onConfig(id uint64, blob []byte) {
	if len(t.configAcks) < MaxPaths {
		t.configAcks = append(t.configAcks, id)
	}
	if id > t.peerConfigID {
		t.peerConfigID = id
		if t.peerConfigs == 0 || !bytes.Equal(blob, t.peerConfig) {
			t.peerConfigs++
			t.peerConfig = bytes.Clone(blob)
		}
	}
}

// Closed reports that the peer ended the session, and what it said.
func (t *Tunnel) Closed() (bool, string) { return t.closed, t.closeReason }

// Notices returns what the peer had to say since the last call.
func (t *Tunnel) Notices() []string {
	n := t.notices
	t.notices = nil
	return n
}

// notice is a message for the people at the other end.
type notice struct {
	text string
	code uint8
	due  bool
}

// Notify tells the people at the other end something.
func (t *Tunnel) Notify(_ mono.Time, code uint8, text string) { t.notice = notice{text, code, true} }

// LeavePath closes a path and tells the peer, so that it stops sending there.
func (t *Tunnel) LeavePath(now mono.Time, id uint32) {
	if t.Path(id) == nil {
		return
	}
	t.ClosePath(now, id)
	t.leaving.add(id)
}
