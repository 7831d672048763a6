package config

import "strings"

// decodedKinds are the section types that this version uses.
func decodedKinds() []string {
	return []string{"portal", "remote", "link", "peer", "socks", "user", "route", "relay"}
}

// otherKinds are the section types that belong to the format but are not used by this version, with their options.
func otherKinds() map[string][]string {
	return map[string][]string{
		"rule": strings.Fields("enabled src src_ip src_mac dest_ip dest_domain proto dest_port dscp target link class duplicate " +
			"profile use_link"),
		"forward": strings.Fields("enabled proto src_dport dest_ip dest_port src_ip to_router peer"),
		"history": strings.Fields("enabled storage path size_kb flush days"),
		"alert":   strings.Fields("event hook min_interval"),
	}
}

// decodeOther looks at a section of a type that this version does not use.
func (l *loader) decodeOther(s *section) {
	others := otherKinds()
	known, ok := others[s.kind]
	if ok {
		s.warnUnknown(known, &l.found)
		if on := s.find("enabled"); on == nil || on.values[0].text != "0" {
			l.found.warn(s.at(), "is not used by this version")
		}
		return
	}
	kinds := decodedKinds()
	for kind := range others {
		kinds = append(kinds, kind)
	}
	if near := nearest(s.kind, kinds); near != "" {
		l.found.warn(s.at(), "is of an unknown type and ignored; did you mean '%s'?", near)
		return
	}
	l.found.warn(s.at(), "is of an unknown type and ignored")
}
