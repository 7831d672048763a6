package node

import "mpproxy/src/engine/session"

// RootKeys returns the keys of the newest handshake in the direction up: what other protocols of the same session take
// their secrets from (session.Keys.Export). It is nil without a session.
func (l *Local) RootKeys() *session.Keys {
	if _, _, _, ok := l.Session(); !ok || l.sending == nil {
		return nil
	}
	return l.sending.Root()
}

// RootKeys returns the same keys as the router's: those of the newest handshake that the router has used. It is nil
// without a session.
func (p *Peer) RootKeys() *session.Keys {
	if p.current == nil {
		return nil
	}
	return p.current.receiving.Root()
}
