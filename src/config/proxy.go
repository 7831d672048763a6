package config

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// A Password is a text that prints as "(hidden)" whatever the verb; Text is the one way to it.
type Password struct{ text string }

// String returns "(hidden)".
func (p Password) String() string { return hidden }

// Format writes "(hidden)" for every verb.
func (p Password) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText returns "(hidden)".
func (p Password) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Text returns the password.
func (p Password) Text() string { return p.text }

// IsZero reports whether there is no password.
func (p Password) IsZero() bool { return p.text == "" }

// SOCKS is a section "socks": a proxy server for programs.
type SOCKS struct {
	Name           string
	Enabled        bool
	Listen         []netip.AddrPort // none: the LAN's addresses, port 1080
	AllowWAN       bool             // may listen where the Internet can reach it
	AuthUser       bool             // clients give a user and a password
	Allow          []netip.Prefix   // clients; none: the LAN's networks
	UDP, Bind      bool
	Transparent    bool // takes LAN connections: those that rules send here, all to the Internet without such rules
	ByTPROXY       bool // in the way that leaves packets as they are, where the kernel has it
	MaxConnections int
	IdleTimeout    time.Duration
}

// User is a section "user": who may use the proxy.
type User struct {
	Name       string
	Enabled    bool
	Password   Password
	AllowRoute []string // none: all
}

// Carrier is what carries a proxied connection.
type Carrier string

// The carriers. Auto is multipath streams: over links that are alike the kernel's MPTCP does as well, over unlike or lossy
// ones it gets far less (40 Mbit/s 35 ms and 20 Mbit/s 320 ms: 7 against 50 Mbit/s).
const (
	CarrierAuto   Carrier = "auto"
	CarrierMPP    Carrier = "mpp"
	CarrierMPTCP  Carrier = "mptcp"
	CarrierTunnel Carrier = "tunnel"
	CarrierPlain  Carrier = "plain"
)

// Route is a section "route": how proxied connections to some destinations go. Of the routes that match, that with the
// narrowest destination is taken; of equals the first.
type Route struct {
	Name           string
	Dest           []Dest
	Ports          []PortRange // none: all
	Remote         string      // empty: the best
	Carrier        Carrier
	Via            []Via // none: every enabled link
	FallbackDirect bool
	Class          string
}

// A Dest is a network, a domain with all below it, or, if both are unset, everything.
type Dest struct {
	Net    netip.Prefix
	Domain string // lower case, without dots around it
}

// A Via is one subflow's way: over a link (empty: any), then through relays, in this order.
type Via struct {
	Link   string
	Relays []string
	Weight int // 1 unless the route says otherwise
}

// String writes the way as in the file.
func (v Via) String() string {
	relays := strings.Join(v.Relays, ">")
	switch {
	case relays == "":
		return v.Link
	case v.Link == "":
		return relays
	}
	return v.Link + ":" + relays
}

// Relay is a section "relay": a SOCKS5 server that is not ours to ask anything else of.
type Relay struct {
	Name         string
	Enabled      bool
	Address      HostPort
	Username     string
	Password     Password
	Link         string // empty: any
	ResolveLocal bool   // names are looked up here rather than there
}

// Limits of the proxy.
const (
	maxProxyConnections = 1_000_000
	maxIdleSeconds      = 30 * 24 * 3600
	defaultIdleSeconds  = 3600
	relayPort           = 1080
	maxWeight           = 1000
	maxRelays           = 8
)

func decodeSOCKS(s *section, role Role, found *problems) SOCKS {
	d := newDecoder(s, role, found)
	p := SOCKS{
		Name: s.name, Enabled: d.bool("enabled", false), Listen: values(d, "listen", nil, parseListen), AllowWAN: d.bool("allow_wan", false),
		AuthUser: choice(d, "auth", "none", "user") == "user", Allow: values(d, "allow", nil, parseNet),
		UDP: d.bool("udp", true), Bind: d.bool("bind", true), Transparent: d.bool("transparent", false),
		ByTPROXY:       choice(d, "transparent_by", "redirect", "tproxy") == "tproxy",
		MaxConnections: d.number("max_connections", 10000, 1, maxProxyConnections, ""),
		IdleTimeout:    time.Duration(d.number("idle_timeout", defaultIdleSeconds, 10, maxIdleSeconds, "")) * time.Second,
	}
	if p.Enabled && role == RoleRemote && len(p.Listen) == 0 {
		d.require("listen")
	}
	d.finish()
	return p
}

