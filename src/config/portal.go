package config

import "net/netip"

// DefaultPort is the portal's port, UDP and TCP.
const DefaultPort = 6779

// Where things are unless the configuration says otherwise.
const (
	DefaultSocket     = "/var/run/mpproxy.sock"
	DefaultSecretsDir = "/etc/mpproxy/secrets"
	DefaultPeersDir   = "/etc/mpproxy/peers.d"
)

// Limits of values; each is where the thing itself ends or stops making sense.
const (
	minMTU, maxMTU   = 1280, 1500 // RFC 8200's minimum; what an inner packet may have
	configVersion    = 1
	maxMemoryMiB     = 1 << 20
	maxTable         = 1<<31 - 1 // the kernel's tables are 32 bits, iproute2 reads 31
	maxRulePriority  = 32671     // so that the last of ours stands before the main table's rule
	maxPeersLimit    = 65536
	maxMbitPerSecond = 1_000_000
	bitsPerMbit      = 1_000_000
	bytesPerMiB      = 1 << 20
	maxMetric        = 65535
)

// Portal is section "portal 'main'".
type Portal struct {
	Enabled          bool
	Role             Role
	PrivateKey       SecretKey // zero: there is none yet, see Config.WithKey
	SecretsDir       string    // where keys are kept
	Device           string    // the TUN device's name
	MTU              int       // bytes of the largest inner packet, 1280..1500; 0: found
	Control          string    // path of the control socket
	LogLevel         LogLevel
	Scheduler        Scheduler
	Congestion       Congestion
	Profile          Profile
	Cipher           Cipher
	Protect          Protect
	MemoryLimitBytes int64  // 0: a quarter of RAM, at most 64 MiB
	MetricsListen    string // "": off
	Mark             Mark   // firewall mark of link 1; link n has n times its value
	Table            int    // routing table of the tunnel; links have the ones after it
	RulePriority     int    // of the first policy rule; 0: found
	DNSServers       []netip.Addr

	Local  LocalPortal  // meaningful with role local only
	Remote RemotePortal // meaningful with role remote only
}

// LocalPortal is what only the portal on the router has.
type LocalPortal struct {
	LAN           []string // interfaces or devices whose traffic enters the tunnel
	KillSwitch    bool
	DNS           DNS
	IPv6          IPv6
	RouterTraffic bool
	Duplicate     Duplicate
	PublicTo      string // "router", a MAC or an address
	Failback      bool
}

// RemotePortal is what only the portal on the server has.
type RemotePortal struct {
	Listen            []netip.AddrPort // UDP and TCP
	ListenTLS         []netip.AddrPort
	TLSName           string
	IPProtocol        int
	RawIP             bool
	Interface         string         // towards the Internet; "": found
	Address           netip.Prefix   // the portal's inner IPv4 address, and the pool around it
	Address6          []netip.Prefix // the same for IPv6
	Prefix6           []netip.Prefix // pools that routers get prefixes from
	Mode              Mode           // of peers that name none
	Reserve           []PortRange    // public ports that no router gets; nil: found at set-up
	Isolate           bool
	AllowPrivate      bool
	BlockPort         []PortRange
	PeersDir          string
	MaxPeers          int
	RateBitsPerSecond uint64 // of all peers together; 0: no limit
	// Endpoints are where routers reach this server; they go into pairing tokens. None: found when one is made.
	Endpoints []HostPort
}

