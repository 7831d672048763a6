package main

import (
	"fmt"
	"slices"
	"strings"

	"mpproxy/src/engine"
	"mpproxy/src/engine/congestion"
	"mpproxy/src/engine/enginetest"
	"mpproxy/src/engine/flowq"
	"mpproxy/src/engine/sched"
)

// options are the choices a user has, by name.
type options struct {
	profile, scheduler, congestion string
	call, keep                     bool
}

// adjust turns the names into the tunnels' parameters.
func (o options) adjust() (func(*engine.Params), error) {
	profiles := map[string]flowq.Profile{"latency": flowq.Latency, "balanced": flowq.Balanced, "throughput": flowq.Throughput}
	profile, ok := profiles[o.profile]
	if !ok {
		return nil, fmt.Errorf("there is no profile %q", o.profile)
	}
	scheduler, ok := sched.ParseKind(o.scheduler)
	if !ok {
		return nil, fmt.Errorf("there is no scheduler %q", o.scheduler)
	}
	control, ok := congestion.ParseKind(o.congestion)
	if !ok || control == congestion.Default {
		return nil, fmt.Errorf("there is no congestion control %q", o.congestion)
	}
	if control == congestion.UseNone && scheduler != sched.Weighted {
		return nil, fmt.Errorf("congestion control none works with the scheduler weighted only")
	}
	return func(p *engine.Params) {
		p.Profile, p.Scheduler, p.Congestion, p.KeepPaths = profile, scheduler, control, o.keep
	}, nil
}

// choiceProfiles are the cells on which choices are compared.
var choiceProfiles = []string{"baseline", "rtt_120", "bw_4to1", "loss_2", "dual_lte", "congested"}

// choices prints what each scheduler gives with each congestion control: goodput as a share of the sum, and the delay of a
// call beside it.
func choices(only string, seeds, workers int, down bool, o options) {
	var rows []options
	for _, s := range []string{"earliest", "greedy", "weighted", "redundant"} {
		for _, c := range []string{"bbr", "cubic", "newreno", "none"} {
			row := options{profile: o.profile, scheduler: s, congestion: c, call: true}
			if _, err := row.adjust(); err == nil && strings.Contains(s+" "+c, only) {
				rows = append(rows, row)
			}
		}
	}
	var cells []enginetest.Cell
	for _, row := range rows {
		all := enginetest.Profiles()
		for _, name := range choiceProfiles {
			c := all[slices.IndexFunc(all, func(c enginetest.Cell) bool { return c.Name == name })]
			c.Adjust, _ = row.adjust()
			c.Call = true
			cells = append(cells, c)
		}
	}
	results := measure(cells, seeds, workers, down)
	fmt.Printf("\nShare of the sum of the links (1 = all), one TCP flow; in brackets the 95th percentile of a call's delay beside it, ms\n\n")
	fmt.Printf("| scheduler | congestion |")
	for _, name := range choiceProfiles {
		fmt.Printf(" %s |", name)
	}
	fmt.Printf("\n|---|---|%s\n", strings.Repeat("---|", len(choiceProfiles)))
	for i, row := range rows {
		fmt.Printf("| %s | %s |", row.scheduler, row.congestion)
		for _, r := range results[i*len(choiceProfiles):][:len(choiceProfiles)] {
			fmt.Printf(" %.2f (%.0f) |", r.Ratio, r.CallDelay.Seconds()*1000)
		}
		fmt.Println()
	}
}

// heard is what became of the call, if there was one.
func heard(r enginetest.Result) string {
	if !r.Call {
		return ""
	}
	text := fmt.Sprintf("  call p95 %.0f ms, lost %d, bad %d, silent %d ms", r.CallDelay.Seconds()*1000, r.CallLost, r.CallBad, r.CallSilence.Milliseconds())
	if r.Beside > 0 {
		text += fmt.Sprintf("  beside %.1f: share x%.2f", r.Other/1e6, r.Rate/(r.Rate+r.Other)*float64(1+r.Beside))
	}
	return text
}
