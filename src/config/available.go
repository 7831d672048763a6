package config

import (
	"net/netip"
	"slices"
	"strings"
)

// An unavailable row names an option whose value is right by the format, but does something that this version cannot do
// yet. Such a value is an error: doing something else in silence would be worse. To offer it, shrink the row.
type unavailable struct {
	kind, option string
	available    string // in words
	isAvailable  func(value string) bool
}

// notYet lists what this version does not offer.
func notYet() []unavailable {
	row := func(kind, option string, words ...string) unavailable {
		return unavailable{kind, option, strings.Join(words, ", "), func(value string) bool { return slices.Contains(words, value) }}
	}
	off := func(kind, option string) unavailable { return unavailable{kind, option, "0", isOff} }
	none := func(kind, option string) unavailable {
		return unavailable{kind, option, "leaving it out", func(string) bool { return false }}
	}
	return []unavailable{
		row("portal", "protect", "encrypt"),
		row("portal", "public_to", "router"),
		row("portal", "mode", "nat"),
		{"portal", "failback", "1", func(value string) bool { return !isOff(value) }},
		row("portal", "metrics_listen", "off"),
		off("portal", "raw_ip"),
		none("portal", "listen_tls"),
		none("portal", "prefix6"),
		{"portal", "listen", "an IPv4 address, or [::] for all", func(value string) bool {
			at, err := netip.ParseAddrPort(value)
			return err != nil || at.Addr().Is4() || at.Addr().IsUnspecified()
		}},
		row("link", "transport", "auto", "udp"),
		row("link", "dscp", "clear"),
		row("remote", "standby", "warm"),
		row("remote", "family", "any", "4"),
		{"remote", "endpoint", "a name or an IPv4 address", func(value string) bool {
			h, err := parseHostPort(value, DefaultPort)
			return err != nil || !strings.Contains(h.Host, ":")
		}},
		row("peer", "mode", "nat"),
		row("peer", "cap_mb", "0"),
		row("peer", "max_connections", "0"),
		row("route", "class", "auto"),
		none("peer", "prefix"),
		none("peer", "prefix6"),
		none("peer", "public_ip"),
	}
}

func isOff(value string) bool {
	on, err := parseBool(value)
	return err != nil || !on // what is no boolean has its own error
}

// refuseUnavailable complains of values that this version cannot serve, in sections that are switched on.
func (l *loader) refuseUnavailable() {
	complained := map[Place]bool{}
	for _, e := range l.found.errors {
		complained[e.Place] = true
	}
	for _, file := range l.files {
		for _, s := range file.sections {
			if on := s.find("enabled"); s.kind != "portal" && on != nil && isOff(on.values[0].text) {
				continue
			}
			for _, row := range notYet() {
				l.refuseRow(s, row, complained)
			}
		}
	}
}

func (l *loader) refuseRow(s *section, row unavailable, complained map[Place]bool) {
	o := s.find(row.option)
	if s.kind != row.kind || o == nil {
		return
	}
	for _, v := range o.values {
		at := newDecoder(s, "", nil).place(o, v)
		if v.text != "" && !row.isAvailable(v.text) && !complained[at] {
			l.found.fail(at, "is not available in this version; available: %s", row.available)
		}
	}
}
