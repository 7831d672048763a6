package system

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// setLinks makes the router's links of devices.
func setLinks(t *testing.T, r *Router, devices ...string) {
	t.Helper()
	for i, device := range devices {
		state, err := r.Resolve(device)
		if err == nil {
			err = r.SetLink(i, state)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestThreeModemsOfOneKind: the same address, gateway and hardware address on three links, no default route in main.
func TestThreeModemsOfOneKind(t *testing.T) {
	for _, c := range []struct{ name, all string }{{"no filter", "0"}, {"strict filter", "1"}, {"loose filter", "2"}} {
		t.Run(c.name, func(t *testing.T) {
			needNamespace(t)
			settings(t, "net.ipv4.conf.all.rp_filter="+c.all)
			names := modems(t)
			before := snapshot(t)
			r := openRouter(t, testParams(t))
			defer r.Close()
			if got := ask(t, names[1], r.SocketMark(1), "203.0.113.9:6779"); got != "" {
				t.Fatalf("the control works without us: %q", got)
			}
			setLinks(t, r, names...)
			for i, name := range names {
				if got := ask(t, name, r.SocketMark(i), "203.0.113.9:6779"); got != fmt.Sprint(i) {
					t.Errorf("%s got %q", name, got)
				}
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			checkSameSnapshot(t, before, snapshot(t))
		})
	}
}

// TestEqualMetrics: two default routes of one metric in main.
func TestEqualMetrics(t *testing.T) {
	names := modems(t)[:2]
	for _, name := range names {
		runCommand(t, "ip", "route", "append", "default", "via", "192.168.8.1", "dev", name)
	}
	r := openRouter(t, testParams(t))
	defer r.Close()
	setLinks(t, r, names...)
	for i, name := range names {
		for range 3 {
			if got := ask(t, name, r.SocketMark(i), "203.0.113.9:6779"); got != fmt.Sprint(i) {
				t.Errorf("%s got %q", name, got)
			}
		}
	}
}

// TestBesideMwan3: its output hook marks what bears no mark of its own, and its rules lead that to another link.
func TestBesideMwan3(t *testing.T) {
	names := modems(t)[:2]
	for _, line := range []string{
		"route add default via 192.168.8.1 dev " + names[1] + " table 1", "rule add pref 2001 fwmark 0x100/0x3f00 lookup 1",
		"route add default via 192.168.8.1 dev " + names[1],
	} {
		runCommand(t, "ip", strings.Fields(line)...)
	}
	t.Cleanup(func() { runCommand(t, "ip", "rule", "del", "pref", "2001") })
	loadTable(t, "mwan3", `chain out { type route hook output priority mangle; policy accept;
		meta mark & 0x3f00 == 0 meta mark set meta mark | 0x100; }`)
	r := openRouter(t, testParams(t))
	defer r.Close()
	setLinks(t, r, names...)
	if m := r.SocketMark(0); m != 0x01003f00 {
		t.Fatalf("mark %#x", m)
	}
	if got := ask(t, names[0], r.SocketMark(0), "203.0.113.9:6779"); got != "0" {
		t.Errorf("got %q", got)
	}
	if got := ask(t, "", 0, "203.0.113.9:6779"); got != "1" {
		t.Errorf("the control: mwan3's own way gave %q", got)
	}
	if changed, err := r.Adapt(0); changed || err != nil {
		t.Error(changed, err)
	}
}

// loadTable loads an inet table until the test ends.
func loadTable(t *testing.T, name, body string) {
	t.Helper()
	runInput(t, "table inet "+name+" {\n"+body+"\n}\n", "nft", "-f", "-")
	t.Cleanup(func() { _ = runQuiet("nft", "delete", "table", "inet", name) })
}

// TestLinkThatIsATunnel: packets of a vxlan over wan1, as a link of ours, leave by wan1 once and not in circles, with the
// LAN in the tunnel and the router's own traffic asked for.
func TestLinkThatIsATunnel(t *testing.T) {
	makeLinks(t)
	far := newFarEnd(t, "p-wan1", "addr add 192.0.2.1/24 dev p-wan1",
		"link add vx type vxlan id 7 remote 192.0.2.5 dstport 4789 dev p-wan1", "addr add 172.30.0.1/24 dev vx", "link set vx up", "addr add 203.0.113.9/32 dev lo")
	runCommand(t, "ip", strings.Fields("link add vx type vxlan id 7 remote 192.0.2.1 dstport 4789 dev wan1")...)
	t.Cleanup(func() { removeLink("vx") })
	for _, line := range []string{"addr add 172.30.0.2/24 dev vx", "link set vx up", "route add default via 172.30.0.1 dev vx metric 99"} {
		runCommand(t, "ip", strings.Fields(line)...)
	}
	echo(t, far, "203.0.113.9:6779", "far")
	r := openRouter(t, testParams(t))
	defer r.Close()
	closedTUN(t, "mptd")
	setLinks(t, r, "wan2", "vx")
	if state, err := r.Resolve("vx"); err != nil || !state.Tunnel || state.Gateway4 != netip.MustParseAddr("172.30.0.1") {
		t.Errorf("%+v %v", state, err)
	}
	if err := r.SetTunnel(Tunnel{Device: "mptd", MTU: 1400, Addresses: prefixes("10.99.0.2/32"), LAN: []string{"br-lan"}, Own: true}); err != nil {
		t.Fatal(err)
	}
	inner, outer := sniff(t, "mptd"), sniff(t, "wan1")
	if got := ask(t, "vx", r.SocketMark(1), "203.0.113.9:6779"); got != "far" {
		t.Errorf("got %q", got)
	}
	if list := inner.about(netip.MustParseAddr("192.0.2.1")); len(list) > 0 {
		t.Errorf("%d packets of the link went into the tunnel", len(list))
	}
	if list := outer.about(netip.MustParseAddr("192.0.2.1")); len(list) == 0 {
		t.Error("the sniffer saw nothing: it proves nothing")
	}
	if strings.Contains(runCommand(t, "ip", "rule"), "iif lo lookup 7000") {
		t.Error("the router's own traffic is led into a tunnel that runs over it")
	}
	if err := r.DropLink(1); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(runCommand(t, "ip", "rule"), "iif lo lookup 7000") {
		t.Error("the router's own traffic is left out without a need")
	}
}

// TestOneLinkOneDevice: all addresses of both families count, whatever interface of netifd brought them.
func TestOneLinkOneDevice(t *testing.T) {
	makeLinks(t)
	far := newFarEnd(t, "p-wan1", "addr add 192.0.2.1/24 dev p-wan1", "-6 addr add 2001:db8:1::1/64 dev p-wan1 nodad", "-6 addr add fe80::1/64 dev p-wan1 nodad",
		"addr add 203.0.113.9/32 dev lo", "-6 addr add 2001:db8:9::9/128 dev lo nodad")
	echo(t, far, "203.0.113.9:6779", "four")
	echo(t, far, "[2001:db8:9::9]:6779", "six")
	runCommand(t, "ip", "-6", "route", "del", "default")
	runCommand(t, "ip", strings.Fields("-6 route add default via fe80::1 dev wan1 table 501")...)
	r := openRouter(t, testParams(t))
	defer r.Close()
	setLinks(t, r, "wan1")
	if got := ask(t, "wan1", r.SocketMark(0), "203.0.113.9:6779"); got != "four" {
		t.Errorf("IPv4 got %q", got)
	}
	within(t, 3*time.Second, "IPv6 answers", func() bool { // the other end has just got its addresses
		return ask(t, "wan1", r.SocketMark(0), "[2001:db8:9::9]:6779") == "six"
	})
}
