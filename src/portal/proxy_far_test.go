package portal

import (
	"crypto/rand"
	"log/slog"
	"net/netip"
	"testing"

	"mpproxy/src/config"
	"mpproxy/src/engine/handshake"
)

// aloneEnds are the configurations of a router and its server, with the server's half.
func aloneEnds(t *testing.T, change func(router, server *config.Config)) (*config.Config, *remoteProxy) {
	t.Helper()
	key := func() (handshake.PrivateKey, handshake.PublicKey) {
		k, err := handshake.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return k, k.Public()
	}
	routerKey, routerPublic := key()
	serverKey, serverPublic := key()
	router := &config.Config{Portal: config.Portal{PrivateKey: config.SecretKey(routerKey), Protect: config.ProtectEncrypt},
		Remotes: []config.Remote{{Name: "vps", Enabled: true, PublicKey: config.Key(serverPublic), PresharedKey: config.SecretKey{7}}}}
	server := &config.Config{Portal: config.Portal{PrivateKey: config.SecretKey(serverKey), Protect: config.ProtectEncrypt},
		Peers: []config.Peer{{Name: "home", Enabled: true, SOCKS: true, PublicKey: config.Key(routerPublic), PresharedKey: config.SecretKey{7}}}}
	if change != nil {
		change(router, server)
	}
	p := &running{cfg: server, log: slog.New(slog.DiscardHandler), shared: newShared(slog.New(slog.DiscardHandler), 16)}
	p.config.current = server
	return router, &remoteProxy{portal: &remote{run: p}}
}

// TestSecretWithoutSession: a router and its server make the same secret, each time another one; a router that the server
// does not know, may not use the proxy, or has another preshared key, gets none.
func TestSecretWithoutSession(t *testing.T) {
	from := netip.MustParseAddrPort("192.0.2.1:1234")
	router, server := aloneEnds(t, nil)
	ids := map[uint64]bool{}
	for range 3 {
		initiation, finish, err := shakeWith(router, router.Remotes[0])
		if err != nil {
			t.Fatal(err)
		}
		answer, name, theirs, err := server.answerAlone(from, initiation)
		if err != nil || name != "home" {
			t.Fatal(name, err)
		}
		ours, err := finish(answer)
		if err != nil || ours.ID() != theirs.ID() || ids[ours.ID()] {
			t.Errorf("%v: %x and %x", err, ours.ID(), theirs.ID())
		}
		ids[ours.ID()] = true
		if _, err := finish(answer[:len(answer)-1]); err == nil {
			t.Error("a short answer was taken")
		}
	}
	for name, change := range map[string]func(router, server *config.Config){
		"unknown":  func(_, s *config.Config) { s.Peers[0].PublicKey[0] ^= 1 },
		"revoked":  func(_, s *config.Config) { s.Peers[0].Enabled = false },
		"no proxy": func(_, s *config.Config) { s.Peers[0].SOCKS = false },
		"other psk": func(r, _ *config.Config) {
			r.Remotes[0].PresharedKey = config.SecretKey{8}
		},
		"other server": func(r, _ *config.Config) {
			k, _ := handshake.GenerateKey(rand.Reader)
			r.Remotes[0].PublicKey = config.Key(k.Public())
		},
	} {
		router, server := aloneEnds(t, change)
		initiation, finish, err := shakeWith(router, router.Remotes[0])
		if err != nil {
			t.Fatal(err)
		}
		answer, _, theirs, err := server.answerAlone(from, initiation)
		if err != nil {
			continue
		}
		if ours, err := finish(answer); err == nil && ours.ID() == theirs.ID() {
			t.Errorf("%s: has a secret", name)
		}
	}
}
