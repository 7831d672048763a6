package system

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/engine/packet"
)

// serverEnd is a server between a TUN and the Internet, both families:
//
//	peer 10.99.0.2, fd00:99::2 --TUN mptd-- server --wan1-- 203.0.113.9, 2001:db8:9::9
type serverEnd struct {
	t        *testing.T
	server   *Server
	params   Params
	tun      *TUN
	end      tunEnd
	internet [2]net.PacketConn
	asked    int
}

func newServerEnd(t *testing.T) *serverEnd {
	makeLinks(t)
	needProgram(t, "iptables-legacy", "iptables-nft", "unshare")
	far := newFarEnd(t, "p-wan1", "addr add 192.0.2.1/24 dev p-wan1", "addr add 203.0.113.9/32 dev lo", "addr add fe80::1/64 dev p-wan1 nodad",
		"addr add 2001:db8:1::1/64 dev p-wan1 nodad", "addr add 2001:db8:9::9/128 dev lo nodad")
	runCommand(t, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
	e := &serverEnd{t: t, params: testParams(t), tun: closedTUN(t, "mptd")}
	e.end = tunEnd{t, e.tun, packet.NewPool(600)}
	var err error
	for i, at := range []string{"203.0.113.9:443", "[2001:db8:9::9]:443"} {
		far.do(func() { e.internet[i], err = net.ListenPacket("udp", at) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.internet[i].Close() })
	}
	return e
}

func (e *serverEnd) service() Service {
	return Service{Device: "mptd", MTU: 1400, Addresses: prefixes("10.99.0.1/24", "fd00:99::1/64"), NAT: true, Isolate: true,
		Listen: []Ports{{"", 6779, 6779}}, Peers: []ServicePeer{{Owned: prefixes("10.99.0.2/32", "fd00:99::2/128")}}}
}

func (e *serverEnd) open() {
	e.t.Helper()
	var err error
	if e.server, err = OpenServer(e.params, quietLog()); err != nil {
		e.t.Fatal(err)
	}
	if err := e.server.SetService(e.service()); err != nil {
		e.t.Fatal(err)
	}
}

// passes reports whether a peer's packet gets to the Internet and the answer back, by IPv4 and IPv6.
func (e *serverEnd) passes(patience time.Duration) (ok [2]bool) {
	e.t.Helper()
	for i, way := range [2][2]string{{"10.99.0.2", "203.0.113.9"}, {"fd00:99::2", "2001:db8:9::9"}} {
		e.asked++
		p := checkPacket(netip.MustParseAddr(way[0]), netip.MustParseAddr(way[1]))
		p[len(p)-8] = byte(0x80 + e.asked) // another source port for each question
		fixUDP(p)
		e.end.send(p)
		buf := make([]byte, 100)
		_ = e.internet[i].SetReadDeadline(time.Now().Add(patience))
		_, from, err := e.internet[i].ReadFrom(buf)
		if err != nil {
			continue
		}
		if _, err := e.internet[i].WriteTo([]byte("answer"), from); err != nil {
			e.t.Fatal(err)
		}
		e.end.next(func(p []byte) bool { return strings.HasSuffix(string(p), "answer") })
		ok[i] = true
	}
	return ok
}

// fixUDP computes the checksum of a packet of checkPacket that was changed.
func fixUDP(p []byte) {
	addrs, udp := p[12:20], p[20:]
	if p[0]>>4 == 6 {
		addrs, udp = p[8:40], p[40:]
	}
	udp[6], udp[7] = 0, 0
	sum := onesSum(append(append(append([]byte{}, addrs...), 0, unix.IPPROTO_UDP, 0, byte(len(udp))), udp...))
	udp[6], udp[7] = byte(sum>>8), byte(sum)
}

// refuses reports that a TCP SYN of the peer's to addr is answered with ICMP.
func (e *serverEnd) refuses(to string) bool {
	e.t.Helper()
	e.asked++
	at := netip.MustParseAddrPort(to)
	p := checkPacket(netip.MustParseAddr("10.99.0.2"), at.Addr())
	p[20], p[22], p[23] = byte(0x40+e.asked), byte(at.Port()>>8), byte(at.Port())
	fixUDP(p)
	e.end.send(p)
	answer := e.end.next(func(p []byte) bool { return len(p) > 21 && p[0]>>4 == 4 && p[9] == unix.IPPROTO_ICMP })
	return answer[20] == 3 && answer[21] == 13 // administratively prohibited
}

// firewallText is all rules of the machine's firewall, of the tables that were there before.
func firewallText(t *testing.T, legacy ...string) string {
	t.Helper()
	text := runCommand(t, "nft", "-s", "list", "ruleset")
	for _, table := range legacy {
		for _, program := range []string{"iptables-legacy-save", "ip6tables-legacy-save"} {
			for line := range strings.Lines(runCommand(t, program, "-t", table)) {
				if !strings.HasPrefix(line, "#") {
					text += withoutCounters(line)
				}
			}
		}
	}
	return text
}

func withoutCounters(line string) string {
	if i := strings.Index(line, " ["); i > 0 && strings.HasPrefix(line, ":") {
		return line[:i] + "\n"
	}
	return line
}

func sh(t *testing.T, script string) {
	t.Helper()
	runCommand(t, "sh", "-ec", script)
}

// flushAll leaves no firewall behind for the next test.
func flushAll() {
	for _, line := range []string{"nft flush ruleset"} {
		_ = exec.Command("sh", "-c", line).Run()
	}
	for _, p := range []string{"iptables-legacy", "ip6tables-legacy"} {
		if legacyTable(strings.HasPrefix(p, "ip6"), "filter") {
			_ = exec.Command("sh", "-c", fmt.Sprintf("%[1]s -P FORWARD ACCEPT; %[1]s -P INPUT ACCEPT; %[1]s -F; %[1]s -X; %[1]s -t nat -F; %[1]s -t nat -X", p)).Run()
		}
	}
}

// ufwScript runs ufw with a configuration of its own below dir.
func ufwScript(dir, commands string) string {
	return fmt.Sprintf(`unshare -m sh -ec '
		[ -d %[1]s/etc ] || { mkdir %[1]s/etc %[1]s/run; cp -r /etc/ufw/. %[1]s/etc; cp /etc/default/ufw %[1]s/default; }
		mount --bind %[1]s/etc /etc/ufw; mount --bind %[1]s/default /etc/default/ufw; mount --bind %[1]s/run /run
		%[2]s' >/dev/null`, dir, commands)
}

func TestThroughHostFirewalls(t *testing.T) {
	ufw := t.TempDir()
	const docker = `for p in iptables-%[1]s ip6tables-%[1]s; do
		$p -P FORWARD DROP; $p -N DOCKER-USER; $p -A FORWARD -j DOCKER-USER; $p -A FORWARD -i docker0 -j ACCEPT
		$p -A INPUT -i lo -j ACCEPT; $p -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; $p -P INPUT DROP; done
		ip6tables-%[1]s -A INPUT -p ipv6-icmp -j ACCEPT`
	tests := []struct {
		name   string
		needs  string
		setup  string
		reload string // the owner loads the rules again, ours gone
		legacy []string
		want   wayIn
	}{
		{name: "no firewall", setup: "true", reload: "nft flush ruleset"},
		{name: "iptables-nft", setup: fmt.Sprintf(docker, "nft"), want: wayIn{xt: [2][]xtBackend{{xtNFT}, {xtNFT}}},
			reload: "for p in iptables-nft ip6tables-nft; do $p -F; $p -t nat -F; $p -X; $p -t nat -X; done\n" + fmt.Sprintf(docker, "nft")},
		{name: "iptables-legacy", setup: fmt.Sprintf(docker, "legacy"), want: wayIn{xt: [2][]xtBackend{{xtLegacy}, {xtLegacy}}}, legacy: []string{"filter"},
			reload: "for p in iptables-legacy ip6tables-legacy; do $p -F; $p -t nat -F; $p -X; $p -t nat -X; done\n" + fmt.Sprintf(docker, "legacy")},
		{name: "IPv4 by legacy, IPv6 by nft", legacy: []string{"filter"}, want: wayIn{xt: [2][]xtBackend{{xtLegacy}, {xtNFT}}},
			setup: "iptables-legacy -P FORWARD DROP; ip6tables-nft -P FORWARD DROP", reload: "iptables-legacy -F; ip6tables-nft -F FORWARD"},
		{name: "only IPv4 is held", want: wayIn{xt: [2][]xtBackend{{xtNFT}, nil}}, setup: "iptables-nft -P FORWARD DROP", reload: "iptables-nft -F; nft flush table inet mpproxy 2>/dev/null || true"},
		{name: "ufw", needs: "ufw", want: wayIn{xt: [2][]xtBackend{{xtNFT}, {xtNFT}}},
			setup:  ufwScript(ufw, "ufw default deny routed; ufw default deny incoming; ufw allow 22/tcp; ufw --force enable"),
			reload: ufwScript(ufw, "ufw reload")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newServerEnd(t)
			if tt.needs != "" {
				needProgram(t, tt.needs)
			}
			t.Cleanup(flushAll)
			sh(t, tt.setup)
			sh(t, tt.reload) // which changes the order of chains
			before := firewallText(t, tt.legacy...)
			if len(tt.want.xt[0]) > 0 { // the control: rules of our own table alone do not help
				e.control(tt.want)
				sameText(t, before, firewallText(t, tt.legacy...))
			}
			e.open()
			if !e.server.way.equal(tt.want) {
				t.Fatalf("way in %+v, want %+v", e.server.way, tt.want)
			}
			e.check("at first")
			sh(t, tt.reload)
			if err := e.server.Repair(); err != nil {
				t.Fatal(err)
			}
			e.check("after a reload of the host's firewall")
			if err := e.server.Close(); err != nil {
				t.Fatal(err)
			}
			sameText(t, before, firewallText(t, tt.legacy...))
			e.open() // and a kill
			e.server.kernel.close()
			for range 2 {
				if err := Cleanup(e.params, quietLog()); err != nil {
					t.Fatal(err)
				}
				sameText(t, before, firewallText(t, tt.legacy...))
			}
			if left, _ := filepath.Glob(e.params.StateFile + "*"); left != nil {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// control shows that the host's rules really drop in the families that are expected to be held.
func (e *serverEnd) control(want wayIn) {
	e.t.Helper()
	s, err := OpenServer(e.params, quietLog())
	if err != nil {
		e.t.Fatal(err)
	}
	if err := s.SetService(e.service()); err != nil {
		e.t.Fatal(err)
	}
	if err := s.journal.Apply("firewall", e.params.planFirewall(s.service, wayIn{})); err != nil {
		e.t.Fatal(err)
	}
	ok := e.passes(200 * time.Millisecond)
	ok4, ok6, err := s.CheckThrough(e.write)
	if err != nil || ok4 != ok[0] || ok6 != ok[1] || ok[0] == want.held(false) || ok[1] == want.held(true) {
		e.t.Errorf("control: passes %v, the check says %v %v, %v", ok, ok4, ok6, err)
	}
	if err := s.Close(); err != nil {
		e.t.Fatal(err)
	}
}

func (e *serverEnd) write(p []byte) error { e.end.send(p); return nil }

// check wants packets to pass, and the rest to be refused.
func (e *serverEnd) check(when string) {
	e.t.Helper()
	if ok := e.passes(time.Second); ok != [2]bool{true, true} {
		e.t.Fatalf("%s: IPv4 and IPv6 pass: %v\n%s", when, ok, firewallText(e.t))
	}
	if ok4, ok6, err := e.server.CheckThrough(e.write); err != nil || !ok4 || !ok6 {
		e.t.Errorf("%s: the check of the way through says %v %v, %v", when, ok4, ok6, err)
	}
	for what, to := range map[string]string{"another peer": "10.99.0.3:80", "a private net": "192.168.1.77:80", "metadata": "169.254.169.254:80", "the server's ssh": "192.0.2.5:22"} {
		if !e.refuses(to) {
			e.t.Errorf("%s: %s (%s) is not refused", when, what, to)
		}
	}
}

func sameText(t *testing.T, before, after string) {
	t.Helper()
	if before != after {
		t.Fatalf("not as before:\n%s\nbefore:\n%s", after, before)
	}
}

// TestPlainNFTablesHost: a dropping chain that is nobody's we know keeps packets, the check sees it, and the advice helps.
func TestPlainNFTablesHost(t *testing.T) {
	e := newServerEnd(t)
	t.Cleanup(flushAll)
	file := filepath.Join(t.TempDir(), "nftables.conf")
	rules := `table inet filter {
		chain input { type filter hook input priority 0; policy drop; ct state established,related accept; iifname "lo" accept; meta l4proto { icmp, icmpv6 } accept; }
		chain forward { type filter hook forward priority 0; policy accept; ct state established,related accept; counter reject with icmpx admin-prohibited; }
	}`
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	runCommand(t, "nft", "-f", file)
	before := firewallText(t)
	e.open()
	if ok := e.passes(200 * time.Millisecond); ok != [2]bool{} {
		t.Errorf("a dropping chain lets through: %v", ok)
	}
	if ok4, ok6, err := e.server.CheckThrough(e.write); ok4 || ok6 || err != nil {
		t.Errorf("the check says %v %v, %v", ok4, ok6, err)
	}
	advice := e.server.Advice()
	if len(advice) != 2 {
		t.Fatalf("advice %q", advice)
	}
	for _, line := range advice {
		_, todo, _ := strings.Cut(line, "add to it: ")
		todo, _, _ = strings.Cut(todo, " (and")
		sh(t, todo)
	}
	if err := e.server.Repair(); err != nil {
		t.Fatal(err)
	}
	e.check("with what was advised")
	if err := e.server.Close(); err != nil {
		t.Fatal(err)
	}
	sh(t, "nft flush ruleset; nft -f "+file)
	sameText(t, before, firewallText(t))
}

// TestNoProgramIsNotFatal: a machine without iptables and firewall-cmd is a machine without them.
func TestNoProgramIsNotFatal(t *testing.T) {
	e := newServerEnd(t)
	t.Cleanup(flushAll)
	sh(t, "iptables-nft -P FORWARD DROP")
	var err error
	if e.server, err = OpenServer(e.params, quietLog()); err != nil {
		t.Fatal(err)
	}
	for _, v6 := range []bool{false, true} {
		for _, b := range []xtBackend{xtLegacy, xtNFT} {
			e.server.kernel.xt.known[xtProgram{v6, b}] = nil
		}
	}
	if err := e.server.SetService(e.service()); err != nil {
		t.Fatal(err)
	}
	if a := e.server.Advice(); len(a) != 1 || !strings.Contains(a[0], "chain ip filter FORWARD") {
		t.Errorf("advice %q", a)
	}
	if err := e.server.Close(); err != nil {
		t.Error(err)
	}
}

// TestTablesOfAnotherMaking: tables that only look like those of iptables are their owner's.
func TestTablesOfAnotherMaking(t *testing.T) {
	e := newServerEnd(t)
	t.Cleanup(flushAll)
	file := filepath.Join(t.TempDir(), "nftables.conf")
	rules := `table ip filter {
		set known { type ipv4_addr; flags interval; }
		chain FORWARD { type filter hook forward priority 0; policy drop; ct state vmap { established : accept }; ip saddr @known accept; }
	}`
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	runCommand(t, "nft", "-f", file)
	before := firewallText(t)
	e.open()
	if a := e.server.Advice(); len(a) != 1 || !strings.Contains(a[0], "chain ip filter FORWARD") {
		t.Errorf("advice %q", a)
	}
	if ok := e.passes(200 * time.Millisecond); ok != [2]bool{false, true} {
		t.Errorf("passes %v", ok)
	}
	if err := e.server.Close(); err != nil {
		t.Fatal(err)
	}
	sameText(t, before, firewallText(t))
}
