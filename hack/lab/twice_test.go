package lab

import (
	"testing"
	"time"

	"mpproxy/src/stats"
)

// copiedBoth is how many packets router and server sent twice, both ways.
func copiedBoth(t *testing.T, l *Lab) (n [2]uint64) {
	for i, d := range []*Daemon{l.Router, l.Remote} {
		n[i] = d.status(t).Sessions[0].CopiedPackets
	}
	return n
}

// A rule that names the client by its address in the LAN, which inside the tunnel is another, has its call sent twice, both ways; one
// that names another device does not, and neither go copies over metered links that are not asked to carry them. All
// that follows the configuration while the call goes on.
func TestRuleSendsDeviceTwice(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/25ms")
	startPortals(t, l)
	l.Router.until(t, "two paths", func(s stats.Status) bool {
		_, one := pathOf(s, "link1")
		_, two := pathOf(s, "link2")
		return one && two
	})
	call, err := l.StartCall(15 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	const rule = "config rule 'call'\n\toption target 'tunnel'\n\toption proto 'udp'\n\toption duplicate '1'\n\tlist src_ip '"
	for _, c := range []struct {
		what  string
		edits [][2]string
		want  bool
	}{
		{"another device's", [][2]string{{"config remote 'vps'", rule + "10.1.0.3'\nconfig remote 'vps'"}}, false},
		{"the client's", [][2]string{{"'10.1.0.3'", "'" + ClientAddress + "'"}}, true},
		{"over metered links", [][2]string{{"config link 'link1'", "config link 'link1'\n\toption metered '1'"}, {"config link 'link2'", "config link 'link2'\n\toption metered '1'"}}, false},
		{"over metered links that may", [][2]string{
			{"config link 'link1'", "config link 'link1'\n\toption duplicate '1'"}, {"config link 'link2'", "config link 'link2'\n\toption duplicate '1'"},
		}, true},
	} {
		for _, edit := range c.edits {
			l.Router.edit(t, edit[0], edit[1])
		}
		if out, err := l.Router.reload(); err != nil {
			t.Errorf("%s: reload: %q, %v", c.what, out, err)
		}
		wait(600 * time.Millisecond)
		before := copiedBoth(t, l)
		wait(2 * time.Second)
		after := copiedBoth(t, l)
		for i, way := range []string{"up", "down"} {
			if n := after[i] - before[i]; c.want != (n > 50) || !c.want && n > 0 {
				t.Errorf("%s, %s: %d packets sent twice", c.what, way, n)
			}
		}
	}
	if err := call.Wait(); err != nil {
		t.Fatal(err)
	}
}
