package lab

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

const (
	// manyConnections are held idle; manyBytes is what each may take of a daemon, with two subflows, and what the daemon took
	// for making them.
	manyConnections = 400
	manyBytes       = 64 << 10
)

// TestProxyManyConnections: many connections that have carried something and rest hold nothing of the pools and little else, on
// both portals; all of them still carry something, and what they had is given back with them. The daemons may have more open
// files than a shell's usual limit.
func TestProxyManyConnections(t *testing.T) {
	l := newLabWith(t, Options{Links: mustParse(t, "50M/5ms,50M/5ms"), RouterOptions: proxyOptions("option fallback 'none'")})
	startPortals(t, l)
	go echoes(listenIn(t, l, "server", ServerAddress+":8082"))
	if !lives(askProxy(t, l, ServerAddress+":8082")) { // what is made once
		t.Fatal("nothing comes through")
	}
	daemons := []*Daemon{l.Router, l.Remote}
	before := []int{resident(t, l.Router.Pid()), resident(t, l.Remote.Pid())}
	var all []net.Conn
	for range manyConnections {
		c := askProxy(t, l, ServerAddress+":8082")
		if !lives(c) {
			t.Fatal("nothing comes through")
		}
		all = append(all, c)
	}
	waitUntil(t, func() bool { return proxyStatus(t, l.Router).MemoryBytes+proxyStatus(t, l.Remote).MemoryBytes == 0 })
	for i, d := range daemons {
		each := (resident(t, d.Pid()) - before[i]) << 10 / manyConnections
		t.Logf("%s: %d KiB for each", d.Role, each>>10)
		if each > manyBytes {
			t.Errorf("%s: %d bytes for each of %d idle connections", d.Role, each, manyConnections)
		}
		if limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", d.Pid())); err != nil || !raised(string(limits)) {
			t.Errorf("%s: open files are not raised to what is allowed: %v\n%s", d.Role, err, limits)
		}
	}
	if s := proxyStatus(t, l.Router); s.Clients != manyConnections+1 || s.Fallbacks != 0 {
		t.Errorf("%d clients, %d fallbacks", s.Clients, s.Fallbacks)
	}
	for i, c := range all {
		if !lives(c) {
			t.Fatalf("connection %d carries nothing any more", i)
		}
		_ = c.Close()
	}
	waitUntil(t, func() bool { s := proxyStatus(t, l.Router); return s.Clients <= 1 && s.MemoryBytes == 0 })
}

// raised reports whether the limit of open files in force is the highest that is allowed; the runtime keeps one below it.
func raised(limits string) bool {
	for line := range strings.Lines(limits) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			var now, most int
			_, err := fmt.Sscan(rest, &now, &most)
			return err == nil && now >= most-1
		}
	}
	return false
}