func decodeUser(s *section, role Role, found *problems) User {
	d := newDecoder(s, role, found)
	u := User{Name: s.name, Enabled: d.bool("enabled", true), Password: d.password("password"), AllowRoute: d.texts("allow_route")}
	d.finish()
	return u
}

func decodeRoute(s *section, role Role, found *problems) Route {
	d := newDecoder(s, role, found)
	r := Route{
		Name: s.name, Dest: values(d, "dest", nil, parseDest), Ports: values(d, "dest_port", nil, parsePorts), Remote: d.text("remote", ""),
		Carrier: choice(d, "carrier", CarrierAuto, CarrierMPP, CarrierMPTCP, CarrierTunnel, CarrierPlain),
		Via:     values(d, "via", nil, parseVia), FallbackDirect: choice(d, "fallback", "direct", "none") == "direct",
		Class: choice(d, "class", "auto", "urgent", "bulk"),
	}
	for _, w := range values(d, "weight", nil, parseWeight) {
		known := false
		for i := range r.Via {
			if r.Via[i].String() == w.String() {
				r.Via[i].Weight, known = w.Weight, true
			}
		}
		if !known {
			found.fail(d.at("weight"), "'%s' is not among this route's via", w)
		}
	}
	d.require("dest")
	d.finish()
	return r
}

func decodeRelay(s *section, role Role, found *problems) Relay {
	d := newDecoder(s, role, found)
	r := Relay{
		Name: s.name, Enabled: d.bool("enabled", true),
		Address:  value(d, "address", HostPort{}, func(text string) (HostPort, error) { return parseHostPort(text, relayPort) }),
		Username: d.text("username", ""), Password: d.password("password"), Link: d.text("link", ""),
		ResolveLocal: choice(d, "resolve", "remote", "local") == "local",
	}
	if r.Enabled {
		d.require("address")
	}
	d.finish()
	return r
}

// password reads a password written into the file by hand. Its text goes into no message.
func (d *decoder) password(name string) Password {
	o, v, ok := d.one(name)
	if !ok {
		return Password{}
	}
	p, err := parsePassword(v.text)
	if err != nil {
		d.found.fail(d.place(o, token{line: v.line}), "%v", err)
	}
	return p
}

// CheckPassword says what is wrong with a password that is to be kept; nil: nothing.
func CheckPassword(text string) error {
	_, err := parsePassword(text)
	return err
}

// parsePassword holds a password to what RFC 1929 can carry.
func parsePassword(text string) (Password, error) {
	text = strings.TrimRight(text, "\r\n")
	if len(text) > 255 || text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Password{}, errors.New("must be a password of 1 to 255 bytes on one line")
	}
	return Password{text}, nil
}

// parseNet reads a network of either family, or an address.
func parseNet(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" && !a.Is4In6() {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() || p != p.Masked() {
		return netip.Prefix{}, errors.New("must be a network or an address: 192.168.1.0/24 or 2001:db8::/32")
	}
	return p, nil
}

// parseDest reads a network, an address, a domain (also as *.example.org), or * for everything.
func parseDest(text string) (Dest, error) {
	if text == "*" {
		return Dest{}, nil
	}
	if p, err := parseNet(text); err == nil {
		return Dest{Net: p}, nil
	}
	name := strings.ToLower(strings.Trim(strings.TrimPrefix(text, "*"), "."))
	if !isHostName(name) {
		return Dest{}, errors.New("must be a network, a domain, or * for everything: 192.0.2.0/24, example.org, *")
	}
	return Dest{Domain: name}, nil
}

