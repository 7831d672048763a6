package stats

import (
	"fmt"
	"strings"
)

// Proxy is what the SOCKS5 server and the multipath streams tell. Bytes are payload; "up" is from the client.
type Proxy struct {
	Listen           []string      `json:"listen"` // on the router: for programs
	Clients          int           `json:"clients"`
	Accepted         uint64        `json:"accepted"`
	RefusedStrangers uint64        `json:"refused_strangers"` // not from an allowed network
	RefusedTooMany   uint64        `json:"refused_too_many"`
	RefusedUsers     uint64        `json:"refused_users"` // wrong user or password
	BadRequests      uint64        `json:"bad_requests"`
	Connects         uint64        `json:"connects"`
	Binds            uint64        `json:"binds"`
	Associations     uint64        `json:"associations"`
	Failed           uint64        `json:"failed"` // requests that got an error as answer
	Multipath        uint64        `json:"multipath"`
	Plain            uint64        `json:"plain"`     // directly, as no route says otherwise
	Tunnelled        uint64        `json:"tunnelled"` // through the tunnel, as a route says
	MPTCP            uint64        `json:"mptcp"`     // of the multipath ones: begun over the kernel's MPTCP
	Retries          uint64        `json:"retries"`   // multipath ones that were begun again with another number
	Fallbacks        uint64        `json:"fallbacks"` // directly, as the server could not be used
	FallbackWhy      string        `json:"fallback_why,omitempty"`
	Intercepted      uint64        `json:"intercepted"`       // connections of the LAN that were led here
	DroppedDatagrams uint64        `json:"dropped_datagrams"` // of associations
	UpBytes          uint64        `json:"up_bytes"`
	DownBytes        uint64        `json:"down_bytes"`
	Subflows         uint64        `json:"subflows"`          // on the server: accepted from its routers
	RefusedSubflows  uint64        `json:"refused_subflows"`  // on the server: no good hello
	ReplayedSubflows uint64        `json:"replayed_subflows"` // on the server: copies of earlier ones
	MemoryBytes      int           `json:"memory_bytes"`      // that streams hold now of what they carry
	MemoryUsedBytes  int           `json:"memory_used_bytes"` // beside that, also what streams take by being there
	MemoryLimitBytes int           `json:"memory_limit_bytes"`
	Streams          []ProxyStream `json:"streams"` // connections now, at most as many as are of use to people
}

// ProxyStream is one connection of a program. Of a direct one, which the kernel copies, bytes and subflows are not known.
type ProxyStream struct {
	Client        string         `json:"client,omitempty"`
	Destination   string         `json:"destination,omitempty"`
	Direct        bool           `json:"direct,omitempty"` // from this machine to the destination, without the other portal
	AgeSeconds    float64        `json:"age_seconds"`
	SentBytes     uint64         `json:"sent_bytes"`
	ReceivedBytes uint64         `json:"received_bytes"`
	AgainBytes    uint64         `json:"again_bytes"` // sent another time
	Subflows      []ProxySubflow `json:"subflows"`
}

// ProxySubflow is one TCP connection of a multipath connection.
type ProxySubflow struct {
	Via               string  `json:"via"`
	SentBytes         uint64  `json:"sent_bytes"`
	ReceivedBytes     uint64  `json:"received_bytes"`
	RateBitsPerSecond uint64  `json:"rate_bits_per_second"`
	RTTMs             float64 `json:"rtt_ms"`
	Stalled           bool    `json:"stalled"`
}

// people writes what the proxy does in a few lines.
func (p *Proxy) people(out *strings.Builder) {
	if p == nil {
		return
	}
	if len(p.Listen) > 0 {
		fmt.Fprintf(out, "\nProxy for programs: SOCKS5 %s, %d connections now, %d since the start\n", strings.Join(p.Listen, ", "), p.Clients, p.Accepted)
		fmt.Fprintf(out, "  %d over several links, %d direct, %d direct because the server could not be used, %d failed\n", p.Multipath, p.Plain, p.Fallbacks, p.Failed)
		if p.Intercepted > 0 || p.Tunnelled > 0 || p.MPTCP > 0 {
			fmt.Fprintf(out, "  %d taken from the LAN, %d through the tunnel, %d over MPTCP\n", p.Intercepted, p.Tunnelled, p.MPTCP)
		}
		if p.FallbackWhy != "" {
			fmt.Fprintf(out, "  last direct because: %s\n", p.FallbackWhy)
		}
	} else if p.Subflows > 0 {
		fmt.Fprintf(out, "\nMultipath connections of routers: %d since the start, over %d subflows\n", p.Multipath, p.Subflows)
	}
	for _, s := range p.Streams {
		if s.Direct {
			continue
		}
		var ways []string
		for _, k := range s.Subflows {
			ways = append(ways, fmt.Sprintf("%s %d %%", k.Via, share(k, s.Subflows)))
		}
		fmt.Fprintf(out, "  %s: %s\n", s.Destination, strings.Join(ways, ", "))
	}
}

// share is a subflow's part of all bytes, in percent.
func share(k ProxySubflow, all []ProxySubflow) uint64 {
	sum := uint64(0)
	for _, each := range all {
		sum += each.SentBytes + each.ReceivedBytes
	}
	return 100 * (k.SentBytes + k.ReceivedBytes) / max(1, sum)
}
