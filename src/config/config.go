package config

import (
	"cmp"
	"slices"
)

// Config is a whole configuration: checked, with all defaults filled in. It is never changed after Load; slices in it
// are shared and must not be written to.
type Config struct {
	File    string // the main file, as given to Load
	Portal  Portal
	Remotes []Remote // role local, in the file's order; also disabled ones
	Links   []Link   // role local, in the file's order; also disabled ones
	SOCKS   []SOCKS  // in the file's order, as what follows; also disabled ones
	Users   []User
	Routes  []Route
	Relays  []Relay
	Rules   []Rule // those with target proxy
	Peers   []Peer // role remote: of the main file, then of peers.d by file name; also disabled ones
}

// EnabledRemotes returns the remotes that are switched on: the lowest priority first, equal ones in the file's order. The tunnel's
// server is the first.
func (c *Config) EnabledRemotes() []Remote {
	var out []Remote
	for _, r := range c.Remotes {
		if r.Enabled {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Remote) int { return cmp.Compare(a.Priority, b.Priority) })
	return out
}

// EnabledLinks returns the links that are switched on, in the file's order.
func (c *Config) EnabledLinks() []Link {
	var out []Link
	for _, l := range c.Links {
		if l.Enabled {
			out = append(out, l)
		}
	}
	return out
}

// EnabledPeers returns the peers that are switched on.
func (c *Config) EnabledPeers() []Peer {
	var out []Peer
	for _, p := range c.Peers {
		if p.Enabled {
			out = append(out, p)
		}
	}
	return out
}

// Role is which end of the tunnel a portal is.
type Role string

// The roles.
const (
	RoleLocal  Role = "local"  // on the router
	RoleRemote Role = "remote" // on the server
)

// LogLevel is the least severity that is logged.
type LogLevel string

// The log levels.
const (
	LogError LogLevel = "error"
	LogWarn  LogLevel = "warn"
	LogInfo  LogLevel = "info"
	LogDebug LogLevel = "debug"
)

// Scheduler chooses how packets are bound to paths.
type Scheduler string

// The schedulers (DESIGN.md T11).
const (
	SchedulerEarliest  Scheduler = "earliest"
	SchedulerGreedy    Scheduler = "greedy"
	SchedulerWeighted  Scheduler = "weighted"
	SchedulerRedundant Scheduler = "redundant"
)

// Congestion chooses the congestion control of a path.
type Congestion string

// The congestion controls (DESIGN.md T11).
const (
	CongestionBBR     Congestion = "bbr"
	CongestionCubic   Congestion = "cubic"
	CongestionNewReno Congestion = "newreno"
	CongestionNone    Congestion = "none"
)

// Profile weighs delay against throughput.
type Profile string

// The profiles.
const (
	ProfileLatency    Profile = "latency"
	ProfileBalanced   Profile = "balanced"
	ProfileThroughput Profile = "throughput"
)

// Cipher is the AEAD of the tunnel.
type Cipher string

// The ciphers. Auto takes what is fastest on both machines.
const (
	CipherAuto   Cipher = "auto"
	CipherAES    Cipher = "aes"
	CipherChaCha Cipher = "chacha"
)

// Protect says what is done to payloads.
type Protect string

// The kinds of protection.
const (
	ProtectEncrypt      Protect = "encrypt"
	ProtectAuthenticate Protect = "authenticate"
)

// Mode is how a router's traffic leaves the server.
type Mode string

// The modes (DESIGN.md T8).
const (
	ModeNAT    Mode = "nat"
	ModePublic Mode = "public"
	ModeRouted Mode = "routed"
)

// DNS says where the LAN's names are resolved.
type DNS string

// Where names are resolved.
const (
	DNSTunnel DNS = "tunnel"
	DNSSystem DNS = "system"
)

// IPv6 says what happens to the LAN's IPv6.
type IPv6 string

// What happens to IPv6. Auto is tunnel if the server gives it, else reject.
const (
	IPv6Auto   IPv6 = "auto"
	IPv6Tunnel IPv6 = "tunnel"
	IPv6Reject IPv6 = "reject"
	IPv6Direct IPv6 = "direct"
)

// Duplicate says which packets are sent twice.
type Duplicate string

// What is sent twice.
const (
	DuplicateOff    Duplicate = "off"
	DuplicateCalls  Duplicate = "calls"
	DuplicateUrgent Duplicate = "urgent"
)

// Standby says how a remote that is not in use is kept ready.
type Standby string

// The kinds of standby.
const (
	StandbyWarm Standby = "warm"
	StandbyCold Standby = "cold"
)

// Family is which addresses of an endpoint are used.
type Family string

// The families.
const (
	FamilyAny Family = "any"
	Family4   Family = "4"
	Family6   Family = "6"
)

// Transport is what carries datagrams over a link.
type Transport string

// The transports (DESIGN.md T6). Auto is UDP for now.
const (
	TransportAuto Transport = "auto"
	TransportUDP  Transport = "udp"
	TransportTCP  Transport = "tcp"
	TransportTLS  Transport = "tls"
	TransportIP   Transport = "ip"
)

// DSCP says what becomes of a packet's DSCP on the outside.
type DSCP string

// What becomes of DSCP.
const (
	DSCPClear DSCP = "clear"
	DSCPCopy  DSCP = "copy"
)
