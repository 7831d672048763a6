package system

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mpproxy/src/engine/packet"
)

// farEnd is another network namespace at the end of a cable: the client behind the router, or the Internet.
type farEnd struct{ work chan func() }

// newFarEnd moves device into a new namespace and configures it there with ip. The namespace goes away with its thread.
func newFarEnd(t *testing.T, device string, lines ...string) *farEnd {
	t.Helper()
	f := &farEnd{make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for work := range f.work {
			work()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(f.work) })
	var ns *os.File
	var err error
	f.do(func() { ns, err = os.Open("/proc/thread-self/ns/net") })
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	link, err := netlink.LinkByName(device)
	if err == nil {
		err = netlink.LinkSetNsFd(link, int(ns.Fd()))
	}
	if err != nil {
		t.Fatal(err)
	}
	f.do(func() {
		for _, l := range append([]string{"link set lo up", "link set " + device + " up"}, lines...) {
			runCommand(t, "ip", strings.Fields(l)...)
		}
	})
	return f
}

// do runs work inside the namespace.
func (f *farEnd) do(work func()) {
	done := make(chan struct{})
	f.work <- func() { defer close(done); work() }
	<-done
}

// udp4 makes a UDP packet without UDP checksum, which IPv4 allows.
func udp4(from, to string, payload string) []byte {
	a, b := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	p := tcpSegment(a, b, 0, 0)[:28]
	p[9] = unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(p[24:], uint16(8+len(payload)))
	binary.BigEndian.PutUint16(p[26:], 0)
	p = append(p, payload...)
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
	return p
}

// tunEnd reads and writes single packets of a TUN.
type tunEnd struct {
	t    *testing.T
	tun  *TUN
	pool *packet.Pool
}

// next returns the next packet that wanted accepts.
func (e tunEnd) next(wanted func(p []byte) bool) []byte {
	e.t.Helper()
	dog := time.AfterFunc(3*time.Second, func() { e.tun.Close() })
	defer dog.Stop()
	batch := make([]*packet.Buf, e.tun.BatchSize())
	for {
		n, err := e.tun.Read(e.pool, batch)
		if err != nil {
			e.t.Fatalf("the packet never came: %v", err)
		}
		var found []byte
		for _, b := range batch[:n] {
			if found == nil && wanted(b.Bytes()) {
				found = bytes.Clone(b.Bytes())
			}
			b.Release()
		}
		if found != nil {
			return found
		}
	}
}

func (e tunEnd) send(p []byte) {
	e.t.Helper()
	b := e.pool.Get()
	defer b.Release()
	b.Set(p)
	if err := e.tun.Write([]*packet.Buf{b}); err != nil {
		e.t.Fatal(err)
	}
}

func protocol4(proto byte) func(p []byte) bool {
	return func(p []byte) bool { return len(p) >= 28 && p[0]>>4 == 4 && p[9] == proto }
}

// ends reads the ends of a TCP or UDP packet over IPv4.
func ends(p []byte) (from, to netip.AddrPort) {
	at := func(addr, port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[addr:])), binary.BigEndian.Uint16(p[port:]))
	}
	return at(12, 20), at(16, 22)
}

func TestRouterCarriesTheLAN(t *testing.T) {
	makeLinks(t)
	runCommand(t, "sysctl", "-qw", "net.ipv4.conf.br-lan.forwarding=1")
	client := newFarEnd(t, "p-br-lan", "addr add 192.168.1.77/24 dev p-br-lan", "route add default via 192.168.1.1")
	r := openRouter(t, testParams(t))
	defer r.Close()
	tun := closedTUN(t, "mptb")
	setUpRouter(t, r, "mptb")
	runCommand(t, "sysctl", "-qw", "net.ipv4.conf.mptb.forwarding=1")
	end := tunEnd{t, tun, packet.NewPool(300)}

	var conn net.Conn
	var err error
	client.do(func() { conn, err = net.Dial("udp4", "203.0.113.9:53") })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("ask")); err != nil {
		t.Fatal(err)
	}
	from, to := ends(end.next(protocol4(unix.IPPROTO_UDP)))
	if from.Addr() != netip.MustParseAddr("10.99.0.2") || to != netip.MustParseAddrPort("203.0.113.9:53") {
		t.Errorf("left from %v to %v", from, to)
	}
	end.send(udp4(to.String(), from.String(), "answer"))
	buf := make([]byte, 100)
	conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Errorf("the client got %q, %v", buf[:n], err)
	}

	// The client's SYN offers 1460; 1340 fit the tunnel.
	dialed := make(chan struct{})
	go func() {
		defer close(dialed)
		client.do(func() { _, _ = net.DialTimeout("tcp4", "203.0.113.9:80", 50*time.Millisecond) })
	}()
	defer func() { <-dialed }()
	syn := end.next(protocol4(unix.IPPROTO_TCP))
	if mss := syn[40:44]; !bytes.Equal(mss, []byte{2, 4, 1340 >> 8, 1340 & 0xff}) {
		t.Errorf("MSS option %x", mss)
	}
}

func TestServerCarriesPeers(t *testing.T) {
	makeLinks(t)
	internet := newFarEnd(t, "p-wan1", "addr add 192.0.2.1/24 dev p-wan1", "addr add 203.0.113.9/32 dev lo", "route add 10.99.0.0/24 via 192.0.2.5")
	s, err := OpenServer(testParams(t), quietLog())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tun := closedTUN(t, "mptc")
	if err := s.SetService(Service{Device: "mptc", MTU: 1400, Addresses: prefixes("10.99.0.1/24"), NAT: true}); err != nil {
		t.Fatal(err)
	}
	end := tunEnd{t, tun, packet.NewPool(300)}
	var there net.PacketConn
	internet.do(func() { there, err = net.ListenPacket("udp4", "203.0.113.9:53") })
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()

	end.send(udp4("10.99.0.2:4444", "203.0.113.9:53", "ask"))
	buf := make([]byte, 100)
	there.SetReadDeadline(time.Now().Add(3 * time.Second))
	n, peer, err := there.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "ask" || peer.(*net.UDPAddr).AddrPort().Addr() != netip.MustParseAddr("192.0.2.5") {
		t.Fatalf("the Internet got %q from %v, %v", buf[:n], peer, err)
	}
	// Somebody next to the server knocks at the peer, before the answer that is due.
	if _, err := there.WriteTo([]byte("knock"), &net.UDPAddr{IP: net.IPv4(10, 99, 0, 2), Port: 4444}); err != nil {
		t.Fatal(err)
	}
	if _, err := there.WriteTo([]byte("answer"), peer); err != nil {
		t.Fatal(err)
	}
	p := end.next(protocol4(unix.IPPROTO_UDP))
	if from, to := ends(p); from.String() != "203.0.113.9:53" || to.String() != "10.99.0.2:4444" || string(p[28:]) != "answer" {
		t.Errorf("the peer got %q from %v to %v", p[28:], from, to)
	}
	tun.Close()
	if _, err := tun.Read(end.pool, make([]*packet.Buf, tun.BatchSize())); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}
