package system

import (
	"strings"
	"testing"
)

// TestMultipathIsUndone: endpoints, limit and rules come, follow the links, and go, also after a crash. What others have
// set up stays.
func TestMultipathIsUndone(t *testing.T) {
	needNamespace(t)
	needProgram(t, "ip")
	if _, err := openPathManager(); err != nil {
		t.Skip("this kernel has no MPTCP:", err)
	}
	for _, name := range []string{"link0", "link1"} {
		t.Cleanup(func() { removeLink(name) })
		runCommand(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "p-"+name)
	}
	runCommand(t, "ip", "mptcp", "endpoint", "add", "192.0.2.200", "dev", "link0", "signal")
	defer runCommand(t, "ip", "mptcp", "endpoint", "flush")
	state := func() string {
		return runCommand(t, "ip", "mptcp", "endpoint") + runCommand(t, "ip", "mptcp", "limits") + runCommand(t, "ip", "rule") + runCommand(t, "ip", "-6", "rule")
	}
	before := state()
	p := testParams(t)
	r, err := OpenRouter(p, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	links := []LinkState{{Device: "link0", IPv4: addrs("192.0.2.1", "192.0.2.9"), IPv6: addrs("2001:db8::1")}, {Device: "link1", IPv4: addrs("192.0.2.2")}}
	for i, l := range links {
		r.links[i] = l
	}
	m := &Multipath{Port: 6779, Links: []MultipathLink{{0, false}, {1, true}, {2, false}}}
	if err := r.SetMultipath(m); err != nil {
		t.Fatal(err)
	}
	has := func(want ...string) {
		t.Helper()
		text := state()
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("no %q in\n%s", w, text)
			}
		}
	}
	has("192.0.2.1 id 128 subflow dev link0", "2001:db8::1 id 129 subflow dev link0", "192.0.2.2 id 130 subflow backup dev link1", "subflows 8", "192.0.2.200",
		"from 192.0.2.2 iif lo ipproto tcp dport 6779 lookup 7002")
	r.links[1] = LinkState{Device: "link1", IPv4: addrs("192.0.2.1")} // two links, one address
	if err := r.applyCommon(); err != nil || strings.Contains(state(), "192.0.2.2 ") {
		t.Errorf("%v\n%s", err, state())
	}
	r.links[1] = LinkState{Device: "link1", IPv4: addrs("192.0.2.7")}
	if err := r.applyCommon(); err != nil {
		t.Error(err)
	}
	has("192.0.2.7 id 130 subflow backup dev link1")
	if err := r.SetMultipath(nil); err != nil || state() != before {
		t.Errorf("%v: not undone\n%s\nwant\n%s", err, state(), before)
	}
	if err := r.SetMultipath(m); err != nil {
		t.Fatal(err)
	}
	r.kernel.close()
	if err := Cleanup(p, quietLog()); err != nil || state() != before {
		t.Errorf("%v: not cleaned up\n%s\nwant\n%s", err, state(), before)
	}
	s, err := OpenServer(p, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetMultipath(); err != nil {
		t.Fatal(err)
	}
	has("subflows 8")
	if err := s.Close(); err != nil || state() != before {
		t.Errorf("%v\n%s", err, state())
	}
}
