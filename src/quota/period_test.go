package quota

import (
	"testing"
	"time"
)

func TestPeriods(t *testing.T) {
	for _, c := range []struct {
		period          Period
		day             int
		now, since, end string
	}{
		{Month, 1, "2026-05-01 00:00", "2026-05-01", "2026-06-01"},
		{Month, 1, "2026-12-31 23:59", "2026-12-01", "2027-01-01"},
		{Month, 15, "2026-05-14 23:59", "2026-04-15", "2026-05-15"},
		{Month, 15, "2026-01-14 23:59", "2025-12-15", "2026-01-15"},
		{Month, 15, "2026-05-15 00:00", "2026-05-15", "2026-06-15"},
		{Month, 31, "2026-02-27 12:00", "2026-01-31", "2026-02-28"}, // the last day where there is no 31st
		{Month, 31, "2026-02-28 12:00", "2026-02-28", "2026-03-31"},
		{Month, 31, "2028-02-28 12:00", "2028-01-31", "2028-02-29"},
		{Month, 30, "2026-03-29 12:00", "2026-02-28", "2026-03-30"},
		{Week, 1, "2026-05-18 00:00", "2026-05-18", "2026-05-25"}, // a Monday
		{Week, 1, "2026-05-17 23:59", "2026-05-11", "2026-05-18"},
		{Week, 7, "2026-05-17 00:00", "2026-05-17", "2026-05-24"}, // a Sunday
		{Week, 7, "2026-05-16 23:59", "2026-05-10", "2026-05-17"},
		{Week, 3, "2026-01-01 12:00", "2025-12-31", "2026-01-07"},
		{Day, 1, "2026-12-31 12:00", "2026-12-31", "2027-01-01"},
	} {
		p := Plan{Period: c.period, Day: c.day}
		now := at(c.now).Now
		if got := p.Since(now).Format(time.DateOnly); got != c.since {
			t.Errorf("%+v at %s: since %s, not %s", p, c.now, got, c.since)
		}
		if got := p.Ends(now).Format("2006-01-02 15:04"); got != c.end+" 00:00" {
			t.Errorf("%+v at %s: ends %s, not %s", p, c.now, got, c.end)
		}
	}
}

// Every moment of ten years lies in exactly one period, in a zone with summer time too.
func TestPeriodsJoin(t *testing.T) {
	zone, err := Zone("CET-1CEST,M3.5.0,M10.5.0/3")
	if err != nil {
		t.Fatal(err)
	}
	for _, period := range []Period{Month, Week, Day} {
		for day := 1; day <= []int{31, 7, 1}[period]; day++ {
			p := Plan{Period: period, Day: day}
			for now := time.Date(2026, 1, 1, 0, 0, 0, 0, zone); now.Year() < 2036; {
				since, ends := p.Since(now), p.Ends(now)
				if since.After(now) || !ends.After(now) || !p.Since(ends).Equal(ends) || !p.Since(ends.Add(-time.Second)).Equal(since) {
					t.Fatalf("%+v at %s: from %s to %s", p, now, since, ends)
				}
				now = ends.Add(11 * time.Hour)
			}
		}
	}
}
