package system

import (
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The tests below run in this network namespace, which begins with nothing but a loopback:
//
//	wan1 (192.0.2.5/24, gateway .1, metric 10; 2001:db8:1::5/64, gateway fe80::1)     br-lan (192.168.1.1/24)
//	wan2 (198.51.100.5/24, gateway .1 in table 500 only; no IPv6)

func testParams(t *testing.T) Params {
	p := DefaultParams()
	p.StateFile = filepath.Join(t.TempDir(), "state.json")
	return p
}

func quietLog() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func makeLinks(t *testing.T) {
	needNamespace(t)
	needProgram(t, "ip", "nft", "sysctl")
	for _, name := range []string{"wan1", "wan2", "br-lan"} {
		runCommand(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "p-"+name)
		t.Cleanup(func() { // it may have gone with the namespace of its other end
			if link, err := netlink.LinkByName(name); err == nil {
				_ = netlink.LinkDel(link)
			}
		})
		// No addresses by router advertisement or of the link itself: they appear at any time and disturb a comparison.
		for _, d := range []string{name, "p-" + name} {
			runCommand(t, "sysctl", "-qw", "net.ipv6.conf."+d+".addr_gen_mode=1")
			runCommand(t, "ip", "link", "set", d, "up")
		}
	}
	for _, line := range []string{
		"link set lo up",
		"addr add 192.0.2.5/24 dev wan1", "addr add 2001:db8:1::5/64 dev wan1 nodad",
		"route add default via 192.0.2.1 dev wan1 metric 10", "-6 route add default via fe80::1 dev wan1",
		"addr add 198.51.100.5/24 dev wan2", "route add default via 198.51.100.1 dev wan2 table 500",
		"addr add 192.168.1.1/24 dev br-lan",
	} {
		runCommand(t, "ip", strings.Fields(line)...)
	}
	for range 200 { // the kernel adds IPv6's own routes in its own time
		routes := runCommand(t, "ip", "-6", "route", "show", "table", "local")
		if strings.Contains(routes, "2001:db8:1::5") && strings.Count(routes, "ff00::/8") >= 6 {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
}

// snapshot is all that may not change.
func snapshot(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, line := range []string{
		"ip -j addr", "ip -j -4 rule", "ip -j -6 rule", "ip -j -4 route show table all", "ip -j -6 route show table all", "nft list ruleset", "sysctl -a -r ^net.ipv[46].(conf|ip_)",
	} {
		f := strings.Fields(line)
		all.WriteString("# " + line + "\n" + runCommand(t, f[0], f[1:]...) + "\n")
	}
	return stable(all.String())
}

// linkWatch is what the kernel notes up to a second after a cable was plugged in.
var linkWatch = regexp.MustCompile(`"NO-CARRIER",|"operstate":"[A-Z]*",`)

// stable drops what the kernel changes by itself: late news about cables and random secrets.
func stable(s string) string {
	s = linkWatch.ReplaceAllString(s, "")
	var out []string
	for _, l := range strings.Split(s, "\n") {
		if strings.Contains(l, "stable_secret") || strings.Contains(l, "mc_forwarding") {
			continue
		}
		out = append(out, l)
	}
	return strings.Join(out, "\n")
}

func checkSameSnapshot(t *testing.T, before, after string) {
	t.Helper()
	if before == after {
		return
	}
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			from := 0
			for from < min(len(a[i]), len(b[i])) && a[i][from] == b[i][from] {
				from++
			}
			from = max(0, from-150)
			t.Errorf("snapshots differ first in line %d:\nbefore …%.500s\nafter  …%.500s", i+1, a[i][from:], b[i][from:])
			return
		}
	}
	t.Errorf("snapshots differ in length: %d and %d lines", len(a), len(b))
}

func has(t *testing.T, output string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(output, w) {
			t.Errorf("no %q in\n%s", w, output)
		}
	}
}

