package config

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// check holds sections against each other and against what their role needs.
func (l *loader) check() {
	portal := &l.config.Portal
	if portal.Congestion == CongestionNone && portal.Scheduler != SchedulerWeighted {
		l.found.fail(l.portalAt("congestion"), "'none' works with scheduler 'weighted' only")
	}
	l.checkProxy()
	if portal.Role == RoleLocal {
		l.checkLocal()
		return
	}
	l.checkPool()
	l.checkPeers()
	l.checkAddresses()
}

// checkLocal checks what the portal on a router needs.
func (l *loader) checkLocal() {
	c := l.config
	at := l.portalAt("")
	if c.Portal.Enabled && len(c.EnabledRemotes()) == 0 {
		l.found.fail(at, "needs at least one enabled remote section (the server), with public_key and endpoint")
	}
	if r := c.EnabledRemotes(); c.Portal.Enabled && len(r) > 1 {
		l.found.warn(l.at("remote", r[1].Name, ""), "is not used for the tunnel: this version has one server for it, the first of the lowest priority that is enabled")
	}
	if c.Portal.Enabled && len(c.EnabledLinks()) == 0 {
		l.found.fail(at, "needs at least one enabled link section (an Internet connection), with interface")
	}
	keys := keyOwners{loader: l, kind: "remote", owners: map[Key]string{}}
	for _, r := range c.Remotes {
		keys.claim(r.PublicKey, r.Name)
	}
	l.checkLinks()
	l.checkUses()
	l.checkCopies()
}

func (l *loader) checkLinks() {
	c := l.config
	devices := map[string]string{}
	for _, link := range c.Links {
		if c.Portal.Congestion != CongestionNone && link.Congestion == CongestionNone && c.Portal.Scheduler != SchedulerWeighted {
			l.found.fail(l.at("link", link.Name, "congestion"), "'none' works with scheduler 'weighted' only")
		}
		known := true
		for _, name := range link.Remotes {
			if !slices.ContainsFunc(c.Remotes, func(r Remote) bool { return r.Name == name }) {
				known = false
				at := l.at("link", link.Name, "remote")
				at.Value = name
				l.found.fail(at, "there is no remote section of this name")
			}
		}
		if !link.Enabled {
			continue
		}
		if r := c.EnabledRemotes(); known && len(r) > 0 && !link.Uses(r[0].Name) {
			l.found.fail(l.at("link", link.Name, "remote"), "leaves out '%s', the tunnel's server, which this version cannot; switch the link off instead", r[0].Name)
		}
		if link.Interface == "" {
			continue
		}
		if other, ok := devices[link.Interface]; ok {
			l.found.fail(l.at("link", link.Name, "interface"), "is already that of link '%s'; a link has an interface of its own", other)
		}
		devices[link.Interface] = link.Name
	}
	mark := c.Portal.Mark
	if most := uint64(mark.Mask / mark.Value); uint64(len(c.Links)) > most {
		l.found.fail(l.portalAt("mark"), "leaves room for %d links, and there are %d", most, len(c.Links))
	}
}

// keyOwners finds public keys that stand in two sections of a kind, or are our own.
type keyOwners struct {
	loader *loader
	kind   string
	owners map[Key]string
}

func (k *keyOwners) claim(key Key, name string) {
	if key.IsZero() {
		return
	}
	at := k.loader.at(k.kind, name, "public_key")
	if other, ok := k.owners[key]; ok {
		k.loader.found.fail(at, "is already the key of %s '%s'", k.kind, other)
	}
	k.owners[key] = name
	if own := k.loader.config.Portal.PrivateKey; !own.IsZero() {
		if public, err := own.Public(); err == nil && public == key {
			k.loader.found.fail(at, "is this portal's own key; the other side's belongs here")
		}
	}
}

// checkPool checks the server's own addresses.
func (l *loader) checkPool() {
	r := l.config.Portal.Remote
	if why := unusable(r.Address, r.Address.Addr()); why != "" {
		l.found.fail(l.portalAt("address"), "%s", why)
	}
	for _, p := range r.Address6 {
		if p.Bits() > 126 || p.Addr() == p.Masked().Addr() {
			at := l.portalAt("address6")
			at.Value = p.String()
			l.found.fail(at, "must be an address within a network of at most /126, not the network itself: fd00:99::1/64")
		}
	}
}

