package system

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/engine/packet"
)

// A home is a router in this namespace with wan1 and wan2, a client behind br-lan, and the Internet behind wan1, where
// 203.0.113.9 and 2001:db8:9::9 answer on ports 53 and 6779.
type home struct {
	t             *testing.T
	client        *farEnd
	internet      *farEnd
	router        *Router
	tun           *TUN
	end           tunEnd
	onWAN, onWAN2 *sniffer
}

var (
	outside4 = netip.MustParseAddr("203.0.113.9")
	outside6 = netip.MustParseAddr("2001:db8:9::9")
)

func newHome(t *testing.T) *home {
	t.Helper()
	makeLinks(t)
	settings(t, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
	h := &home{t: t}
	for _, line := range []string{"-6 addr add 2001:db8:77::1/64 dev br-lan nodad"} {
		runCommand(t, "ip", strings.Fields(line)...)
	}
	h.client = newFarEnd(t, "p-br-lan", "addr add 192.168.1.77/24 dev p-br-lan", "route add default via 192.168.1.1",
		"-6 addr add 2001:db8:77::77/64 dev p-br-lan nodad", "-6 route add default via 2001:db8:77::1")
	h.internet = newFarEnd(t, "p-wan1", "addr add 192.0.2.1/24 dev p-wan1", "-6 addr add 2001:db8:1::1/64 dev p-wan1 nodad", "-6 addr add fe80::1/64 dev p-wan1 nodad",
		"addr add 203.0.113.9/32 dev lo", "-6 addr add 2001:db8:9::9/128 dev lo nodad",
		"route add 192.168.1.0/24 via 192.0.2.5", "-6 route add 2001:db8:77::/64 via 2001:db8:1::5")
	for _, port := range []string{"53", "6779"} {
		echo(t, h.internet, "203.0.113.9:"+port, "direct")
		echo(t, h.internet, "[2001:db8:9::9]:"+port, "direct")
	}
	h.onWAN, h.onWAN2 = sniff(t, "wan1"), sniff(t, "wan2")
	h.router = openRouter(t, testParams(t))
	t.Cleanup(func() { h.router.Close() })
	h.tun = closedTUN(t, "mpth")
	h.end = tunEnd{t, h.tun, packet.NewPool(300)}
	setLinks(t, h.router, "wan1", "wan2")
	within(t, 3*time.Second, "the LAN and both families work", func() bool {
		return h.asks("203.0.113.9:6779") == "direct" && h.asks("[2001:db8:9::9]:6779") == "direct"
	})
	return h
}

// tunnel is what newHome's router is told about a session.
func (h *home) tunnel(addresses ...string) Tunnel {
	return Tunnel{Device: "mpth", MTU: 1380, Addresses: prefixes(addresses...), LAN: []string{"br-lan"}}
}

func (h *home) set(tunnel Tunnel) {
	h.t.Helper()
	if err := h.router.SetTunnel(tunnel); err != nil {
		h.t.Fatal(err)
	}
}

// asks lets the client ask.
func (h *home) asks(to string) (answer string) {
	h.client.do(func() { answer = ask(h.t, "", 0, to) })
	return answer
}

// send sends one datagram from the calling thread's namespace.
func (h *home) send(to string) {
	if conn, err := net.Dial("udp", to); err == nil {
		_, _ = conn.Write([]byte("?"))
		conn.Close()
	}
}

// refused tells what error the client gets when it sends a datagram, and how soon. (A TCP connection would not see it at
// once here: over a cable without any delay the refusal comes while the system call still holds the socket.)
func (h *home) refused(network, to string) (after time.Duration, err error) {
	h.client.do(func() {
		conn, failed := net.Dial(network, to)
		if err = failed; err != nil {
			return
		}
		defer conn.Close()
		began := time.Now()
		_, _ = conn.Write([]byte("?"))
		_ = conn.SetReadDeadline(began.Add(time.Second))
		_, err = conn.Read(make([]byte, 10))
		after = time.Since(began)
	})
	return after, err
}

// leaked counts what left by the links to the outside since the last count.
func (h *home) leaked() (n int) {
	for _, s := range []*sniffer{h.onWAN, h.onWAN2} {
		n += len(s.about(outside4, outside6))
		s.forget()
	}
	return n
}

func TestPortForwardOverALink(t *testing.T) {
	h := newHome(t)
	far := newFarEnd(t, "p-wan2", "addr add 198.51.100.1/24 dev p-wan2", "addr add 203.0.113.50/32 dev lo")
	loadTable(t, "forwards", `chain pre { type nat hook prerouting priority -100; policy accept; iifname "wan2" udp dport 8080 dnat ip to 192.168.1.77; }`)
	echo(t, h.client, "192.168.1.77:8080", "home")
	visit := func() (answer string) {
		far.do(func() {
			conn, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(203, 0, 113, 50)}}).Dial("udp", "198.51.100.5:8080")
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			answer = exchange(conn)
		})
		return answer
	}
	h.set(h.tunnel("10.99.0.2/32"))
	if got := visit(); got != "home" {
		t.Errorf("a visitor got %q", got)
	}
	if err := h.router.journal.Apply(commonGroup, nil); err != nil {
		t.Fatal(err)
	}
	if got := visit(); got != "" {
		t.Errorf("the control without marks works too: %q", got)
	}
}

