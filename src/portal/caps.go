package portal

import (
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/config"
	"mpproxy/src/quota"
	"mpproxy/src/stats"
	"mpproxy/src/system"
)

// verdict is what a data cap asks for.
type verdict int

const (
	capFree verdict = iota
	capSlow         // no more than the cap's rate
	capStop         // the link is not used
)

// caps counts what the links' devices carry against their data caps. Safe for concurrent use.
type caps struct {
	log   *slog.Logger
	clock func() quota.Clock
	boot  string   // of the system's run
	files capFiles // the system task's
	mu    sync.Mutex
	now   quota.Clock // at the last count
	links map[string]*capCount
	said  map[string]quota.Level // by link: what the log knows
}

// capCount is what is kept of a link with a data cap.
type capCount struct {
	quota.State
	Meter quota.Meter `json:"meter"`
}

func newCaps(configFile, socket string, log *slog.Logger) *caps {
	started := time.Now()
	c := &caps{log: log, boot: bootID(), said: map[string]quota.Level{}, clock: func() quota.Clock { return systemClock(started) }}
	c.files = placeCapFiles(configFile, socket, log)
	c.links = c.files.read()
	return c
}

// planOf is a link's data cap, as the quota's room takes it.
func planOf(c config.Cap) quota.Plan {
	return quota.Plan{
		Bytes: c.Bytes, Down: c.Count != "up", Up: c.Count != "down", Day: c.Day, WarnPercent: c.WarnPercent,
		Period: map[string]quota.Period{"week": quota.Week, "day": quota.Day}[c.Period],
	}
}

// count takes what a link's device shows now, and says what the cap asks for. A link without a cap is free.
func (c *caps) count(l config.Link, now system.LinkState) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.Cap.Bytes == 0 {
		delete(c.links, l.Name)
		return capFree
	}
	one, plan := c.links[l.Name], planOf(l.Cap)
	if one == nil {
		one = &capCount{}
		c.links[l.Name] = one
	}
	clock := c.clock()
	c.now = clock
	ended := one.Turn(plan, clock)
	_, looked := c.said[l.Name]
	if now.Index != 0 {
		down, up := one.Meter.Read(quota.Meter{Boot: c.boot, Device: now.Device, Index: now.Index, Down: now.Received, Up: now.Sent})
		if looked || !ended { // what was carried while nobody looked, over the end of a period, was mostly carried before that
			one.Add(down, up)
		}
	}
	if old := one.Known(clock) && l.Cap.UsedAt != 0 && l.Cap.UsedAt < plan.Since(clock.Now).Unix(); old {
		one.Correction = l.Cap.Correction // it was of an earlier period
	} else if one.Correct(l.Cap.Correction, l.Cap.UsedBytes) {
		c.log.Info("data cap: take what was typed in as used", "link", l.Name, "bytes", l.Cap.UsedBytes)
	}
	level := one.Level(plan)
	c.tell(l, one, level)
	if level != quota.Reached {
		return capFree
	}
	return map[string]verdict{"slow": capSlow, "stop": capStop}[l.Cap.Action]
}

// tell logs a level when it is new; with the lock held.
func (c *caps) tell(l config.Link, one *capCount, level quota.Level) {
	was, known := c.said[l.Name]
	c.said[l.Name] = level
	switch used := one.Used(planOf(l.Cap)); {
	case level == was && known:
	case level == quota.Warn:
		c.log.Warn("data cap: nearly used up", "link", l.Name, "used", used, "of", l.Cap.Bytes)
	case level == quota.Reached:
		c.log.Warn("data cap: reached", "link", l.Name, "used", used, "of", l.Cap.Bytes, "then", l.Cap.Action)
	case known:
		c.log.Info("data cap: begins anew", "link", l.Name)
	}
}

// status describes a link's cap; nil if it has none, or was never looked at.
func (c *caps) status(l config.Link) *stats.Cap {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.links[l.Name]
	if l.Cap.Bytes == 0 || one == nil {
		return nil
	}
	plan, now := planOf(l.Cap), c.now
	out := &stats.Cap{
		State:     [...]stats.CapState{stats.CapBelow, stats.CapWarn, stats.CapReached}[one.Level(plan)],
		UsedBytes: one.Used(plan), LimitBytes: plan.Bytes, Action: l.Cap.Action,
	}
	if out.Action == "slow" {
		out.RateBitsPerSecond = l.Cap.RateBitsPerSecond
	}
	if one.Known(now) {
		ends := plan.Ends(now.Now)
		out.Since, out.EndsAt, out.EndsSeconds = one.Since, ends.Unix(), stats.Seconds(ends.Sub(now.Now))
	}
	return out
}

// keep writes what has to outlive this run, if it is time; links are those of the configuration, also those that are switched off.
func (c *caps) keep(links []config.Link, ending bool) {
	stepsOf := func(counts map[string]*capCount) capSteps { return stepsOf(counts, links) }
	c.files.follow(stepsOf)
	c.mu.Lock()
	steps := stepsOf(c.links)
	maps.DeleteFunc(c.links, func(name string, _ *capCount) bool { _, is := steps[name]; return !is })
	text, err := json.Marshal(c.links)
	c.mu.Unlock() // the status must not wait for flash
	if err != nil {
		c.files.complain(err)
		return
	}
	c.files.write(string(text), steps, ending)
}

// stepsOf is how far the links are that have a cap.
func stepsOf(counts map[string]*capCount, links []config.Link) capSteps {
	steps := capSteps{}
	for _, l := range links {
		if one := counts[l.Name]; one != nil && l.Cap.Bytes > 0 {
			steps[l.Name] = capStep{one.Percent(planOf(l.Cap)), one.Since, one.Correction}
		}
	}
	return steps
}

// trustAfter is how long after the start a clock is believed that nobody says was set: no network tells this router the time.
const trustAfter = time.Hour

// systemClock is the time here, and whether it is to be believed.
func systemClock(started time.Time) quota.Clock {
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	set := err == nil && t.Status&unix.STA_UNSYNC == 0
	return quota.Clock{Now: time.Now().In(localZone(zoneFile)), Sure: set || time.Since(started) > trustAfter}
}

// zoneFile is where OpenWrt keeps the time zone.
const zoneFile = "/etc/TZ"

// localZone is the owner's time zone: OpenWrt's, or that of this system as the library finds it.
func localZone(file string) *time.Location {
	text, err := os.ReadFile(file)
	if err == nil {
		if zone, err := quota.Zone(string(text)); err == nil {
			return zone
		}
	}
	return time.Local
}

// bootID names the system's run; empty where nobody tells.
func bootID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
