package config

// Remote is a section "remote": a server this router may use.
type Remote struct {
	Name         string
	Enabled      bool
	PublicKey    Key
	PresharedKey SecretKey // zero: none
	Endpoints    []HostPort
	Priority     int // lower first; of equals the first
	Standby      Standby
	Family       Family
	TLSName      string
}

const maxPriority = 65535

func decodeRemote(s *section, role Role, found *problems) Remote {
	d := newDecoder(s, role, found)
	r := Remote{
		Name:         s.name,
		Enabled:      d.bool("enabled", true),
		PublicKey:    value(d, "public_key", Key{}, ParseKey),
		PresharedKey: d.secret("preshared_key"),
		Endpoints: values(d, "endpoint", nil, func(text string) (HostPort, error) {
			return parseHostPort(text, DefaultPort)
		}),
		Priority: d.number("priority", 0, 0, maxPriority, ""),
		Standby:  choice(d, "standby", StandbyWarm, StandbyCold),
		Family:   choice(d, "family", FamilyAny, Family4, Family6),
		TLSName:  d.text("tls_name", ""),
	}
	if r.Enabled {
		d.require("public_key")
		d.require("endpoint")
	}
	d.finish()
	return r
}
