package portal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"mpproxy/src/config"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/session"
	"mpproxy/src/mpp"
	"mpproxy/src/streams"
)

// mppAlone is the label of secrets that were made for streams alone, without a session.
const mppAlone = "mpproxy mpp alone"

// far is a remote portal as the end of streams.
type far struct {
	name   string
	client *streams.Client
	names  *resolver // where it is; nil: the session's, which the links know
}

// newClient makes streams to a remote. Its secrets are the session's, or of handshakes of its own while there is none.
func (l *localProxy) newClient(to config.Remote) *streams.Client {
	c := streams.NewClient(l.portal.run.shared.clock.Now, l.pool, uint32(randomNumber()))
	cfg := l.portal.run.cfg
	c.SetLot(l.portal.run.idle())
	c.SetShake(func() ([]byte, func([]byte) (mpp.Secret, error), error) { return shakeWith(cfg, to) })
	return c
}

// shakeWith begins a handshake with a remote for streams alone.
func shakeWith(cfg *config.Config, to config.Remote) ([]byte, func([]byte) (mpp.Secret, error), error) {
	params := initiatorParams(cfg, to)
	rand.Read(params.Instance[:])
	i := handshake.NewInitiator(params)
	if err := i.Initiate(rand.Reader, 0); err != nil {
		return nil, nil, err
	}
	return i.Datagram(0), func(answer []byte) (mpp.Secret, error) {
		r, err := i.Process(0, answer)
		if err != nil {
			return mpp.Secret{}, err
		}
		return aloneSecret(r)
	}, nil
}

// aloneSecret is what both sides take from a handshake.
func aloneSecret(r *handshake.Result) (mpp.Secret, error) {
	keys, err := r.Secrets.Keys(session.Up, r.Suite, r.Protection)
	if err != nil {
		return mpp.Secret{}, err
	}
	return mpp.NewSecret(r.Suite, keys.Export(mppAlone)), nil
}

// initiatorParams are what a router brings to handshakes with a remote.
func initiatorParams(cfg *config.Config, to config.Remote) handshake.InitiatorParams {
	return handshake.InitiatorParams{
		Key: handshake.PrivateKey(cfg.Portal.PrivateKey), Server: handshake.PublicKey(to.PublicKey),
		PSK: handshake.PresharedKey(to.PresharedKey), Protection: protection(cfg.Portal.Protect), Suites: suites(cfg.Portal.Cipher),
	}
}

// farOf finds the remote that ends a route's streams.
func (l *localProxy) farOf(route *config.Route) (*far, error) {
	if route.Remote == "" || route.Remote == l.portal.remote.Name {
		return l.near, nil
	}
	remotes := l.portal.run.configuration().EnabledRemotes()
	i := slices.IndexFunc(remotes, func(r config.Remote) bool { return r.Name == route.Remote })
	if i < 0 {
		return nil, fmt.Errorf("route %s: the remote '%s' is switched off", route.Name, route.Remote)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.others[route.Remote]
	if f != nil && sameRemote(f.names.remote, remotes[i]) {
		return f, nil
	}
	if f != nil {
		f.client.Close()
	}
	f = &far{name: route.Remote, client: l.newClient(remotes[i]), names: newResolver(remotes[i])}
	if l.others == nil {
		l.others = make(map[string]*far)
	}
	l.others[route.Remote] = f
	return f, nil
}

// sameRemote compares what a connection depends on.
func sameRemote(a, b config.Remote) bool {
	return a.PublicKey == b.PublicKey && a.PresharedKey == b.PresharedKey && a.Family == b.Family && slices.Equal(a.Endpoints, b.Endpoints)
}

// closeClients closes what waits for streams.
func (l *localProxy) closeClients() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.client.Close()
	for _, f := range l.others {
		f.client.Close()
	}
	return nil
}

// errStranger means that an initiation is not of a router that may use the proxy.
var errStranger = errors.New("answer handshake: not a router of ours")

// answerAlone answers a router that makes a secret without a session. Nothing is kept of it here: the secret counts once
// the router has proved that it has it too.
func (x *remoteProxy) answerAlone(from netip.AddrPort, initiation []byte) ([]byte, string, mpp.Secret, error) {
	cfg := x.portal.run.configuration()
	peers := cfg.EnabledPeers()
	responder := handshake.NewResponder(handshake.ResponderParams{
		Key: handshake.PrivateKey(cfg.Portal.PrivateKey), Protection: protection(cfg.Portal.Protect), Suites: suites(cfg.Portal.Cipher), Random: rand.Reader,
		Lookup: func(key handshake.PublicKey) (handshake.Peer, bool) {
			i := slices.IndexFunc(peers, func(p config.Peer) bool { return handshake.PublicKey(p.PublicKey) == key && p.SOCKS })
			if i < 0 {
				return handshake.Peer{}, false
			}
			return handshake.Peer{PSK: handshake.PresharedKey(peers[i].PresharedKey), Handle: uint64(i)}, true
		},
	})
	answer, pending, err := responder.Process(x.portal.run.shared.clock.Now(), from, initiation)
	if err != nil || pending == nil {
		return nil, "", mpp.Secret{}, errors.Join(errStranger, err)
	}
	secret, err := aloneSecret(&pending.Result)
	return answer, peers[pending.Peer].Name, secret, err
}
