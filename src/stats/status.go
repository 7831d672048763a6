package stats

import (
	"math"
	"time"
)

// Status is all that a portal tells about itself: what `mpproxy status --json` prints. Field names carry their units.
// "Up" is from the router to the server and "down" the other way, at both ends. It holds no keys. A field may be added;
// none changes its meaning.
type Status struct {
	Version       string            `json:"version"`
	Role          string            `json:"role"` // "local" or "remote"
	UptimeSeconds float64           `json:"uptime_seconds"`
	ConfigFile    string            `json:"config_file"`
	Sessions      []Session         `json:"sessions"`        // local: one; remote: one for each peer, also those not connected
	Links         []Link            `json:"links"`           // local: every configured link
	Drops         map[string]uint64 `json:"drops"`           // packets by Reason that belong to no session
	Proxy         *Proxy            `json:"proxy,omitempty"` // nil: no proxy is configured
	// ConfigProblem says what is wrong in the configuration file, as long as an older one stays in force.
	ConfigProblem string `json:"config_problem,omitempty"`
	// ConfigRestart are the options that were changed in the file and need a restart.
	ConfigRestart []string `json:"config_restart,omitempty"`
	// ConfigLost says that there is no session since the configuration was changed, and that there was one before.
	ConfigLost bool `json:"config_lost,omitempty"`
	// SafeMode says that crashes made the portal careful: no offloads, UDP only. Advice has it in words.
	SafeMode bool `json:"safe_mode,omitempty"`
	// Advice is what the owner of this machine should do, one sentence each.
	Advice []string `json:"advice,omitempty"`
}

// SessionState says how a session is.
type SessionState string

// The states of a session.
const (
	SessionUp         SessionState = "up"         // keys stand and a path works
	SessionConnecting SessionState = "connecting" // a handshake is under way
	SessionDown       SessionState = "down"       // nothing heard of the other side, or nothing to send over
)

// Session is the association with one remote (on the router) or one peer (on the server).
type Session struct {
	Peer            string       `json:"peer"` // the section's name
	State           SessionState `json:"state"`
	StateSeconds    float64      `json:"state_seconds"`             // how long it has been in this state
	Trouble         string       `json:"trouble,omitempty"`         // in words: why there is no session, or what people should know of it
	RemoteEndpoint  string       `json:"remote_endpoint,omitempty"` // address:port last heard of
	InnerAddresses  []string     `json:"inner_addresses,omitempty"` // the router's, in the tunnel
	PublicAddress   string       `json:"public_address,omitempty"`  // IPv4: as what the LAN is seen in the Internet, as far as the router knows
	NameServers     []string     `json:"name_servers,omitempty"`    // that the server offers
	Scheduler       string       `json:"scheduler"`                 // in use for what this side sends
	MTUBytes        int          `json:"mtu_bytes"`                 // of inner packets
	KeyAgeSeconds   float64      `json:"key_age_seconds"`
	Paths           []Path       `json:"paths"`
	Lanes           int          `json:"lanes"` // flows spread over several paths now
	Flows           int          `json:"flows"` // flows with a queue now
	QueueBytes      int          `json:"queue_bytes"`
	UpPackets       uint64       `json:"up_packets"` // inner packets and bytes, counted once
	UpBytes         uint64       `json:"up_bytes"`
	DownPackets     uint64       `json:"down_packets"`
	DownBytes       uint64       `json:"down_bytes"`
	RepairedPackets uint64       `json:"repaired_packets"`         // lost on a path and sent again by this side
	CopiedPackets   uint64       `json:"copied_packets,omitempty"` // sent over a second path, too, by this side
	// EvenedPackets came to this side and were kept for the sake of even delays, for EvenedSeconds all together.
	EvenedPackets uint64  `json:"evened_packets,omitempty"`
	EvenedSeconds float64 `json:"evened_seconds,omitempty"`
	// LimitUpBitsPerSecond and LimitDownBitsPerSecond are what the server lets this router use, of inner packets; MaxLinks is
	// how many of its connections at once. 0: no limit, or not told.
	LimitUpBitsPerSecond   uint64            `json:"limit_up_bits_per_second,omitempty"`
	LimitDownBitsPerSecond uint64            `json:"limit_down_bits_per_second,omitempty"`
	MaxLinks               int               `json:"max_links,omitempty"`
	Gain                   float64           `json:"gain"`  // goodput over what the best link alone would have given; 0: not known
	Drops                  map[string]uint64 `json:"drops"` // packets by Reason
}

// PathState says how a path is.
type PathState string

