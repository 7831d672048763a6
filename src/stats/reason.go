package stats

// Reason says why a packet or a datagram was dropped. Each drop has exactly one reason and is counted exactly once.
type Reason uint8

// The reasons, in the order a packet could meet them: on its way out, on its way in, at the system's edges.
const (
	// QueueFull: the queue of its flow was full, or it was the fattest flow when all queues together were.
	QueueFull Reason = iota
	// CoDel: it waited too long in its flow's queue (RFC 8289).
	CoDel
	// AckSuperseded: a TCP acknowledgement that waited until a newer one of its connection said all that it did.
	AckSuperseded
	// PoolExhausted: no packet buffer was free.
	PoolExhausted
	// NotIP: an inner packet that is neither IPv4 nor IPv6, or whose header is cut or contradicts its length.
	NotIP
	// SourceNotOwned: an inner packet from an address its sender does not own.
	SourceNotOwned
	// DestinationNotOwned: an inner packet from the peer to an address that is not ours to deliver to.
	DestinationNotOwned
	// TooLarge: an inner packet above the tunnel's MTU.
	TooLarge
	// NoPath: no path was usable.
	NoPath
	// NoSession: no session stood, so there was no key to seal it with.
	NoSession
	// SenderBusy: the sender of its link could not take it.
	SenderBusy
	// AmplificationLimit: the destination's address is not validated and has had as many bytes as it sent.
	AmplificationLimit
	// OverRate: an inner packet above what its router may send (rate_up, rate).
	OverRate
	// TooManyLinks: a datagram of a connection that is one more than its router may use (max_links).
	TooManyLinks
	// RepairPushedOut: it was pushed out of the repair store before its acknowledgement came; if lost, it stays lost.
	RepairPushedOut
	// GaveUp: it was lost and no repair could have arrived in time.
	GaveUp

	// Truncated: a datagram too short for what its header promises.
	Truncated
	// UnknownType: a datagram of a type this version does not know.
	UnknownType
	// UnknownVersion: a handshake message of another protocol version.
	UnknownVersion
	// UnknownConnection: a datagram whose connection id belongs to no session.
	UnknownConnection
	// OldEpoch: a datagram of a key epoch that is no longer, or not yet, valid.
	OldEpoch
	// NotAuthentic: a datagram that did not open: damaged, forged, or of another key.
	NotAuthentic
	// Replayed: a datagram whose number was seen before.
	Replayed
	// TooOld: a datagram whose number lies behind the replay window.
	TooOld
	// MalformedFrame: a frame of the authenticated peer that does not parse.
	MalformedFrame

	// BadMAC: a handshake message without, or with a wrong, first MAC: its sender does not know our key.
	BadMAC
	// CookieRequired: a handshake message without a valid cookie while we are under load.
	CookieRequired
	// UnknownPeer: a handshake from a key that is not configured, or is switched off.
	UnknownPeer
	// HandshakeLimit: more handshakes than are answered at once.
	HandshakeLimit
	// PeersLimit: one peer more than is allowed.
	PeersLimit

	// LaneDuplicate: a copy of a packet its lane has already delivered.
	LaneDuplicate
	// LaneWindow: a packet beyond the window its lane can keep in order.
	LaneWindow
	// LaneMemory: a packet that waited in its lane when the memory for waiting packets ran out.
	LaneMemory
	// PartTimeout: one half of a packet sent in two parts whose other half did not come.
	PartTimeout

	// SocketError: the system refused to send or to receive it.
	SocketError
	// SocketOverflow: it was lost in a full receive buffer of our own socket (SO_RXQ_OVFL).
	SocketOverflow
	// TunWriteError: the TUN device did not take it.
	TunWriteError

	reasonCount // not a reason
)

// NumReasons is the number of reasons; valid reasons are 0..NumReasons-1.
const NumReasons = int(reasonCount)

// names are what String returns: stable, lower case with underscores, for JSON keys and Prometheus labels.
var names = [NumReasons]string{
	QueueFull:           "queue_full",
	CoDel:               "codel",
	AckSuperseded:       "ack_superseded",
	PoolExhausted:       "pool_exhausted",
	NotIP:               "not_ip",
	SourceNotOwned:      "source_not_owned",
	DestinationNotOwned: "destination_not_owned",
	TooLarge:            "too_large",
	NoPath:              "no_path",
	NoSession:           "no_session",
	SenderBusy:          "sender_busy",
	AmplificationLimit:  "amplification_limit",
	OverRate:            "over_rate",
	TooManyLinks:        "too_many_links",
	RepairPushedOut:     "repair_pushed_out",
	GaveUp:              "gave_up",
	Truncated:           "truncated",
	UnknownType:         "unknown_type",
	UnknownVersion:      "unknown_version",
	UnknownConnection:   "unknown_connection",
	OldEpoch:            "old_epoch",
	NotAuthentic:        "not_authentic",
	Replayed:            "replayed",
	TooOld:              "too_old",
	MalformedFrame:      "malformed_frame",
	BadMAC:              "bad_mac",
	CookieRequired:      "cookie_required",
	UnknownPeer:         "unknown_peer",
	HandshakeLimit:      "handshake_limit",
	PeersLimit:          "peers_limit",
	LaneDuplicate:       "lane_duplicate",
	LaneWindow:          "lane_window",
	LaneMemory:          "lane_memory",
	PartTimeout:         "part_timeout",
	SocketError:         "socket_error",
	SocketOverflow:      "socket_overflow",
	TunWriteError:       "tun_write_error",
}

// String returns the reason's stable name, for example "queue_full", or "unknown_reason" for a value that is none.
func (r Reason) String() string {
	if int(r) >= NumReasons {
		return "unknown_reason"
	}
	return names[r]
}