func openRouter(t *testing.T, p Params) *Router {
	t.Helper()
	r, err := OpenRouter(p, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func setUpRouter(t *testing.T, r *Router, tun string) {
	t.Helper()
	for i, device := range []string{"wan1", "wan2"} {
		state, err := r.Resolve(device)
		if err == nil {
			err = r.SetLink(i, state)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	err := r.SetTunnel(Tunnel{Device: tun, MTU: 1380, Addresses: prefixes("10.99.0.2/32", "fd00:99::2/128"), LAN: []string{"br-lan", "notyet"}})
	if err != nil {
		t.Fatal(err)
	}
}

func closedTUN(t *testing.T, name string) *TUN {
	t.Helper()
	needTUN(t)
	tun, err := OpenTUN(name, 1400)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tun.Close() })
	return tun
}

func TestResolve(t *testing.T) {
	makeLinks(t)
	r := openRouter(t, testParams(t))
	defer r.Close()
	one, err := r.Resolve("wan1")
	if err != nil {
		t.Fatal(err)
	}
	if !one.Carrier || one.MTU != 1500 || len(one.IPv4) != 1 || len(one.IPv6) != 1 ||
		one.Gateway4 != netip.MustParseAddr("192.0.2.1") || one.Gateway6 != netip.MustParseAddr("fe80::1") {
		t.Errorf("%+v", one)
	}
	if two, err := r.Resolve("wan2"); err != nil || two.Gateway4 != netip.MustParseAddr("198.51.100.1") || two.Gateway6.IsValid() || two.IPv6 != nil {
		t.Errorf("%+v %v", two, err)
	}
	if _, err := r.Resolve("wan9"); err == nil || !strings.Contains(err.Error(), "wan9") {
		t.Errorf("%v", err)
	}
	runCommand(t, "ip", "link", "set", "p-wan1", "down")
	if one, err := r.Resolve("wan1"); err != nil || one.Carrier {
		t.Errorf("carrier without the other end: %+v %v", one, err)
	}
}

func TestRouterLeavesNoTrace(t *testing.T) {
	makeLinks(t)
	runCommand(t, "sysctl", "-qw", "net.ipv4.conf.wan2.rp_filter=1", "net.ipv4.conf.br-lan.forwarding=1", "net.ipv6.conf.default.disable_ipv6=1")
	defer runCommand(t, "sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=0")
	before := snapshot(t)
	r := openRouter(t, testParams(t))
	tun := closedTUN(t, "mpt5")
	setUpRouter(t, r, tun.Name())

	has(t, runCommand(t, "ip", "route", "show", "table", "7002"), "default via 198.51.100.1 dev wan2 proto 158 onlink")
	has(t, runCommand(t, "ip", "-6", "route", "show", "table", "7001"), "default via fe80::1 dev wan1 proto 158")
	has(t, runCommand(t, "ip", "-6", "route", "show", "table", "7000"), "default dev mpt5 proto 158")
	for _, v := range []string{"-4", "-6"} {
		has(t, runCommand(t, "ip", v, "rule"), "900:	from all fwmark 0x1000000/0xff000000 lookup 7001 proto 158",
			"901:	from all fwmark 0x2000000/0xff000000 lookup 7002 proto 158",
			"2500:	from all iif br-lan lookup main suppress_prefixlength 0 proto 158", "2510:	from all iif br-lan lookup 7000 proto 158")
	}
	has(t, runCommand(t, "ip", "addr", "show", "mpt5"), "mtu 1380", "inet 10.99.0.2/32", "inet6 fd00:99::2/128", "UP")
	has(t, runCommand(t, "ip", "route", "get", "203.0.113.9", "mark", "0x2000000"), "via 198.51.100.1 dev wan2")
	has(t, runCommand(t, "ip", "route", "get", "203.0.113.9"), "via 192.0.2.1 dev wan1")
	has(t, runCommand(t, "ip", "route", "get", "203.0.113.9", "from", "192.168.1.77", "iif", "br-lan"), "dev mpt5")
	has(t, runCommand(t, "sysctl", "net.ipv4.conf.wan2.rp_filter"), "= 2")

	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	tun.Close()
	checkSameSnapshot(t, before, snapshot(t))
}

func TestRouterCloseAfterTheTUN(t *testing.T) {
	makeLinks(t)
	before := snapshot(t)
	r := openRouter(t, testParams(t))
	tun := closedTUN(t, "mpt6")
	setUpRouter(t, r, tun.Name())
	tun.Close()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	checkSameSnapshot(t, before, snapshot(t))
}

func TestRouterTouchesOnlyWhatChanged(t *testing.T) {
	makeLinks(t)
	var log strings.Builder
	r, err := OpenRouter(testParams(t), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tun := closedTUN(t, "mpt7")
	setUpRouter(t, r, tun.Name())
	has(t, log.String(), "ip route replace default via 192.0.2.1 onlink dev wan1 table 7001 proto 158")

	log.Reset()
	setUpRouter(t, r, tun.Name())
	if log.Len() > 0 {
		t.Errorf("the same again made changes:\n%s", log.String())
	}
	// A new gateway, and what a restart of the network does.
	runCommand(t, "ip", "route", "replace", "default", "via", "192.0.2.254", "dev", "wan1", "metric", "10")
	runCommand(t, "ip", "-6", "rule", "flush")
	runCommand(t, "ip", "rule", "del", "pref", "2510")
	runCommand(t, "ip", "route", "flush", "table", "7000")
	runCommand(t, "ip", "addr", "flush", "dev", tun.Name())
	runCommand(t, "nft", "flush", "ruleset")
	setUpRouter(t, r, tun.Name())
	has(t, log.String(), "192.0.2.254", "ip -6 rule add pref 2510", "ip rule add pref 2510", "table 7000", "10.99.0.2/32", "nft 'table inet mpproxy")
	if strings.Contains(log.String(), "dev wan2") || strings.Contains(log.String(), "ip rule add pref 900") {
		t.Errorf("touched what was whole:\n%s", log.String())
	}
	log.Reset()
	if err := r.Repair(); err != nil || log.Len() > 0 {
		t.Errorf("nothing to repair, but: %v\n%s", err, log.String())
	}
	runCommand(t, "ip", "-6", "rule", "add", "pref", "32766", "lookup", "main")
}

func TestRouterLinkIsDropped(t *testing.T) {
	makeLinks(t)
	r := openRouter(t, testParams(t))
	defer r.Close()
	before := snapshot(t)
	state, err := r.Resolve("wan1")
	if err == nil {
		err = r.SetLink(3, state)
	}
	if err == nil {
		err = r.DropLink(3)
	}
	if err != nil {
		t.Fatal(err)
	}
	checkSameSnapshot(t, before, snapshot(t))
	if err := r.SetLink(MaxLinks, state); err == nil {
		t.Error("a number without a mark was accepted")
	}
}

func TestForeignObjectsStay(t *testing.T) {
	makeLinks(t)
	runCommand(t, "ip", "route", "add", "default", "dev", "wan2", "table", "7001")
	runCommand(t, "ip", "rule", "add", "pref", "2510", "iif", "br-lan", "lookup", "7000")
	t.Cleanup(func() { runCommand(t, "ip", "rule", "del", "pref", "2510") })
	before := snapshot(t)
	r := openRouter(t, testParams(t))
	tun := closedTUN(t, "mpt8")
	state, err := r.Resolve("wan1")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetLink(0, state); err == nil || !strings.Contains(err.Error(), "not ours") {
		t.Errorf("took somebody's table: %v", err)
	}
	if err := r.SetTunnel(Tunnel{Device: tun.Name(), MTU: 1400, Addresses: prefixes("10.99.0.2/32"), LAN: []string{"br-lan"}}); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	tun.Close()
	checkSameSnapshot(t, before, snapshot(t))
}

func TestCleanupAfterAKill(t *testing.T) {
	makeLinks(t)
	runCommand(t, "sysctl", "-qw", "net.ipv6.conf.wan1.accept_ra=1")
	before := snapshot(t)
	p := testParams(t)
	r := openRouter(t, p)
	tun := closedTUN(t, "mpt9")
	setUpRouter(t, r, tun.Name())
	r.kernel.close() // killed: no undo
	tun.Close()
	// Next came a server, to leave settings too.
	s, err := OpenServer(p, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // with nothing to replace it by, what was left goes at the end
		t.Fatal(err)
	}
	checkSameSnapshot(t, before, snapshot(t))
	if s, err = OpenServer(p, quietLog()); err != nil {
		t.Fatal(err)
	}
	tun = closedTUN(t, "mpt9")
	if err := s.SetService(Service{Device: "mpt9", MTU: 1400, Addresses: prefixes("10.99.0.1/24", "fd00:99::1/64"), NAT: true}); err != nil {
		t.Fatal(err)
	}
	s.kernel.close()
	tun.Close()
	for range 2 {
		if err := Cleanup(p, quietLog()); err != nil {
			t.Fatal(err)
		}
		checkSameSnapshot(t, before, snapshot(t))
	}
	if _, err := os.Stat(p.StateFile); !os.IsNotExist(err) {
		t.Errorf("state file: %v", err)
	}
}

// A server's translation outlives it when it is killed, until the next one replaces it at once: meanwhile the kernel would reset
// peers' connections, which look like its own.
func TestTranslationStays(t *testing.T) {
	makeLinks(t)
	before, p := snapshot(t), testParams(t)
	open := func() *Server {
		s, err := OpenServer(p, quietLog())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	v := Service{Device: "mptb", MTU: 1400, Addresses: prefixes("10.99.0.1/24"), NAT: true}
	translates := func() bool {
		return strings.Contains(runCommand(t, "nft", "list", "tables"), "inet mpproxy\n")
	}
	for _, next := range []func(*Server){
		func(s *Server) { // it gets as far as to translate itself
			if err := s.SetService(v); err != nil {
				t.Fatal(err)
			}
			if !translates() {
				t.Error("the next server translates nothing")
			}
		},
		func(s *Server) { // the host's firewall has to be told by now, so that there is no table of ours
			s.service, s.set = v, true
			s.stale = true
			if err := s.journal.Apply("firewall", nil); err != nil {
				t.Fatal(err)
			}
			if err := s.dropStale(); err != nil || translates() {
				t.Errorf("the old translation stays beside another: %v", err)
			}
		},
		func(*Server) {}, // it comes to nothing
	} {
		s := open()
		tun := closedTUN(t, "mptb")
		if err := s.SetService(v); err != nil {
			t.Fatal(err)
		}
		s.kernel.close() // killed: no undo
		tun.Close()
		s, tun = open(), closedTUN(t, "mptb")
		if !translates() {
			t.Error("the translation is gone before there is another")
		}
		next(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		tun.Close()
		checkSameSnapshot(t, before, snapshot(t))
	}
}

func TestServerLeavesNoTrace(t *testing.T) {
	makeLinks(t)
	for _, s := range []string{"net.ipv6.conf.wan1.accept_ra=1", "net.ipv6.conf.br-lan.forwarding=1", "net.ipv4.conf.all.accept_redirects=0"} {
		runCommand(t, "sysctl", "-qw", s)
	}
	before := snapshot(t)
	s, err := OpenServer(testParams(t), quietLog())
	if err != nil {
		t.Fatal(err)
	}
	tun := closedTUN(t, "mpta")
	v := Service{Device: "mpta", MTU: 1400, Addresses: prefixes("10.99.0.1/24", "fd00:99::1/64"), NAT: true}
	for range 2 {
		if err := s.SetService(v); err != nil {
			t.Fatal(err)
		}
	}
	has(t, runCommand(t, "nft", "list", "table", "inet", "mpproxy"), `oifname "wan1" ip saddr 10.99.0.0/24 masquerade comment "mpproxy"`,
		`oifname "wan1" ip6 saddr fd00:99::/64 masquerade`)
	has(t, runCommand(t, "sysctl", "net.ipv4.conf.wan1.forwarding", "net.ipv4.conf.mpta.forwarding", "net.ipv6.conf.all.forwarding", "net.ipv6.conf.wan1.accept_ra"),
		"wan1.forwarding = 1", "mpta.forwarding = 1", "all.forwarding = 1", "accept_ra = 2")
	has(t, runCommand(t, "sysctl", "net.ipv4.ip_forward"), "= 0")
	has(t, runCommand(t, "ip", "route", "get", "10.99.0.77"), "dev mpta")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tun.Close()
	checkSameSnapshot(t, before, snapshot(t))
}

func TestUplinkAndNeighbours(t *testing.T) {
	makeLinks(t)
	k, err := openKernel(testParams(t))
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	runCommand(t, "ip", "route", "add", "default", "via", "198.51.100.1", "dev", "wan2", "metric", "20")
	if u, err := k.uplink(unix.AF_INET); u != "wan1" || err != nil {
		t.Error(u, err)
	}
	runCommand(t, "ip", "route", "replace", "default", "via", "198.51.100.1", "dev", "wan2", "metric", "5")
	if u, err := k.uplink(unix.AF_INET); u != "wan2" || err != nil {
		t.Error(u, err)
	}
	if n, err := k.neighbours("wan1"); err != nil || len(n) != 5 {
		t.Error(n, err)
	}
}
