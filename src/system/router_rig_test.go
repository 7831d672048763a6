package system

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// settings changes kernel settings until the test ends.
func settings(t *testing.T, list ...string) {
	t.Helper()
	for _, s := range list {
		name, value, _ := strings.Cut(s, "=")
		path := "/proc/sys/" + strings.ReplaceAll(name, ".", "/")
		old, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, []byte(value), 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.WriteFile(path, old, 0) })
	}
}

// modems gives three links with one address, gateway and hardware address, none of them with a default route in main;
// behind modem i a server at 203.0.113.9:6779 answers with the digit i.
func modems(t *testing.T) (names []string) {
	t.Helper()
	needNamespace(t)
	needProgram(t, "ip", "nft", "sysctl")
	for i := range 3 {
		name := fmt.Sprintf("modem%d", i)
		names = append(names, name)
		t.Cleanup(func() { removeLink(name) })
		runCommand(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "p-"+name)
		runCommand(t, "ip", "link", "set", "p-"+name, "address", "0c:5b:8f:27:9a:64")
		for _, d := range []string{name, "p-" + name} {
			runCommand(t, "sysctl", "-qw", "net.ipv6.conf."+d+".addr_gen_mode=1")
		}
		far := newFarEnd(t, "p-"+name, "addr add 192.168.8.1/24 dev p-"+name, "addr add 203.0.113.9/32 dev lo")
		// Without a gateway the router would ask for the server's own hardware address.
		far.do(func() { runCommand(t, "sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1") })
		for _, line := range []string{
			"link set " + name + " up", "addr add 192.168.8.100/24 dev " + name,
			fmt.Sprintf("route add default via 192.168.8.1 dev %s table %d", name, 500+i), // as netifd's ip4table
		} {
			runCommand(t, "ip", strings.Fields(line)...)
		}
		echo(t, far, "203.0.113.9:6779", fmt.Sprint(i))
	}
	return names
}

// removeLink removes a device that may be gone already.
func removeLink(name string) {
	if link, err := netlink.LinkByName(name); err == nil {
		_ = netlink.LinkDel(link)
	}
}

// echo answers every datagram to an address in a far namespace with the same text.
func echo(t *testing.T, far *farEnd, at, answer string) {
	t.Helper()
	var conn net.PacketConn
	var err error
	far.do(func() { conn, err = net.ListenPacket("udp", at) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 2000)
		for {
			_, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo([]byte(answer), from)
		}
	}()
}

// ask sends a datagram from a socket bound to device (if not empty) with a mark, and returns the answer, or "".
func ask(t *testing.T, device string, mark uint32, to string) string {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		_ = c.Control(func(fd uintptr) {
			if device != "" {
				err = unix.BindToDevice(int(fd), device)
			}
			if err == nil && mark != 0 {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark))
			}
		})
		return err
	}}
	conn, err := d.Dial("udp", to)
	if err != nil {
		return ""
	}
	defer conn.Close()
	return exchange(conn)
}

// exchange asks over a connection a few times for a short time.
func exchange(conn net.Conn) string {
	buf := make([]byte, 100)
	for range 3 {
		if _, err := conn.Write([]byte("?")); err != nil {
			return ""
		}
		_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		if n, err := conn.Read(buf); err == nil {
			return string(buf[:n])
		}
	}
	return ""
}

// sniffer tells what leaves by a device.
type sniffer struct {
	fd   int
	seen [][]byte // IP packets
}

// sniff listens on a device of this namespace.
func sniff(t *testing.T, device string) *sniffer {
	t.Helper()
	link, err := net.InterfaceByName(device)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	proto := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL)) // in the network's order
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: link.Index}); err != nil {
		t.Fatal(err)
	}
	return &sniffer{fd: fd}
}

// forget drops what was seen.
func (s *sniffer) forget() {
	s.read()
	s.seen = nil
}

// read takes what has come.
func (s *sniffer) read() {
	buf := make([]byte, 70000)
	for {
		n, from, err := unix.Recvfrom(s.fd, buf, 0)
		if errors.Is(err, unix.ENETDOWN) { // told once when the device goes down
			continue
		}
		if err != nil {
			return
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING && n > 20 && (buf[0]>>4 == 4 || buf[0]>>4 == 6) {
			s.seen = append(s.seen, bytes.Clone(buf[:n]))
		}
	}
}

// about returns what left towards addresses.
func (s *sniffer) about(to ...netip.Addr) (list [][]byte) {
	<-time.After(20 * time.Millisecond) // what is on its way through the router
	s.read()
	for _, p := range s.seen {
		if slices.Contains(to, destinationOf(p)) {
			list = append(list, p)
		}
	}
	return list
}

func destinationOf(p []byte) netip.Addr {
	if p[0]>>4 == 4 {
		return netip.AddrFrom4([4]byte(p[16:]))
	}
	if len(p) < 40 {
		return netip.Addr{}
	}
	return netip.AddrFrom16([16]byte(p[24:]))
}

// keepUp repairs as the daemon does, until the test ends.
func keepUp(t *testing.T, r *Router) {
	t.Helper()
	w, err := OpenWatch()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.Run(ctx) })
	wg.Go(func() {
		for e := range w.Changes() {
			if e.Kind == Changed || e.Kind == TableGone {
				if err := r.Repair(); err != nil {
					t.Log("repair:", err)
				}
			}
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// within waits until something is so.
func within(t *testing.T, limit time.Duration, what string, so func() bool) {
	t.Helper()
	began := time.Now()
	for !so() {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Logf("%s after %v", what, time.Since(began).Round(time.Millisecond))
}