func TestTunnelBesideAReversePathFilter(t *testing.T) {
	for _, all := range []string{"1", "2"} {
		t.Run(all, func(t *testing.T) {
			settings(t, "net.ipv4.conf.all.rp_filter="+all)
			h := newHome(t)
			h.set(h.tunnel("10.99.0.2/32"))
			runCommand(t, "ip", "route", "del", "default")
			var conn net.Conn
			var err error
			h.client.do(func() { conn, err = net.Dial("udp4", "203.0.113.9:53") })
			if err == nil {
				_, err = conn.Write([]byte("ask"))
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			from, to := ends(h.end.next(protocol4(unix.IPPROTO_UDP)))
			h.end.send(udp4(to.String(), from.String(), "answer"))
			buf := make([]byte, 100)
			conn.SetReadDeadline(time.Now().Add(time.Second))
			if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "answer" {
				t.Errorf("the client got %q, %v", buf[:n], err)
			}
		})
	}
}

func TestIPv6IsRefusedAtOnce(t *testing.T) {
	h := newHome(t)
	h.leaked()
	h.set(h.tunnel("10.99.0.2/32"))
	if took, err := h.refused("udp6", "[2001:db8:9::9]:6779"); !errors.Is(err, unix.EACCES) || took > 100*time.Millisecond {
		t.Errorf("%v after %v", err, took)
	}
	if n := h.leaked(); n > 0 {
		t.Errorf("%d packets leaked", n)
	}
	// What does not take the default route keeps its way.
	runCommand(t, "ip", "-6", "route", "add", "2001:db8:9::/64", "via", "fe80::1", "dev", "wan1")
	if got := h.asks("[2001:db8:9::9]:6779"); got != "direct" {
		t.Errorf("another net: %q", got)
	}
	runCommand(t, "ip", "-6", "route", "del", "2001:db8:9::/64")
	// Inside the tunnel the provider's address is not known: the inner one stands for it.
	h.set(h.tunnel("10.99.0.2/32", "fd00:99::2/128"))
	h.client.do(func() {
		if conn, err := net.Dial("udp6", "[2001:db8:9::9]:53"); err == nil {
			_, _ = conn.Write([]byte("ask"))
			conn.Close()
		}
	})
	p := h.end.next(func(p []byte) bool { return p[0]>>4 == 6 && p[6] == unix.IPPROTO_UDP })
	if from := netip.AddrFrom16([16]byte(p[8:])); from != netip.MustParseAddr("fd00:99::2") {
		t.Errorf("left from %v", from)
	}
	direct := h.tunnel("10.99.0.2/32", "fd00:99::2/128")
	direct.IPv6 = IPv6Direct
	h.set(direct)
	if got := h.asks("[2001:db8:9::9]:6779"); got != "direct" {
		t.Errorf("direct by order: %q", got)
	}
}

func TestPacketTooBigForTheTunnel(t *testing.T) {
	h := newHome(t)
	h.set(h.tunnel("10.99.0.2/32", "fd00:99::2/128"))
	h.client.do(func() {
		for _, c := range []struct {
			to                        string
			level, discover, do, asks int
			payload                   int
		}{
			{"203.0.113.9:53", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO, unix.IP_MTU, 1380 - 28},
			{"[2001:db8:9::9]:53", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO, unix.IPV6_MTU, 1380 - 48},
		} {
			conn, err := net.Dial("udp", c.to)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			raw, _ := conn.(*net.UDPConn).SyscallConn()
			mtu := 0
			_ = raw.Control(func(fd uintptr) {
				_ = unix.SetsockoptInt(int(fd), c.level, c.discover, c.do)
			})
			_, _ = conn.Write(make([]byte, c.payload+1)) // the router tells
			deadline := time.Now().Add(time.Second)
			for mtu != 1380 && time.Now().Before(deadline) {
				_ = raw.Control(func(fd uintptr) { mtu, _ = unix.GetsockoptInt(int(fd), c.level, c.asks) })
			}
			_ = raw.Control(func(fd uintptr) { _, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) }) // what was told is read
			_, tooBig := conn.Write(make([]byte, c.payload+1))
			_, fits := conn.Write(make([]byte, c.payload))
			if mtu != 1380 || !errors.Is(tooBig, unix.EMSGSIZE) || fits != nil {
				t.Errorf("%s: MTU %d; one byte more: %v; as much as fits: %v", c.to, mtu, tooBig, fits)
			}
		}
	})
}