// The states of a path, as this side sees its own sending.
const (
	PathUp         PathState = "up"
	PathSuspect    PathState = "suspect"    // acknowledgements are late
	PathDown       PathState = "down"       // nothing comes back
	PathValidating PathState = "validating" // its address is being proven
	PathUnusable   PathState = "unusable"   // cannot carry packets: no address, no socket, too small
)

// Path is one way between the portals.
type Path struct {
	ID                     uint32    `json:"id"`
	Link                   string    `json:"link"` // the router's name of the link; on the server it may be empty
	Transport              string    `json:"transport"`
	State                  PathState `json:"state"`
	Congestion             string    `json:"congestion"`       // congestion control in use, for what this side sends
	CongestionPhase        string    `json:"congestion_phase"` // what it does now; compete: others fill the queue, the delay is not bounded
	Local                  string    `json:"local"`            // address:port
	Remote                 string    `json:"remote"`
	RateBitsPerSecond      uint64    `json:"rate_bits_per_second"` // estimate of what it can carry in the direction this side sends
	UpBitsPerSecond        uint64    `json:"up_bits_per_second"`   // carried now
	DownBitsPerSecond      uint64    `json:"down_bits_per_second"`
	UpBytes                uint64    `json:"up_bytes"` // carried since its start, all headers of the tunnel included
	DownBytes              uint64    `json:"down_bytes"`
	SRTTMs                 float64   `json:"srtt_ms"`
	MinRTTMs               float64   `json:"min_rtt_ms"`
	QueueDelayMs           float64   `json:"queue_delay_ms"` // what queues on the way add now
	LossRatio              float64   `json:"loss_ratio"`     // of datagrams this side sent lately, 0..1
	RepairedPackets        uint64    `json:"repaired_packets"`
	WindowBytes            int       `json:"window_bytes"`
	InFlightBytes          int       `json:"in_flight_bytes"`
	MTUBytes               int       `json:"mtu_bytes"` // largest datagram with IP header
	SentDatagrams          uint64    `json:"sent_datagrams"`
	ReceivedDatagrams      uint64    `json:"received_datagrams"`
	ReceiveOverflowPackets uint64    `json:"receive_overflow_packets"` // lost in our own socket's buffer
}

// LinkState says how a link is.
type LinkState string

// The states of a link.
const (
	LinkUp        LinkState = "up"
	LinkNoDevice  LinkState = "no_device"
	LinkNoCarrier LinkState = "no_carrier"
	LinkNoAddress LinkState = "no_address"
	LinkPaused    LinkState = "paused"   // by `mpproxy link NAME pause`
	LinkDisabled  LinkState = "disabled" // by the configuration
	LinkCap       LinkState = "cap_reached"
	LinkWalled    LinkState = "walled" // a login page answers in place of the network
)

// Link is a configured uplink of the router.
type Link struct {
	Name      string    `json:"name"`
	Interface string    `json:"interface"`
	State     LinkState `json:"state"`
	Metric    int       `json:"metric"`
	Cap       *Cap      `json:"cap,omitempty"` // nil: it has no data cap
}

// CapState says how much of a data cap is used.
type CapState string

// The states of a data cap.
const (
	CapBelow   CapState = "below"   // the warning
	CapWarn    CapState = "warn"    // the warning is due
	CapReached CapState = "reached" // all is used
)

// Cap is a link's data cap: how much of it is used in the present period. All bytes that go over the link's device count, also
// those of other programs, as far as the cap counts their direction.
type Cap struct {
	State      CapState `json:"state"`
	UsedBytes  uint64   `json:"used_bytes"`
	LimitBytes uint64   `json:"limit_bytes"`
	Action     string   `json:"action"` // when it is reached: "warn", "slow" or "stop"
	// RateBitsPerSecond is what the link is slowed down to with action "slow".
	RateBitsPerSecond uint64 `json:"rate_bits_per_second,omitempty"`
	Since             string `json:"since,omitempty"` // the day on which the period began, "2026-05-01"
	// EndsAt is when it ends, seconds since 1970, and EndsSeconds how long that is from now; 0: this machine does not know
	// the time yet.
	EndsAt      int64   `json:"ends_at,omitempty"`
	EndsSeconds float64 `json:"ends_seconds,omitempty"`
}

// Milliseconds returns d for a field in milliseconds, to the microsecond.
func Milliseconds(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e3 }

// Seconds returns d for a field in seconds, to the millisecond.
func Seconds(d time.Duration) float64 { return math.Round(float64(d)/1e6) / 1e3 }
