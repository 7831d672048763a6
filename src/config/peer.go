package config

import "net/netip"

// Peer is a section "peer": a router this server lets in.
type Peer struct {
	Name                  string
	Enabled               bool // false: revoked, but kept
	PublicKey             Key
	PresharedKey          SecretKey  // zero: none
	Address               netip.Addr // inner IPv4
	Address6              netip.Addr // inner IPv6; invalid: none
	Prefix6               []netip.Prefix
	Prefix                []netip.Prefix // routed extra IPv4
	Mode                  Mode
	PublicIP              netip.Addr // invalid: the portal's
	AllowPort             []PortRange
	UploadBitsPerSecond   uint64 // from the router; 0: no limit
	DownloadBitsPerSecond uint64
	MaxLinks              int
	MaxConnections        int // 0: no limit
	Reach                 []string
	Cap                   Cap // only amount, period and action are set
	SOCKS                 bool
	AllowPrivate          bool
	Created, TokenID      string // as enrolment wrote them
}

// Limits of peers.
const (
	maxLinksLimit       = 64
	maxConnectionsLimit = 1_000_000
)

func decodePeer(s *section, portal Portal, found *problems) Peer {
	d := newDecoder(s, portal.Role, found)
	p := Peer{
		Name:                  s.name,
		Enabled:               d.bool("enabled", true),
		PublicKey:             value(d, "public_key", Key{}, ParseKey),
		PresharedKey:          d.secret("preshared_key"),
		Address:               value(d, "address", netip.Addr{}, func(text string) (netip.Addr, error) { return parseAddr(text, 4) }),
		Address6:              value(d, "address6", netip.Addr{}, func(text string) (netip.Addr, error) { return parseAddr(text, 6) }),
		Prefix6:               values(d, "prefix6", nil, parseCIDR6),
		Prefix:                values(d, "prefix", nil, parseCIDR4),
		Mode:                  portal.Remote.Mode,
		PublicIP:              value(d, "public_ip", netip.Addr{}, func(text string) (netip.Addr, error) { return parseAddr(text, 0) }),
		AllowPort:             values(d, "allow_port", []PortRange{{First: 1024, Last: 65535}}, parsePorts),
		UploadBitsPerSecond:   d.mbits("rate_up"),
		DownloadBitsPerSecond: d.mbits("rate_down"),
		MaxLinks:              d.number("max_links", 8, 1, maxLinksLimit, ""),
		MaxConnections:        d.number("max_connections", 0, 0, maxConnectionsLimit, "no limit"),
		Reach:                 d.texts("reach"),
		Cap: Cap{
			Bytes:  d.megabytes("cap_mb"),
			Period: choice(d, "cap_period", "month", "day", "week"),
			Action: choice(d, "cap_action", "stop", "warn", "slow"),
		},
		SOCKS:        d.bool("socks", true),
		AllowPrivate: d.bool("allow_private", false),
		Created:      d.text("created", ""),
		TokenID:      d.text("token_id", ""),
	}
	if own := choice(d, "mode", ModeNAT, ModePublic, ModeRouted); d.isSet("mode") {
		p.Mode = own
	}
	d.require("public_key")
	d.require("address")
	d.finish()
	return p
}
