package congestion

import (
	"time"

	"mpproxy/src/engine/mono"
)

// Kind names a congestion control; the zero value leaves the choice to whoever is asked next.
type Kind uint8

// The congestion controls.
const (
	// Default is BBR, where nothing else was said.
	Default Kind = iota
	// UseBBR is the BBR of this package.
	UseBBR
	// UseCubic is CUBIC (RFC 9438) with HyStart++ (RFC 9406).
	UseCubic
	// UseNewReno is RFC 9002 appendix B.
	UseNewReno
	// UseNone leaves it to an inferred rate: see Inferred. It belongs to the scheduler "weighted".
	UseNone
)

// kinds are the names in the words of the configuration.
var kinds = [...]string{"", "bbr", "cubic", "newreno", "none"}

// String is the name in the configuration, "" for Default.
func (k Kind) String() string {
	if int(k) < len(kinds) {
		return kinds[k]
	}
	return "unknown"
}

// ParseKind is the reverse of String; ok is false for a name that is none.
func ParseKind(name string) (k Kind, ok bool) {
	for i, n := range kinds {
		if n == name {
			return Kind(i), true
		}
	}
	return Default, false
}

// Valid reports that k is one of the constants.
func (k Kind) Valid() bool { return int(k) < len(kinds) }

// Or is k, or other where k leaves the choice.
func (k Kind) Or(other Kind) Kind {
	if k == Default {
		return other
	}
	return k
}

// New returns a controller of that kind; rtt is the handshake's round trip (0 if unknown), seed sets the phases of paths apart.
func New(k Kind, now mono.Time, rtt time.Duration, seed uint32) Controller {
	switch k {
	case UseCubic:
		return NewCubic(now, rtt)
	case UseNewReno:
		return NewNewReno(now, rtt)
	case UseNone:
		return NewInferred(now, rtt)
	}
	return NewBBR(now, rtt, seed)
}
