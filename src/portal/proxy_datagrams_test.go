package portal

import (
	"testing"
	"testing/synctest"
	"time"

	"mpproxy/src/config"
)

// TestDatagramsWaitForTheSession: datagrams of programs leave directly when a session has been lost for a while, not at once.
func TestDatagramsWaitForTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := &localSystem{}
		r := &local{run: &running{}, sys: sys}
		r.run.config.current = &config.Config{}
		l := &localProxy{portal: r}
		look := func(when string, want uint64) {
			t.Helper()
			if got := l.datagrams(); got != want {
				t.Errorf("%s: way %d, want %d", when, got, want)
			}
		}
		look("there was no session yet", wayDirect)
		sys.up.Store(true)
		look("there is one", wayTunnel)
		sys.up.Store(false)
		now := time.Now()
		sys.lost.Store(&now)
		time.Sleep(directAfter - time.Nanosecond)
		look("it was just lost", wayTunnel)
		time.Sleep(time.Nanosecond)
		look("it stays away", wayDirect)
		r.run.config.current.Portal.Local.KillSwitch = true
		look("with a kill switch", wayNone)
	})
}