// unusable says why addr cannot be a host's address in pool, or "".
func unusable(pool netip.Prefix, addr netip.Addr) string {
	last := pool.Masked().Addr().As4()
	for i, host := 3, 32-pool.Bits(); i >= 0 && host > 0; i, host = i-1, host-8 {
		last[i] |= byte(1<<min(host, 8) - 1)
	}
	switch {
	case pool.Bits() > 30:
		return "leaves no address for a router; the network must be /30 or larger"
	case addr == pool.Masked().Addr() || addr == netip.AddrFrom4(last):
		return "is the first or the last address of the network " + pool.Masked().String() + ", which no machine can have"
	}
	return ""
}

// checkPeers checks each peer against the portal and the others.
func (l *loader) checkPeers() {
	c := l.config
	keys := keyOwners{loader: l, kind: "peer", owners: map[Key]string{}}
	if n := len(c.EnabledPeers()); n > c.Portal.Remote.MaxPeers {
		l.found.fail(l.portalAt("max_peers"), "is less than the %d enabled peers", n)
	}
	for _, p := range c.Peers {
		keys.claim(p.PublicKey, p.Name)
		pool := c.Portal.Remote.Address
		switch {
		case !p.Address.IsValid():
		case !pool.Contains(p.Address):
			l.found.fail(l.at("peer", p.Name, "address"), "is outside of the portal's network %s", pool.Masked())
		case pool.Bits() <= 30 && unusable(pool, p.Address) != "":
			l.found.fail(l.at("peer", p.Name, "address"), "%s", unusable(pool, p.Address))
		}
		inPool := func(pool netip.Prefix) bool { return pool.Contains(p.Address6) }
		if p.Address6.IsValid() && !slices.ContainsFunc(c.Portal.Remote.Address6, inPool) {
			l.found.fail(l.at("peer", p.Name, "address6"), "is outside of the portal's networks in address6%s", listPools(c.Portal.Remote.Address6))
		}
		for _, name := range p.Reach {
			if !slices.ContainsFunc(c.Peers, func(o Peer) bool { return o.Name == name }) {
				at := l.at("peer", p.Name, "reach")
				at.Value = name
				l.found.fail(at, "there is no peer section of this name")
			}
		}
	}
}

func listPools(pools []netip.Prefix) string {
	if len(pools) == 0 {
		return " (there are none)"
	}
	words := make([]string, len(pools))
	for i, p := range pools {
		words[i] = p.Masked().String()
	}
	return ": " + strings.Join(words, ", ")
}

// A claim is addresses that belong to one section.
type claim struct {
	prefix       netip.Prefix
	kind, name   string
	option, text string
}

// checkAddresses finds addresses that belong to two sections. Prefixes nest or are apart, so after sorting each needs to
// be held only against the widest that began before it.
func (l *loader) checkAddresses() {
	claims := l.claims()
	slices.SortStableFunc(claims, func(a, b claim) int {
		return cmp.Or(a.prefix.Masked().Addr().Compare(b.prefix.Masked().Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	for i, widest := 1, 0; i < len(claims); i++ {
		if !claims[widest].prefix.Overlaps(claims[i].prefix) {
			widest = i
			continue
		}
		one, other := claims[i], claims[widest]
		if one.kind == "portal" {
			one, other = other, one
		}
		at := l.at(one.kind, one.name, one.option)
		at.Value = one.text
		l.found.fail(at, "overlaps %s %s of %s '%s'", other.option, other.text, other.kind, other.name)
	}
}

// claims returns what belongs to the portal itself and to each peer.
func (l *loader) claims() []claim {
	var out []claim
	single := func(addr netip.Addr, kind, name, option string) {
		if addr.IsValid() {
			out = append(out, claim{netip.PrefixFrom(addr, addr.BitLen()), kind, name, option, addr.String()})
		}
	}
	portal := l.config.Portal.Remote
	single(portal.Address.Addr(), "portal", l.portal.name, "address")
	for _, p := range portal.Address6 {
		single(p.Addr(), "portal", l.portal.name, "address6")
	}
	for _, p := range l.config.Peers {
		single(p.Address, "peer", p.Name, "address")
		single(p.Address6, "peer", p.Name, "address6")
		for _, prefix := range p.Prefix {
			out = append(out, claim{prefix, "peer", p.Name, "prefix", prefix.String()})
		}
		for _, prefix := range p.Prefix6 {
			out = append(out, claim{prefix, "peer", p.Name, "prefix6", prefix.String()})
		}
	}
	return out
}
