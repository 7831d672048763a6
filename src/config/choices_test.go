package config

import (
	"strings"
	"testing"
)

// Every pair of scheduler and congestion control loads, for the portal and for a link of its own choice, but none only beside weighted;
// a link without a choice leaves it to the portals.
func TestSchedulerAndCongestion(t *testing.T) {
	for _, s := range []Scheduler{SchedulerEarliest, SchedulerGreedy, SchedulerWeighted, SchedulerRedundant} {
		for _, c := range []Congestion{CongestionBBR, CongestionCubic, CongestionNewReno, CongestionNone} {
			portal := "\toption scheduler " + string(s) + "\n"
			for where, text := range map[string]string{
				"portal": localText(portal+"\toption congestion "+string(c), ""), "link": localText(portal, "\toption congestion "+string(c)+"\n"),
			} {
				got, _, err := Load(setup(t, text, map[string]string{"secrets/private_key": key(7) + "\n"}))
				if c == CongestionNone && s != SchedulerWeighted {
					if err == nil || !strings.Contains(err.Error(), "'none' works with scheduler 'weighted' only") {
						t.Errorf("%s none with %s: %v", where, s, err)
					}
					continue
				}
				if err != nil {
					t.Errorf("%s %s with %s: %v", where, c, s, err)
					continue
				}
				own, portals := got.Links[0].Congestion, got.Portal.Congestion
				if where == "portal" && (own != "" || portals != c) || where == "link" && (own != c || portals != CongestionBBR) || got.Portal.Scheduler != s {
					t.Errorf("%s %s with %s: the link has %q, the portal %q", where, c, s, own, portals)
				}
			}
		}
	}
}
