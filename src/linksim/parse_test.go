package linksim

import (
	"strings"
	"testing"
	"time"
)

func TestParseLinks(t *testing.T) {
	got, err := ParseLinks("50M/10ms, 12M/40ms/0.5%/j5ms/q200ms,1.5G/1s/reorder,800k/0s")
	if err != nil {
		t.Fatal(err)
	}
	want := []Params{
		{Rate: 50e6, Delay: 5 * time.Millisecond},
		{Rate: 12e6, Delay: 20 * time.Millisecond, Loss: 0.005, Jitter: 5 * time.Millisecond, Queue: 200 * time.Millisecond},
		{Rate: 15e8, Delay: 500 * time.Millisecond, Reorder: true},
		{Rate: 8e5},
	}
	if len(got) != len(want) {
		t.Fatalf("%d links", len(got))
	}
	for i := range want {
		if g, w := got[i].String(), want[i].String(); g != w {
			t.Errorf("link %d is %s, want %s", i, g, w)
		}
	}
	if s := got[1].String(); s != "12M/40ms/0.5%/j5ms/q200ms" {
		t.Errorf("written as %s", s)
	}
}

func TestParseLinksSaysWhatIsWrong(t *testing.T) {
	for text, part := range map[string]string{
		"":                          "needs a rate and a round trip",
		"50M":                       "needs a rate and a round trip",
		"fast/10ms":                 `rate "fast"`,
		"0/10ms":                    `rate "0"`,
		"-5M/10ms":                  `rate "-5M"`,
		"NaN/10ms":                  `rate "NaN"`,
		"2000G/10ms":                `rate "2000G"`,
		"50M/10":                    `round trip "10"`,
		"50M/-10ms":                 `round trip "-10ms"`,
		"50M/10ms,5M/2h":            `link 2 "5M/2h"`,
		"50M/10ms/101%":             `loss "101%"`,
		"50M/10ms/NaN%":             `loss "NaN%"`,
		"50M/10ms/jitter":           `jitter "itter"`,
		"50M/10ms/q0ms":             "a queue of 0",
		"50M/10ms/1%/2%":            "loss is given twice",
		"50M/10ms/blue":             `word "blue" is unknown`,
		strings.Repeat("1/1s,", 65): "more than 64",
	} {
		if _, err := ParseLinks(text); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%.30q: %v, want %q in it", text, err, part)
		}
	}
}

// FuzzParseLinks: no panic, everything within its limits, and what was read can be written and read again.
func FuzzParseLinks(f *testing.F) {
	for _, seed := range []string{"50M/10ms,12M/40ms/0.5%/j5ms/q200ms", "1.5G/1s/reorder", "999k/3ns/1e-9%", "0.1234567M/1m", "/", ",", "1/1s/%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		links, err := ParseLinks(text)
		if err != nil {
			return
		}
		for _, p := range links {
			if p.Rate < 1 || p.Rate > maxRate || !(p.Loss >= 0 && p.Loss <= 1) || p.Delay < 0 || p.Jitter < 0 || p.Queue < 0 {
				t.Fatalf("%q gives %+v", text, p)
			}
			again, err := ParseLinks(p.String())
			if err != nil || len(again) != 1 || again[0].String() != p.String() {
				t.Fatalf("%q is written %q and read as %v, %v", text, p.String(), again, err)
			}
		}
	})
}

func TestProfiles(t *testing.T) {
	all := Profiles()
	if len(all) != 16 {
		t.Fatalf("%d profiles", len(all))
	}
	for name, want := range map[string][2]string{
		"baseline":     {"50M/20ms", "50M/20ms"},
		"rtt_320":      {"50M/20ms", "50M/320ms"},
		"loss_05":      {"50M/20ms/0.5%", "50M/20ms/0.5%"},
		"fiber_lte":    {"300M/8ms", "30M/40ms/0.5%/j8ms"},
		"lte_starlink": {"40M/35ms/j8ms", "100M/50ms/1%/j25ms"},
		"congested":    {"20M/50ms/2%/j20ms", "15M/60ms/2%/j25ms"},
	} {
		found := false
		for _, p := range all {
			if p.Name == name {
				found = true
				if p.A.String() != want[0] || p.B.String() != want[1] {
					t.Errorf("%s is %s and %s", name, p.A, p.B)
				}
			}
		}
		if !found {
			t.Errorf("%s is missing", name)
		}
	}
}
