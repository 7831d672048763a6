package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"mpproxy/hack/lab"
	"mpproxy/src/linksim"
)

const (
	mppShare    = 0.95 // of what the links give alone, together
	mppBetter   = 0.98 // of the better link alone, wherever measuring it twice gives that
	mppMeasured = 6 * time.Second
	mppStart    = 3 * time.Second // and ten round trips of the longest link
)

// mppProfiles compares one TCP connection through the multipath proxy with each of its links alone, where a plain TCP
// connection with the kernel's bbr runs over it; PROFILE=name,name chooses.
func (b *bench) mppProfiles() error {
	section := "MPP over the 16 profiles: one connection, share of what the links give alone with bbr"
	for _, p := range linksim.Profiles() {
		if names := chosen(os.Getenv("PROFILE")); len(names) > 0 && !slices.Contains(names, p.Name) {
			continue
		}
		rows := map[lab.Direction][2]*row{}
		for _, way := range []lab.Direction{lab.Down, lab.Up} {
			rows[way] = [2]*row{
				{section: section, what: fmt.Sprintf("%s %v, of the sum", p.Name, way), unit: "share", judge: atLeast, bound: mppShare},
				{section: section, what: fmt.Sprintf("%s %v, of the better link", p.Name, way), unit: "share", judge: atLeast, bound: mppBetter},
			}
			b.add(rows[way][0], rows[way][1])
		}
		for run := range b.runs {
			if err := b.mppProfile(p, run, rows); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
		}
	}
	return nil
}

// mppRouter makes the lab's router a proxy with a route over all links.
var mppRouter = []string{"", "config socks 'lan'", "option enabled '1'", "", "config route 'all'", "list dest '" + lab.ServerAddress + "'", "option fallback 'none'"}

// mppProfile is one run over one profile.
func (b *bench) mppProfile(p linksim.Profile, run int, rows map[lab.Direction][2]*row) error {
	links := []linksim.Params{p.A, p.B}
	skip := mppStart + 20*max(p.A.Delay, p.B.Delay)
	l, err := lab.New(lab.Options{Links: links, Program: b.program, Seed: uint64(run + 1), RouterOptions: mppRouter})
	if err != nil {
		return err
	}
	defer l.Close()
	var sum, best, alone [2]float64
	for _, way := range []lab.Direction{lab.Down, lab.Up} {
		for _, link := range l.Links {
			rate, err := aloneOver(l, link, way, skip)
			if err != nil {
				return err
			}
			alone[way], sum[way], best[way] = rate, sum[way]+rate, max(best[way], rate)
		}
	}
	if err := startProxy(l); err != nil {
		return err
	}
	for _, way := range []lab.Direction{lab.Down, lab.Up} {
		rate, err := throughProxy(l, way, skip)
		if err != nil {
			return fmt.Errorf("%w\n%s\n%s", err, l.Router.Log(), l.Remote.Log())
		}
		rows[way][0].values = append(rows[way][0].values, rate/sum[way])
		rows[way][1].values = append(rows[way][1].values, rate/best[way])
		rows[way][0].note = fmt.Sprintf("last: %.1f of %.1f + %.1f Mbit/s", rate/1e6, (sum[way]-alone[way])/1e6, alone[way]/1e6)
		b.say("run %d: %s %v: %.1f of %.1f + %.1f Mbit/s: %.3f of the sum, %.2f of the better", run+1, p.Name, way, rate/1e6,
			(sum[way]-alone[way])/1e6, alone[way]/1e6, rate/sum[way], rate/best[way])
	}
	return nil
}

// startProxy starts both portals; the proxy serves once it has seen the LAN's addresses.
func startProxy(l *lab.Lab) error {
	if err := l.StartPortals(); err != nil {
		return err
	}
	return waitRouted(l)
}

// aloneOver is what one plain TCP connection with bbr gets over one link, without portals, in bit/s.
func aloneOver(l *lab.Lab, link *lab.Link, way lab.Direction, skip time.Duration) (float64, error) {
	undo, err := l.Prefer(link)
	if err != nil {
		return 0, err
	}
	rate, err := finish(l.StartFlow(lab.Flow{Direction: way, Length: skip + mppMeasured, Congestion: "bbr"}))(skip)
	if also := undo(); err == nil {
		err = also
	}
	return rate, err
}

// throughProxy is what one TCP connection gets through the router's proxy, in bit/s.
func throughProxy(l *lab.Lab, way lab.Direction, skip time.Duration) (float64, error) {
	rate, err := finish(l.StartFlow(lab.Flow{Direction: way, Length: skip + mppMeasured, Proxy: lab.RouterAddress + ":1080"}))(skip)
	if err != nil {
		return 0, err
	}
	text, err := l.Router.Status()
	if err == nil && !strings.Contains(text, `"plain": 0,`) {
		err = errors.New("the proxy connected directly, not over several links")
	}
	return rate, err
}

// finish waits for a transfer and returns its rate after the start.
func finish(t *lab.Bulk, err error) func(skip time.Duration) (float64, error) {
	return func(skip time.Duration) (float64, error) {
		if err != nil {
			return 0, err
		}
		if err := t.Wait(); err != nil {
			return 0, err
		}
		return t.Rate(t.Started.Add(skip), t.Started.Add(skip+mppMeasured)), nil
	}
}
