package portal

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mpproxy/src/config"
	"mpproxy/src/quota"
	"mpproxy/src/stats"
	"mpproxy/src/system"
)

// capBench is a router's disk, RAM and clock.
type capBench struct {
	config, socket, flash string
	clock                 quota.Clock
	device                system.LinkState
	log                   strings.Builder
}

func newCapBench(t *testing.T) *capBench {
	t.Helper()
	disk, ram := t.TempDir(), t.TempDir()
	b := &capBench{config: filepath.Join(disk, "mpproxy"), socket: filepath.Join(ram, "sock"), flash: filepath.Join(disk, "caps")}
	if err := os.WriteFile(b.config, []byte("config portal 'main'\n\toption secrets_dir '"+disk+"/secrets'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.device = system.LinkState{Device: "wan", Index: 3, Received: 1 << 40, Sent: 1 << 30}
	b.at("2026-05-10 10:00", true)
	return b
}

func (b *capBench) at(text string, sure bool) {
	now, err := time.Parse("2006-01-02 15:04", text)
	if err != nil {
		panic(err)
	}
	b.clock = quota.Clock{Now: now, Sure: sure}
}

// start is a daemon's start in the system's run of that name.
func (b *capBench) start(boot string) *caps {
	c := newCaps(b.config, b.socket, slog.New(slog.NewTextHandler(&b.log, nil)))
	c.boot, c.clock = boot, func() quota.Clock { return b.clock }
	return c
}

// carry moves bytes over the device and has them counted.
func (b *capBench) carry(c *caps, l config.Link, down, up uint64) verdict {
	b.device.Received, b.device.Sent = b.device.Received+down, b.device.Sent+up
	return c.count(l, b.device)
}

func capped(action string) config.Link {
	return config.Link{Name: "lte", Enabled: true, Cap: config.Cap{Bytes: 1000, Count: "both", Period: "month", Day: 1, WarnPercent: 80, Action: action, RateBitsPerSecond: 256e3}}
}

func TestCapActions(t *testing.T) {
	for action, want := range map[string]verdict{"warn": capFree, "slow": capSlow, "stop": capStop} {
		b := newCapBench(t)
		c, l := b.start("a"), capped(action)
		for _, step := range []struct {
			down, up uint64
			state    stats.CapState
			want     verdict
		}{{0, 0, stats.CapBelow, capFree}, {500, 299, stats.CapBelow, capFree}, {0, 1, stats.CapWarn, capFree}, {199, 0, stats.CapWarn, capFree}, {1, 0, stats.CapReached, want}} {
			if got := b.carry(c, l, step.down, step.up); got != step.want {
				t.Errorf("%s, %d and %d more: %d, not %d", action, step.down, step.up, got, step.want)
			}
			s := c.status(l)
			if s.State != step.state || s.Since != "2026-05-01" || s.EndsSeconds != (22*24-10)*3600 || (s.RateBitsPerSecond > 0) != (action == "slow") {
				t.Errorf("%s: %+v", action, s)
			}
		}
		for _, said := range []string{"nearly used up", "reached"} {
			if n := strings.Count(b.log.String(), said); n != 1 {
				t.Errorf("%s: the log says %d times %q", action, n, said)
			}
		}
		b.at("2026-06-01 00:00", true)
		if got := b.carry(c, l, 5, 5); got != capFree || c.status(l).UsedBytes != 10 {
			t.Errorf("%s, the next period: %d, %+v", action, got, c.status(l))
		}
	}
	b := newCapBench(t)
	c := b.start("a")
	if l := (config.Link{Name: "dsl"}); c.count(l, b.device) != capFree || c.status(l) != nil {
		t.Error("a link without a cap is counted")
	}
	c.keep(nil, true)
	if _, err := os.Stat(b.flash); err == nil {
		t.Error("a file is written without a cap")
	}
}

func TestCapsOutliveRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newCapBench(t)
		l := capped("stop")
		links := []config.Link{l}
		used := func(c *caps) uint64 { return c.status(l).UsedBytes }
		c := b.start("boot1")
		b.carry(c, l, 0, 0)
		b.carry(c, l, 100, 0)
		c.keep(links, true)
		if _, err := os.Stat(b.socket + ".caps"); err == nil {
			t.Error("the copy in RAM is left behind")
		}
		c = b.start("boot1") // the service was restarted; others went on using the link
		if b.carry(c, l, 10, 0); used(c) != 110 {
			t.Fatalf("after a restart: %d", used(c))
		}
		c.keep(links, false)
		time.Sleep(capsInRAM)
		b.carry(c, l, 5, 0)
		c.keep(links, false)
		c = b.start("boot1") // it crashed
		if b.carry(c, l, 0, 0); used(c) != 115 {
			t.Fatalf("after a crash: %d", used(c))
		}
		os.Remove(b.socket + ".caps")
		b.device = system.LinkState{Device: "wan", Index: 2, Received: 40, Sent: 2}
		b.at("1970-01-01 00:01", false)
		c = b.start("boot2") // the system was restarted; the clock is not set yet
		if b.carry(c, l, 0, 0); used(c) < 142 || c.status(l).EndsAt != 0 {
			t.Fatalf("after a start of the system: %+v", c.status(l))
		}
		if b.carry(c, l, 1000, 0) != capStop {
			t.Fatal("without a clock the cap does not count")
		}
		b.at("2026-05-10 11:00", true)
		if b.carry(c, l, 0, 0) != capStop {
			t.Fatal("the clock was set, and the cap is free")
		}
		c.keep(links, true)
		b.at("2026-06-20 11:00", true)
		c = b.start("boot2") // long after
		if got := b.carry(c, l, 5000, 0); got != capFree || used(c) != 0 {
			t.Fatalf("in a later period: %d, %+v", got, c.status(l))
		}
		l.Cap.Bytes = 0
		c.count(l, b.device)
		c.keep([]config.Link{l}, false)
		if _, err := os.Stat(b.flash); err == nil {
			t.Error("a file is left without a cap")
		}
	})
}