// asUser runs work on a thread whose sockets belong to a user.
func asUser(uid int, work func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		_, _, _ = unix.RawSyscall(unix.SYS_SETFSUID, uintptr(uid), 0, 0)
		work()
	}()
	<-done
}

// nameServer is OpenWrt's uid of dnsmasq.
const nameServer = 453

func needRoot(t *testing.T) {
	t.Helper()
	needNamespace(t)
	if users, err := os.ReadFile("/proc/self/uid_map"); err != nil || slices.Contains(strings.Fields(string(users)), "1") {
		t.Skip("needs root: a user namespace has no second user")
	}
}

// looksUp lets a user ask a name server over UDP or TCP, and returns where the query came out of the tunnel: "" if it did not.
func (h *home) looksUp(uid int, network, server string) string {
	h.t.Helper()
	h.onWAN.forget()
	asUser(uid, func() {
		if conn, err := net.DialTimeout(network, server, 50*time.Millisecond); err == nil {
			_, _ = conn.Write([]byte("query"))
			conn.Close()
		}
	})
	if len(h.onWAN.about(outside4, outside6)) > 0 {
		return "by the link"
	}
	return ""
}

func TestLookUpsGoIntoTheTunnel(t *testing.T) {
	needRoot(t)
	h := newHome(t)
	tunnel := h.tunnel("10.99.0.2/32")
	tunnel.DNS = &DNS{User: nameServer, Resolvers: addrs("10.99.0.1")}
	h.set(tunnel)
	comesOut := func(network, server string, user int) {
		t.Helper()
		if got := h.looksUp(user, network, server); got != "" {
			t.Errorf("%s to %s: %s", network, server, got)
		}
		proto := byte(unix.IPPROTO_UDP)
		if strings.HasPrefix(network, "tcp") {
			proto = unix.IPPROTO_TCP
		}
		from, to := ends(h.end.next(protocol4(proto)))
		if from.Addr() != netip.MustParseAddr("10.99.0.2") || to != netip.MustParseAddrPort("10.99.0.1:53") {
			t.Errorf("%s to %s came out as %v -> %v", network, server, from, to)
		}
	}
	comesOut("udp4", "203.0.113.9:53", nameServer)
	comesOut("tcp4", "203.0.113.9:53", nameServer)
	comesOut("udp4", "192.0.2.1:53", nameServer) // the provider's own, next to the router
	if got := h.looksUp(0, "udp4", "203.0.113.9:53"); got != "by the link" {
		t.Errorf("root's look-up: %q", got)
	}
	var refused error
	asUser(nameServer, func() {
		conn, err := net.Dial("udp6", "[2001:db8:9::9]:53")
		if err != nil {
			refused = err
			return
		}
		defer conn.Close()
		for range 3 {
			if _, refused = conn.Write([]byte("query")); refused != nil {
				return
			}
		}
	})
	if n := len(h.onWAN.about(outside6)); n > 0 || refused == nil {
		t.Errorf("IPv6 without a way inside: %d leaked, error %v", n, refused)
	}
	runCommand(t, "ip", "route", "del", "default")
	comesOut("udp4", "203.0.113.9:53", nameServer)

	// An answer comes back as from whom was asked.
	var answer string
	got := make(chan struct{})
	go asUser(nameServer, func() {
		defer close(got)
		if conn, err := net.Dial("udp4", "203.0.113.9:53"); err == nil {
			defer conn.Close()
			_, _ = conn.Write([]byte("query"))
			buf := make([]byte, 100)
			_ = conn.SetReadDeadline(time.Now().Add(time.Second))
			n, _ := conn.Read(buf)
			answer = string(buf[:n])
		}
	})
	from, to := ends(h.end.next(protocol4(unix.IPPROTO_UDP)))
	h.end.send(udp4(to.String(), from.String(), "answer"))
	if <-got; answer != "answer" {
		t.Errorf("the name server got %q", answer)
	}
	// Nobody else can flush it, and it goes with us.
	_ = runQuiet("nft", "flush", "ruleset")
	if !strings.Contains(runCommand(t, "nft", "list", "tables"), "mpproxy_dns") {
		t.Error("flushed by somebody else")
	}
	h.router.kernel.close() // killed
	if strings.Contains(runCommand(t, "nft", "list", "tables"), "mpproxy_dns") {
		t.Error("outlives the daemon")
	}
}