// decodePortal reads the portal section. Which role it has decides what else is read.
func decodePortal(s *section, found *problems) Portal {
	d := newDecoder(s, "", found)
	p := Portal{Role: choice(d, "role", RoleLocal, RoleRemote)}
	d.role = p.Role
	p.Enabled = d.bool("enabled", false)
	d.number("config_version", configVersion, configVersion, configVersion, "")
	p.PrivateKey = d.secret("private_key")
	p.SecretsDir = value(d, "secrets_dir", DefaultSecretsDir, parsePath)
	p.Device = value(d, "device", "mpp0", parseInterface)
	p.MTU = d.number("mtu", 0, minMTU, maxMTU, "the value found by itself")
	p.Control = value(d, "control", DefaultSocket, parsePath)
	p.LogLevel = choice(d, "log_level", LogInfo, LogError, LogWarn, LogDebug)
	p.Scheduler = choice(d, "scheduler", SchedulerEarliest, SchedulerGreedy, SchedulerWeighted, SchedulerRedundant)
	p.Congestion = choice(d, "congestion", CongestionBBR, CongestionCubic, CongestionNewReno, CongestionNone)
	p.Profile = choice(d, "profile", ProfileBalanced, ProfileLatency, ProfileThroughput)
	p.Cipher = choice(d, "cipher", CipherAuto, CipherAES, CipherChaCha)
	p.Protect = choice(d, "protect", ProtectEncrypt, ProtectAuthenticate)
	p.MemoryLimitBytes = int64(d.number("memory_limit", 0, 8, maxMemoryMiB, "a quarter of the memory")) * bytesPerMiB
	if p.MetricsListen = d.text("metrics_listen", ""); p.MetricsListen == "off" {
		p.MetricsListen = ""
	}
	p.Mark = value(d, "mark", Mark{0x01000000, 0xff000000}, parseMark)
	p.Table = d.number("table", 7000, 1, maxTable, "")
	p.RulePriority = d.number("rule_priority", 0, 1, maxRulePriority, "a place found by itself")
	p.DNSServers = values(d, "dns_server", nil, func(text string) (netip.Addr, error) { return parseAddr(text, 0) })
	p.Local = decodeLocal(d)
	p.Remote = decodeRemotePortal(d)
	d.finish()
	return p
}

func decodeLocal(d *decoder) LocalPortal {
	d.owner = RoleLocal
	defer func() { d.owner = "" }()
	return LocalPortal{
		LAN:           values(d, "lan", []string{"lan"}, parseInterface),
		KillSwitch:    d.bool("kill_switch", false),
		DNS:           choice(d, "dns", DNSTunnel, DNSSystem),
		IPv6:          choice(d, "ipv6", IPv6Auto, IPv6Tunnel, IPv6Reject, IPv6Direct),
		RouterTraffic: d.bool("router_traffic", false),
		Duplicate:     choice(d, "duplicate", DuplicateOff, DuplicateCalls, DuplicateUrgent),
		PublicTo:      d.text("public_to", "router"),
		Failback:      d.bool("failback", true),
	}
}

func decodeRemotePortal(d *decoder) RemotePortal {
	d.owner = RoleRemote
	defer func() { d.owner = "" }()
	return RemotePortal{
		Listen:            values(d, "listen", []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Unspecified(), DefaultPort)}, parseListen),
		ListenTLS:         values(d, "listen_tls", nil, parseListen),
		TLSName:           d.text("tls_name", ""),
		IPProtocol:        d.number("ip_protocol", 253, 1, 254, ""),
		RawIP:             d.bool("raw_ip", false),
		Interface:         value(d, "interface", "", parseInterface),
		Address:           value(d, "address", netip.MustParsePrefix("10.99.0.1/24"), parseCIDR4),
		Address6:          values(d, "address6", nil, parseCIDR6),
		Prefix6:           values(d, "prefix6", nil, parseCIDR6),
		Mode:              choice(d, "mode", ModeNAT, ModePublic, ModeRouted),
		Reserve:           values(d, "reserve", nil, parseProtoPorts),
		Isolate:           d.bool("isolate", true),
		AllowPrivate:      d.bool("allow_private", false),
		BlockPort:         values(d, "block_port", nil, parseProtoPorts),
		PeersDir:          value(d, "peers_dir", DefaultPeersDir, parsePath),
		MaxPeers:          d.number("max_peers", 256, 1, maxPeersLimit, ""),
		RateBitsPerSecond: d.mbits("rate"),
		Endpoints: values(d, "endpoint", nil, func(text string) (HostPort, error) {
			return parseHostPort(text, DefaultPort)
		}),
	}
}

func parseCIDR4(text string) (netip.Prefix, error) { return parseCIDR(text, false) }

func parseCIDR6(text string) (netip.Prefix, error) { return parseCIDR(text, true) }

// mbits reads a rate in Mbit/s as bits per second; 0 is no limit.
func (d *decoder) mbits(name string) uint64 {
	return uint64(d.number(name, 0, 0, maxMbitPerSecond, "no limit")) * bitsPerMbit
}
