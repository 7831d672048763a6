package portal

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"reflect"

	"mpproxy/src/config"
	"mpproxy/src/engine"
	"mpproxy/src/engine/handshake"
	"mpproxy/src/engine/mono"
	"mpproxy/src/engine/node"
	"mpproxy/src/engine/wire"
)

var _ reloader = (*remote)(nil)

// reload adds, changes and removes routers, then what the system knows of them. A router's session goes on unless its
// key changed or it was removed.
func (r *remote) reload(ctx context.Context, next *config.Config) (changes []string, err error) {
	if err := r.enrolment.store.Reload(next); err != nil {
		r.run.log.Warn("read what is known of routers", "err", err)
	}
	ran := r.run.shared.do(ctx, func(now mono.Time) {
		var tunnels []*engine.Tunnel
		for _, p := range r.Peers() {
			tunnels = append(tunnels, p.Tunnel)
		}
		r.SetChoices(choices(next.Portal))
		r.SetRate(now, int64(next.Portal.Remote.RateBitsPerSecond/8))
		before := r.run.configuration().Portal
		changes = append(rechoose(now, before, next.Portal, tunnels...), r.reloadPeers(now, next)...)
		if rate := next.Portal.Remote.RateBitsPerSecond; rate != before.Remote.RateBitsPerSecond {
			changes = append(changes, fmt.Sprintf("rate of all routers together: %d Mbit/s", rate/1_000_000))
		}
	})
	if !ran {
		return nil, ctx.Err()
	}
	changes = append(changes, r.proxy.follow(ctx, next)...)
	changed, err := r.system.reload(ctx, next)
	if changed {
		changes = append(changes, "addresses, forwarding and firewall")
	}
	return changes, err
}

// reloadPeers holds the routers against the configuration. In the loop.
func (r *remote) reloadPeers(now mono.Time, next *config.Config) (changes []string) {
	wanted := map[handshake.PublicKey]config.Peer{}
	for _, c := range next.EnabledPeers() {
		wanted[handshake.PublicKey(c.PublicKey)] = c
	}
	for _, peer := range append([]*node.Peer(nil), r.Peers()...) {
		c, stays := wanted[peer.Key]
		if !stays {
			r.RemovePeer(now, peer)
			delete(r.rates, peer)
			delete(r.conflicts, peer)
			changes = append(changes, fmt.Sprintf("router %s is no longer let in", peer.Name))
			continue
		}
		if params := peerParams(next, c); !reflect.DeepEqual(params, peer.PeerParams) {
			r.ChangePeer(now, peer, params)
			changes = append(changes, "router "+c.Name)
		}
		delete(wanted, peer.Key)
	}
	for _, c := range next.EnabledPeers() {
		if _, fresh := wanted[handshake.PublicKey(c.PublicKey)]; !fresh {
			continue
		}
		if peer, ok := r.AddPeer(now, peerParams(next, c)); ok {
			r.rates[peer] = &rates{}
			changes = append(changes, fmt.Sprintf("router %s is let in", c.Name))
		}
	}
	return changes
}

// ownedBy are the inner addresses of a peer.
func ownedBy(c *config.Config, p config.Peer) []netip.Prefix {
	owned := []netip.Prefix{netip.PrefixFrom(p.Address, p.Address.BitLen())}
	if p.Address6.IsValid() && len(c.Portal.Remote.Address6) > 0 {
		owned = append(owned, netip.PrefixFrom(p.Address6, p.Address6.BitLen()))
	}
	return append(append(owned, p.Prefix...), p.Prefix6...)
}

// peerParams translates a peer of the configuration.
func peerParams(c *config.Config, p config.Peer) node.PeerParams {
	portal := c.Portal
	s := wire.SessionConfig{
		Address4: netip.PrefixFrom(p.Address, portal.Remote.Address.Bits()), MTU: uint16(innerMTU(c)), Peer4: portal.Remote.Address.Addr(),
		DNS:    portal.DNSServers[:min(len(portal.DNSServers), wire.MaxDNS)],
		UpKbit: kbit(p.UploadBitsPerSecond, portal.Remote.RateBitsPerSecond), DownKbit: kbit(p.DownloadBitsPerSecond, portal.Remote.RateBitsPerSecond),
		MaxLinks: uint8(p.MaxLinks),
	}
	if p.Address6.IsValid() && len(portal.Remote.Address6) > 0 {
		s.Address6 = netip.PrefixFrom(p.Address6, portal.Remote.Address6[0].Bits())
		s.Peer6 = portal.Remote.Address6[0].Addr()
	}
	return node.PeerParams{
		Name: p.Name, Key: handshake.PublicKey(p.PublicKey), PSK: handshake.PresharedKey(p.PresharedKey), Owned: ownedBy(c, p), Config: s.Append(nil),
		Limits: engine.Limits{Out: int64(p.DownloadBitsPerSecond / 8), In: int64(p.UploadBitsPerSecond / 8), Links: p.MaxLinks},
	}
}

// kbit is the lower of two limits in kbit/s; 0 is none.
func kbit(a, b uint64) uint32 {
	if a == 0 || b > 0 && b < a {
		a = b
	}
	return uint32(min(a/1000, math.MaxUint32))
}