func TestOwnTrafficByOrder(t *testing.T) {
	h := newHome(t)
	far := newFarEnd(t, "p-wan2", "addr add 198.51.100.1/24 dev p-wan2", "addr add 203.0.113.50/32 dev lo")
	tunnel := h.tunnel("10.99.0.2/32")
	tunnel.Own = true
	h.set(tunnel)
	out := func(to string) {
		if conn, err := net.Dial("udp4", to); err == nil {
			_, _ = conn.Write([]byte("?"))
			conn.Close()
		}
	}
	h.onWAN.forget()
	out("203.0.113.9:6779")
	if from, to := ends(h.end.next(protocol4(unix.IPPROTO_UDP))); from.Addr() != netip.MustParseAddr("10.99.0.2") || to.Port() != 6779 {
		t.Errorf("%v -> %v", from, to)
	}
	if n := len(h.onWAN.about(outside4)); n > 0 {
		t.Errorf("%d packets left by the link", n)
	}
	out("203.0.113.9:123")
	if n := len(h.onWAN.about(outside4)); n != 1 {
		t.Errorf("time: %d packets left by the link", n)
	}
	if got := ask(t, "wan1", h.router.SocketMark(0), "203.0.113.9:6779"); got != "direct" {
		t.Errorf("our own sockets: %q", got)
	}
	// Who comes in by a link is answered by it.
	var visitor string
	service, err := net.ListenPacket("udp4", "198.51.100.5:2222")
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	go func() {
		buf := make([]byte, 100)
		for {
			_, from, err := service.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = service.WriteTo([]byte("router"), from)
		}
	}()
	far.do(func() {
		if conn, err := (&net.Dialer{LocalAddr: &net.UDPAddr{IP: net.IPv4(203, 0, 113, 50)}}).Dial("udp", "198.51.100.5:2222"); err == nil {
			defer conn.Close()
			visitor = exchange(conn)
		}
	})
	if visitor != "router" {
		t.Errorf("a visitor got %q", visitor)
	}
}