// parseVia reads "link", "relayA>relayB" or "link:relayA". Which of the two a single name is, check knows.
func parseVia(text string) (Via, error) {
	bad := errors.New("must be a link, a chain of relays, or both: dsl, relayA>relayB, dsl:relayA")
	v := Via{Weight: 1}
	chain, isChain := text, strings.Contains(text, ">")
	if link, rest, both := strings.Cut(text, ":"); both {
		v.Link, chain, isChain = link, rest, true
		if !isName(link, true) || link == "" {
			return Via{}, bad
		}
	}
	names := strings.Split(chain, ">")
	for _, name := range names {
		if name == "" || !isName(name, true) {
			return Via{}, bad
		}
	}
	if len(names) > maxRelays {
		return Via{}, fmt.Errorf("has more than %d relays", maxRelays)
	}
	if isChain {
		v.Relays = names
	} else {
		v.Link = chain
	}
	return v, nil
}

func parseWeight(text string) (Via, error) {
	way, number, _ := strings.Cut(text, "=")
	v, err := parseVia(way)
	n, err2 := strconv.Atoi(number)
	if err != nil || err2 != nil || n < 1 || n > maxWeight {
		return Via{}, fmt.Errorf("must be a via and a number from 1 to %d: dsl=3", maxWeight)
	}
	v.Weight = n
	return v, nil
}

// checkProxy holds the proxy's sections against each other.
func (l *loader) checkProxy() {
	c := l.config
	l.checkTransparent()
	l.checkRuleOrder()
	for i := range c.SOCKS {
		if c.SOCKS[i].Enabled {
			l.checkSOCKS(&c.SOCKS[i])
		}
	}
	links, relays := map[string]bool{}, map[string]bool{}
	for _, k := range c.Links {
		links[k.Name] = true
	}
	for _, r := range c.Relays {
		relays[r.Name] = true
		if r.Link != "" && !links[r.Link] {
			l.found.fail(l.at("relay", r.Name, "link"), "there is no link section of this name")
		}
		if !r.Password.IsZero() && r.Username == "" {
			l.found.fail(l.at("relay", r.Name, "username"), "is needed with a password")
		}
	}
	for _, u := range c.Users {
		for _, name := range u.AllowRoute {
			if l.sections["route '"+name+"'"] == nil {
				l.found.fail(l.at("user", u.Name, "allow_route"), "there is no route section '%s'", name)
			}
		}
	}
	for i := range c.Routes {
		r := &c.Routes[i]
		for j := range r.Via {
			v := &r.Via[j]
			if len(v.Relays) == 0 && !links[v.Link] && relays[v.Link] {
				v.Link, v.Relays = "", []string{v.Link}
			}
			if v.Link != "" && !links[v.Link] {
				l.found.fail(l.at("route", r.Name, "via"), "there is no link and no relay '%s'", v.Link)
			}
			for _, name := range v.Relays {
				if !relays[name] {
					l.found.fail(l.at("route", r.Name, "via"), "there is no relay section '%s'", name)
				}
			}
		}
		if r.Carrier == CarrierMPTCP && len(r.Via) > 0 {
			l.found.fail(l.at("route", r.Name, "via"), "is not used with carrier 'mptcp': the kernel spreads it over all links")
		}
		if r.Remote != "" && len(c.Remotes) > 0 && l.sections["remote '"+r.Remote+"'"] == nil {
			l.found.fail(l.at("route", r.Name, "remote"), "there is no remote section of this name")
		}
	}
}

// checkSOCKS keeps a server from being one for everybody.
func (l *loader) checkSOCKS(s *SOCKS) {
	for _, at := range s.Listen {
		if a := at.Addr(); !s.AllowWAN && (a.IsUnspecified() || !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast()) {
			l.found.fail(l.at("socks", s.Name, "listen"), "the Internet could reach %s; listen at the LAN's address, or set allow_wan '1'", at)
		}
	}
	if s.AuthUser {
		for _, u := range l.config.Users {
			if u.Enabled && !u.Password.IsZero() {
				return
			}
		}
		l.found.fail(l.at("socks", s.Name, "auth"), "needs an enabled user section with a password")
		return
	}
	if s.AllowWAN {
		l.found.fail(l.at("socks", s.Name, "allow_wan"), "needs auth 'user': anybody could use the proxy")
	}
	for _, p := range s.Allow {
		if a := p.Addr(); !(a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast()) || p.Bits() == 0 {
			l.found.fail(l.at("socks", s.Name, "allow"), "%s is not on the LAN; strangers need auth 'user'", p)
		}
	}
}
