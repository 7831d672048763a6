package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Link is a section "link": one uplink of the router.
type Link struct {
	Name                  string
	Enabled               bool
	Interface             string // netifd's name or the device's
	Label                 string // what people see; the name if not set
	Transport             Transport
	Metric                int  // lower first
	Overflow              bool // also used while all links of lower metric are full
	UploadBitsPerSecond   uint64
	DownloadBitsPerSecond uint64
	Metered               bool
	Duplicate             bool       // carries copies of what is sent twice; not, unless asked, if Metered
	MTU                   int        // bytes; 0: found
	Congestion            Congestion // empty: each portal's own choice
	DSCP                  DSCP
	Remotes               []string // names; nil: all
	Cap                   Cap
}

// Cap is a data cap per billing period. Megabytes are 10^6 bytes.
type Cap struct {
	Bytes             uint64 // 0: none
	Count             string // "both", "down" or "up"
	Period            string // "day", "week" or "month"
	Day               int    // of the month, 1..31, or of the week, 1 (Monday)..7
	WarnPercent       int
	Action            string // "warn", "slow" or "stop"
	RateBitsPerSecond uint64 // with action "slow"
	UsedBytes         uint64 // correction by the user, read once
	UsedAt            int64  // when that was typed in, seconds since 1970; 0: nobody knows
	Correction        string // names the correction, so that the same amount can be typed in again; empty: there is none
}

// Limits and units of caps.
const (
	maxCapMB        = 1_000_000_000
	bytesPerMB      = 1_000_000
	bitsPerKbit     = 1_000
	maxCapKbit      = 1_000_000
	maxCapUsedAt    = 1<<31 - 1 // seconds since 1970
	minLinkMTU      = 576       // RFC 791: what every IPv4 host takes
	maxLinkMTU      = 9216
	defaultCapKbit  = 256
	defaultCapWarnP = 80
)

func decodeLink(s *section, portal Portal, found *problems) Link {
	d := newDecoder(s, portal.Role, found)
	l := Link{
		Name:                  s.name,
		Enabled:               d.bool("enabled", true),
		Interface:             value(d, "interface", "", parseInterface),
		Label:                 d.text("label", s.name),
		Transport:             choice(d, "transport", TransportAuto, TransportUDP, TransportTCP, TransportTLS, TransportIP),
		Metric:                d.number("metric", 0, 0, maxMetric, ""),
		Overflow:              d.bool("overflow", false),
		UploadBitsPerSecond:   d.mbits("upload"),
		DownloadBitsPerSecond: d.mbits("download"),
		Metered:               d.bool("metered", false),
		MTU:                   d.number("mtu", 0, minLinkMTU, maxLinkMTU, "the value found by itself"),
		DSCP:                  choice(d, "dscp", DSCPClear, DSCPCopy),
		Remotes:               d.texts("remote"),
		Cap:                   decodeCap(d),
	}
	l.Duplicate = d.bool("duplicate", !l.Metered)
	if own := choice(d, "congestion", CongestionBBR, CongestionCubic, CongestionNewReno, CongestionNone); d.isSet("congestion") {
		l.Congestion = own
	}
	if l.Enabled {
		d.require("interface")
	}
	d.finish()
	return l
}

func decodeCap(d *decoder) Cap {
	c := Cap{
		Bytes:             d.megabytes("cap_mb"),
		Count:             choice(d, "cap_count", "both", "down", "up"),
		Period:            choice(d, "cap_period", "month", "day", "week"),
		WarnPercent:       d.number("cap_warn", defaultCapWarnP, 1, 100, ""),
		Action:            choice(d, "cap_action", "stop", "warn", "slow"),
		RateBitsPerSecond: uint64(d.number("cap_rate", defaultCapKbit, 1, maxCapKbit, "")) * bitsPerKbit,
		UsedBytes:         d.megabytes("cap_used_mb"),
	}
	c.UsedAt = int64(d.number("cap_used_at", 0, 0, maxCapUsedAt, "")) // pages write it
	if d.isSet("cap_used_mb") {
		c.Correction = fmt.Sprintf("%d@%d", c.UsedBytes, c.UsedAt)
	}
	c.Day = value(d, "cap_day", 1, func(text string) (int, error) {
		last := map[string]int{"day": 1, "week": 7, "month": 31}[c.Period]
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > last {
			return 0, errors.New("must be a day of the month from 1 to 31, or with cap_period 'week' a weekday from 1 (Monday) to 7")
		}
		return n, nil
	})
	return c
}

func (d *decoder) megabytes(name string) uint64 {
	return uint64(d.number(name, 0, 0, maxCapMB, "none")) * bytesPerMB
}

// Uses reports whether the link may carry sessions with the remote of this name.
func (l Link) Uses(remote string) bool {
	return len(l.Remotes) == 0 || slices.Contains(l.Remotes, remote)
}