func TestCapFilesThatMakeNoSense(t *testing.T) {
	for _, text := range []string{"", "{", "[]", `{"serial":9,"links":null}`, `{"serial":9,"links":{"lte":null}}`, `{"serial":9,"links":{"lte":{"down":-1}}}`} {
		b := newCapBench(t)
		if err := os.WriteFile(b.flash, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, l := b.start("a"), capped("stop")
		b.carry(c, l, 0, 0)
		if b.carry(c, l, 1, 0); c.status(l).UsedBytes != 1 {
			t.Errorf("%q: %+v", text, c.status(l))
		}
		if c.keep([]config.Link{l}, true); b.start("a").links["lte"].Down != 1 {
			t.Errorf("%q is not replaced", text)
		}
	}
}

// The newer of the two copies counts, whichever that is.
func TestCapFilesTheNewerCounts(t *testing.T) {
	b := newCapBench(t)
	for _, newer := range []string{b.flash, b.socket + ".caps"} {
		for _, path := range []string{b.flash, b.socket + ".caps"} {
			text := `{"serial":4,"links":{"lte":{"down":1}}}`
			if path == newer {
				text = `{"serial":5,"links":{"lte":{"down":2}}}`
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c := b.start("a"); c.links["lte"].Down != 2 {
			t.Errorf("%s is newer: %+v", newer, c.links["lte"])
		}
	}
}

// Flash wears out: a day costs no more writes than the documents say, however much is carried.
func TestCapWritesPerDay(t *testing.T) {
	for _, c := range []struct {
		name      string
		bytes     uint64 // of the cap
		second    uint64 // carried each 2 seconds
		least, on int    // writes
	}{{"idle", 50e9, 0, 23, 26}, {"a month's cap", 50e9, 5e3, 23, 27}, {"a cap used up in the day", 500e6, 8e3, 100, 126}, {"a tiny cap", 1e6, 1e9, 24, 28}} {
		synctest.Test(t, func(t *testing.T) {
			b := newCapBench(t)
			l := capped("warn")
			l.Cap.Bytes = c.bytes
			k := b.start("a")
			k.files.flash, k.files.ram = "", "" // counted, not written: it would take a minute
			writes, last := 0, ""
			const step = 10 * time.Second
			for range 24 * time.Hour / step {
				time.Sleep(step)
				b.clock.Now = b.clock.Now.Add(step)
				b.carry(k, l, 10*c.second, 0)
				k.keep([]config.Link{l}, false)
				if k.files.onFlash != last {
					writes, last = writes+1, k.files.onFlash
				}
			}
			if writes < c.least || writes > c.on {
				t.Errorf("%s: %d writes, not %d to %d", c.name, writes, c.least, c.on)
			}
		})
	}
}

// TestCapStartsDoNotWrite: a start is no reason to write to flash, only a new per cent or an hour since the last time is.
func TestCapStartsDoNotWrite(t *testing.T) {
	b := newCapBench(t)
	l := capped("warn")
	l.Cap.Bytes = 10_000
	writes, last := 0, ""
	run := func(bytes uint64) {
		t.Helper()
		c := b.start("a")
		b.carry(c, l, bytes, 0)
		c.keep([]config.Link{l}, false)
		text, err := os.ReadFile(b.flash)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != last {
			writes, last = writes+1, string(text)
		}
	}
	for i, bytes := range []uint64{0, 50, 1, 1, 0, 60, 1, 0} { // the per cent is reached by the sixth
		if run(bytes); writes != 1 && i < 5 || writes != 2 && i >= 5 {
			t.Errorf("start %d: %d writes", i, writes)
		}
	}
	old := time.Now().Add(-capsToFlash)
	if err := os.Chtimes(b.flash, old, old); err != nil {
		t.Fatal(err)
	}
	if run(1); writes != 3 {
		t.Errorf("an hour after the last: %d writes", writes)
	}
	if run(1); writes != 3 {
		t.Errorf("soon after that: %d writes", writes)
	}
}

func TestCapCorrection(t *testing.T) {
	b := newCapBench(t)
	c, l := b.start("a"), capped("stop")
	b.carry(c, l, 0, 0)
	b.carry(c, l, 7, 0)
	typed := func(mb uint64, name string, at string) uint64 {
		l.Cap.UsedBytes, l.Cap.Correction = mb, name
		if when, err := time.Parse(time.DateOnly, at); err == nil {
			l.Cap.UsedAt = when.Unix()
		}
		b.carry(c, l, 1, 0)
		return c.status(l).UsedBytes
	}
	for i, got := range []uint64{typed(500, "500@0", ""), typed(500, "500@0", ""), typed(300, "300@9", "2026-05-09"), typed(900, "900@1", "2026-04-30"), typed(0, "", ""), typed(0, "0@2", "2026-05-10")} {
		if want := []uint64{500, 501, 300, 301, 302, 0}[i]; got != want {
			t.Errorf("%d: %d used, not %d", i, got, want)
		}
	}
}

func TestLocalZone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "TZ")
	if localZone(file) != time.Local {
		t.Error("without a file it is not this system's zone")
	}
	_ = os.WriteFile(file, []byte("CET-1CEST,M3.5.0,M10.5.0/3\n"), 0o600)
	if got := time.Unix(1_800_000_000, 0).In(localZone(file)).Format("15:04 MST"); got != "09:00 CET" {
		t.Error(got)
	}
	if c := systemClock(time.Now().Add(-2 * trustAfter)); !c.Sure || c.Now.IsZero() {
		t.Errorf("%+v", c)
	}
}

func TestRecentCaps(t *testing.T) {
	m := newRecent(nil)
	for i, c := range []struct {
		state  stats.CapState
		link   stats.LinkState
		action string
	}{
		{stats.CapBelow, stats.LinkUp, "slow"}, {stats.CapWarn, stats.LinkUp, "slow"}, {stats.CapWarn, stats.LinkUp, "slow"}, {stats.CapReached, stats.LinkUp, "slow"},
		{stats.CapBelow, stats.LinkUp, "stop"}, {stats.CapReached, stats.LinkUp, "stop"}, {stats.CapReached, stats.LinkCap, "stop"},
	} {
		s := routerStatus(stats.SessionUp, stats.PathUp, stats.PathUp, c.link)
		s.Links[1].Cap = &stats.Cap{State: c.state, Action: c.action, UsedBytes: 12.4e9, LimitBytes: 50e9}
		m.sample(int64(i), s)
	}
	var got []string
	for _, e := range m.list() {
		if e.Link == "lte" {
			got = append(got, e.Kind+" "+e.Text)
		}
	}
	if text := strings.Join(got, ", "); text != "cap_warn 12.4 of 50 GB, cap_reached 12.4 of 50 GB, cap_reached " {
		t.Error(text)
	}
}
