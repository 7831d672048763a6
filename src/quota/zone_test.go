package quota

import (
	"testing"
	"time"
)

func TestZone(t *testing.T) {
	for _, c := range []struct{ zone, at, want string }{
		{"CET-1CEST,M3.5.0,M10.5.0/3\n", "2026-01-15T12:00:00Z", "13:00 CET"},
		{"CET-1CEST,M3.5.0,M10.5.0/3", "2026-07-15T12:00:00Z", "14:00 CEST"},
		{"<+0330>-3:30", "2026-07-15T12:00:00Z", "15:30 +0330"},
		{"EST5EDT,M3.2.0,M11.1.0", "2026-12-15T12:00:00Z", "07:00 EST"},
		{"UTC0", "2026-12-15T12:00:00Z", "12:00 UTC"},
	} {
		zone, err := Zone(c.zone)
		if err != nil {
			t.Errorf("%q: %v", c.zone, err)
			continue
		}
		at, _ := time.Parse(time.RFC3339, c.at)
		if got := at.In(zone).Format("15:04 MST"); got != c.want {
			t.Errorf("%q at %s: %s, not %s", c.zone, c.at, got, c.want)
		}
	}
	for _, bad := range []string{"", " \n", "A\nB"} {
		if _, err := Zone(bad); err == nil {
			t.Errorf("%q is a time zone", bad)
		}
	}
}

// What makes no sense is UTC, not a crash.
func FuzzZone(f *testing.F) {
	for _, s := range []string{"CET-1CEST,M3.5.0,M10.5.0/3", "<+0330>-3:30", "UTC0", "Europe/Berlin", "A1B,J60,J300", ",,,", "CET-1CEST,M3.5.0,M10.5.0/3,"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		zone, err := Zone(s)
		if err != nil {
			return
		}
		now := time.Unix(1_800_000_000, 0).In(zone)
		p := Plan{Bytes: 1, Day: 31}
		if since, ends := p.Since(now), p.Ends(now); since.After(now) || !ends.After(since) {
			t.Errorf("%q: %s is not between %s and %s", s, now, since, ends)
		}
	})
}
