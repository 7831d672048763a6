package lab

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"mpproxy/src/stats"
)

// nameServer answers every question for an IPv4 address with the same one, in a namespace, and notes who asked.
type nameServer struct {
	mu     sync.Mutex
	askers map[string]bool
}

func startNameServer(t *testing.T, l *Lab, role, at string, answer netip.Addr) *nameServer {
	t.Helper()
	n := &nameServer{askers: map[string]bool{}}
	var c net.PacketConn
	err := inside(l.Namespace(role), func() (err error) { c, err = net.ListenPacket("udp4", at); return err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			size, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			n.mu.Lock()
			n.askers[from.(*net.UDPAddr).IP.String()] = true
			n.mu.Unlock()
			if reply := nameReply(buf[:size], answer); reply != nil {
				_, _ = c.WriteTo(reply, from)
			}
		}
	}()
	return n
}

func (n *nameServer) asked() (list []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for a := range n.askers {
		list = append(list, a)
	}
	return list
}

// nameReply answers a question (RFC 1035, 4.1); only questions for A get an address.
func nameReply(q []byte, answer netip.Addr) []byte {
	const header, typeA = 12, 1
	end := header
	for end < len(q) && q[end] != 0 {
		end += int(q[end]) + 1
	}
	end += 5 // the root, type and class
	if end > len(q) {
		return nil
	}
	r := append([]byte{}, q[:end]...)
	binary.BigEndian.PutUint16(r[2:], 0x8180) // an answer, without error
	for _, count := range []int{6, 8, 10} {
		binary.BigEndian.PutUint16(r[count:], 0)
	}
	if binary.BigEndian.Uint16(q[end-4:]) != typeA {
		return r
	}
	binary.BigEndian.PutUint16(r[6:], 1)
	r = append(r, 0xc0, header, 0, typeA, 0, 1, 0, 0, 0, 60, 0, 4)
	return append(r, answer.AsSlice()...)
}

// TestEndpointNamesByLink: the server's name is looked up over each link at that link's own name server, which nobody
// else can reach; a server that only one link's name server knows is used over that link.
func TestEndpointNamesByLink(t *testing.T) {
	n := newNetifd(t, nil)
	dump := `{"interface":[
		{"interface":"cable","up":true,"l3_device":"wan1","route":[],"dns-server":["192.168.1.1"]},
		{"interface":"modem","up":true,"l3_device":"wan2","route":[],"inactive":{"route":[],"dns-server":["192.168.2.1"]}}]}`
	if err := os.WriteFile(n.dir+"/dump", []byte(dump), 0o644); err != nil {
		t.Fatal(err)
	}
	l := newLab(t, "20M/10ms,20M/25ms")
	if l.options.Program == "" {
		t.Fatal("MPPROXY_PROGRAM is not set: run this through make test")
	}
	remote := netip.MustParseAddr(RemoteAddress)
	first := startNameServer(t, l, "nat1", "192.168.1.1:53", remote)
	second := startNameServer(t, l, "nat2", "192.168.2.1:53", remote)
	if err := l.configure(nil); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(l.config("router"))
	if err != nil {
		t.Fatal(err)
	}
	named := strings.NewReplacer(RemoteAddress+":6779", "vps.mpproxy.test:6779", "interface 'wan1'", "interface 'cable'", "interface 'wan2'", "interface 'modem'").Replace(string(text))
	if err := os.WriteFile(l.config("router"), []byte(named), 0o600); err != nil {
		t.Fatal(err)
	}
	if l.Remote, err = l.startDaemon("remote"); err != nil {
		t.Fatal(err)
	}
	if l.Router, err = l.startDaemon("router"); err != nil {
		t.Fatal(err)
	}
	l.Router.until(t, "both paths", func(s stats.Status) bool {
		_, one := pathOf(s, "link1")
		_, two := pathOf(s, "link2")
		return one && two
	})
	for i, asked := range [][]string{first.asked(), second.asked()} {
		if want := []string{"192.168.1.2", "192.168.2.2"}[i]; len(asked) != 1 || asked[0] != want {
			t.Errorf("name server of link%d was asked by %v, want %s", i+1, asked, want)
		}
	}
}
