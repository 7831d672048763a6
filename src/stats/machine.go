package stats

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// JSON returns the status as indented JSON with a line end. Empty lists and maps are written as such, never as null.
func (s *Status) JSON() ([]byte, error) {
	full := *s
	full.Sessions = append([]Session{}, s.Sessions...)
	full.Links = append([]Link{}, s.Links...)
	full.Drops = orEmpty(s.Drops)
	for i := range full.Sessions {
		session := &full.Sessions[i]
		session.Paths = append([]Path{}, session.Paths...)
		session.Drops = orEmpty(session.Drops)
	}
	out, err := json.MarshalIndent(&full, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("print status: %w", err)
	}
	return append(out, '\n'), nil
}

func orEmpty(m map[string]uint64) map[string]uint64 {
	if m == nil {
		return map[string]uint64{}
	}
	return m
}

// exposition collects samples by metric, since Prometheus wants those of one metric together.
type exposition struct {
	order   []string
	metrics map[string]*metric
}

type metric struct {
	kind, help string
	samples    []string
}

// add adds one sample. labels are pairs of name and value.
func (e *exposition) add(name, kind, help string, value float64, labels ...string) {
	m := e.metrics[name]
	if m == nil {
		m = &metric{kind: kind, help: help}
		e.metrics[name] = m
		e.order = append(e.order, name)
	}
	pairs := make([]string, 0, len(labels)/2)
	for i := 0; i+1 < len(labels); i += 2 {
		pairs = append(pairs, labels[i]+`="`+escapeLabel(labels[i+1])+`"`)
	}
	text := strings.Join(pairs, ",")
	if text != "" {
		text = "{" + text + "}"
	}
	m.samples = append(m.samples, "mpproxy_"+name+text+" "+strconv.FormatFloat(value, 'f', -1, 64))
}

// escapeLabel follows the text format's rules for label values.
func escapeLabel(text string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(strings.ToValidUTF8(text, "�"))
}

// String returns the collected text.
func (e *exposition) String() string {
	var out strings.Builder
	for _, name := range e.order {
		m := e.metrics[name]
		fmt.Fprintf(&out, "# HELP mpproxy_%s %s\n# TYPE mpproxy_%s %s\n%s\n", name, m.help, name, m.kind, strings.Join(m.samples, "\n"))
	}
	return out.String()
}

// Prometheus returns the status in Prometheus' text format, version 0.0.4.
func (s *Status) Prometheus() string {
	e := &exposition{metrics: map[string]*metric{}}
	e.add("info", "gauge", "Always 1.", 1, "version", s.Version, "role", s.Role)
	e.add("uptime_seconds", "gauge", "Time since the start of the daemon.", s.UptimeSeconds)
	for i := range s.Sessions {
		s.Sessions[i].prometheus(e)
	}
	for _, l := range s.Links {
		e.add("link_up", "gauge", "1 if the link has a device, a carrier and an address.", truth(l.State == LinkUp), "link", l.Name)
		if l.Cap != nil {
			e.add("link_cap_used_bytes", "gauge", "Used of the link's data cap in the present period.", float64(l.Cap.UsedBytes), "link", l.Name)
			e.add("link_cap_bytes", "gauge", "The link's data cap.", float64(l.Cap.LimitBytes), "link", l.Name)
		}
	}
	for _, name := range sortedKeys(s.Drops) {
		addDrop(e, "", name, s.Drops[name])
	}
	return e.String()
}

func addDrop(e *exposition, peer, reason string, n uint64) {
	e.add("dropped_packets_total", "counter", "Packets dropped, by reason.", float64(n), "peer", peer, "reason", reason)
}

func truth(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func (s *Session) prometheus(e *exposition) {
	const carried = "Inner bytes carried."
	e.add("session_up", "gauge", "1 if the session stands.", truth(s.State == SessionUp), "peer", s.Peer)
	e.add("session_bytes_total", "counter", carried, float64(s.UpBytes), "peer", s.Peer, "direction", "up")
	e.add("session_bytes_total", "counter", carried, float64(s.DownBytes), "peer", s.Peer, "direction", "down")
	e.add("session_packets_total", "counter", "Inner packets carried.", float64(s.UpPackets), "peer", s.Peer, "direction", "up")
	e.add("session_packets_total", "counter", "Inner packets carried.", float64(s.DownPackets), "peer", s.Peer, "direction", "down")
	e.add("session_repaired_packets_total", "counter", "Packets lost on a path and sent again.", float64(s.RepairedPackets), "peer", s.Peer)
	if s.CopiedPackets > 0 {
		e.add("session_copied_packets_total", "counter", "Packets sent over a second path, too.", float64(s.CopiedPackets), "peer", s.Peer)
	}
	if s.EvenedPackets > 0 {
		e.add("session_evened_packets_total", "counter", "Packets kept for the sake of even delays.", float64(s.EvenedPackets), "peer", s.Peer)
		e.add("session_evened_seconds_total", "counter", "How long they were kept, all together.", s.EvenedSeconds, "peer", s.Peer)
	}
	if s.Gain > 0 {
		e.add("session_gain", "gauge", "Goodput over what the best connection alone would have given, for what this side sends.", s.Gain, "peer", s.Peer)
	}
	e.add("session_queue_bytes", "gauge", "Bytes that wait for a path.", float64(s.QueueBytes), "peer", s.Peer)
	e.add("session_flows", "gauge", "Flows with a queue.", float64(s.Flows), "peer", s.Peer)
	e.add("session_lanes", "gauge", "Flows spread over several paths.", float64(s.Lanes), "peer", s.Peer)
	e.add("session_key_age_seconds", "gauge", "Age of the keys in use.", s.KeyAgeSeconds, "peer", s.Peer)
	for i := range s.Paths {
		s.Paths[i].prometheus(e, s.Peer)
	}
	for _, name := range sortedKeys(s.Drops) {
		addDrop(e, s.Peer, name, s.Drops[name])
	}
}

func (p *Path) prometheus(e *exposition, peer string) {
	add := func(name, kind, help string, value float64, more ...string) {
		labels := append([]string{"peer", peer, "link", p.Link, "path", strconv.FormatUint(uint64(p.ID), 10)}, more...)
		e.add("path_"+name, kind, help, value, labels...)
	}
	add("up", "gauge", "1 if the path is in use.", truth(p.State == PathUp), "transport", p.Transport)
	add("rate_bits_per_second", "gauge", "Estimate of what the path can carry from here.", float64(p.RateBitsPerSecond))
	add("bytes_total", "counter", "Bytes carried with all headers of the tunnel.", float64(p.UpBytes), "direction", "up")
	add("bytes_total", "counter", "Bytes carried with all headers of the tunnel.", float64(p.DownBytes), "direction", "down")
	add("srtt_seconds", "gauge", "Smoothed round trip.", p.SRTTMs/1e3)
	add("min_rtt_seconds", "gauge", "Smallest round trip.", p.MinRTTMs/1e3)
	add("queue_delay_seconds", "gauge", "What queues on the way add.", p.QueueDelayMs/1e3)
	add("loss_ratio", "gauge", "Share of datagrams lost lately.", p.LossRatio)
	add("repaired_packets_total", "counter", "Packets lost here and sent again.", float64(p.RepairedPackets))
	add("window_bytes", "gauge", "Congestion window.", float64(p.WindowBytes))
	add("in_flight_bytes", "gauge", "Bytes sent and not yet acknowledged.", float64(p.InFlightBytes))
	add("mtu_bytes", "gauge", "Largest datagram.", float64(p.MTUBytes))
	add("datagrams_total", "counter", "Datagrams.", float64(p.SentDatagrams), "direction", "sent")
	add("datagrams_total", "counter", "Datagrams.", float64(p.ReceivedDatagrams), "direction", "received")
	add("receive_overflow_packets_total", "counter", "Datagrams lost in our own socket's buffer.", float64(p.ReceiveOverflowPackets))
}
