package system

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"mpproxy/src/engine/packet"
)

// openTestTUN makes an up TUN with 10.99.0.2/24; all other addresses of the net are "behind" it.
func openTestTUN(t testing.TB, name string) *TUN {
	t.Helper()
	needNamespace(t)
	needProgram(t, "ip")
	needTUN(t)
	tun, err := OpenTUN(name, 1400)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tun.Close() })
	// Without IPv6 the kernel sends nothing of its own accord.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	runCommand(t, "ip", "link", "set", "lo", "up")
	runCommand(t, "ip", "addr", "add", "10.99.0.2/24", "dev", name)
	runCommand(t, "ip", "link", "set", name, "up")
	return tun
}

// reflect swaps the addresses of an IPv4 packet; no checksum changes by that.
func reflect(p []byte) {
	if len(p) >= 20 && p[0]>>4 == 4 {
		var a [4]byte
		copy(a[:], p[12:16])
		copy(p[12:16], p[16:20])
		copy(p[16:20], a[:])
	}
}

// serveReflect reads and reflects until the TUN closes.
func serveReflect(tun *TUN, pool *packet.Pool, each func(n int)) error {
	batch := make([]*packet.Buf, tun.BatchSize())
	for {
		n, err := tun.Read(pool, batch)
		if err != nil {
			return err
		}
		each(n)
		for _, b := range batch[:n] {
			reflect(b.Bytes())
		}
		if err := tun.Write(batch[:n]); err != nil {
			return err
		}
		for _, b := range batch[:n] {
			b.Release()
		}
	}
}

func TestTUNCarriesPackets(t *testing.T) {
	tun := openTestTUN(t, "mpt0")
	pool := packet.NewPool(512)
	done := make(chan error, 1)
	most := 0
	go func() { done <- serveReflect(tun, pool, func(n int) { most = max(most, n) }) }()

	// What connects to 10.99.0.9 appears as a connection from there: both ends are sockets here, and every segment
	// crosses the TUN twice. 4 MB make super-packets and runs to be joined again.
	listener, err := net.Listen("tcp4", "10.99.0.2:4000")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		if c, err := listener.Accept(); err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	c, err := net.DialTimeout("tcp4", "10.99.0.9:4000", 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(5 * time.Second))
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	go func() {
		c.Write(sent)
		c.(*net.TCPConn).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("got %d bytes back of %d: %v", len(got), len(sent), err)
	}
	c.Close()

	tun.Close()
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("reader ended with %v", err)
	}
	if most < 2 {
		t.Errorf("never more than %d packets in a batch: no super-packets", most)
	}
	if lent, _ := pool.Lent(); lent != 0 {
		t.Errorf("%d Bufs not given back", lent)
	}
	if s := tun.Stats(); s != (TUNStats{}) {
		t.Errorf("%+v", s)
	}
}

func TestTUNDrainsWithAnEmptyPool(t *testing.T) {
	tun := openTestTUN(t, "mpt1")
	pool := packet.NewPool(1)
	held := pool.Get()
	batch := make([]*packet.Buf, tun.BatchSize())
	c, err := net.Dial("udp4", "10.99.0.9:4000")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 3 {
		fmt.Fprintf(c, "packet %d", i)
		if n, err := tun.Read(pool, batch); n != 0 || err != nil {
			t.Fatal(n, err)
		}
	}
	if s := tun.Stats(); s.NoBuffer != 3 {
		t.Errorf("%+v", s)
	}
	held.Release()
	fmt.Fprint(c, "now")
	if n, err := tun.Read(pool, batch); n != 1 || err != nil || !bytes.HasSuffix(batch[0].Bytes(), []byte("now")) {
		t.Fatal(n, err)
	}
}

func TestTUNLeavesSharedBufsAlone(t *testing.T) {
	tun := openTestTUN(t, "mpt2")
	pool := packet.NewPool(16)
	var batch []*packet.Buf
	for range 8 {
		b := pool.Get()
		b.Set(tcpSegment(netip.MustParseAddrPort("10.99.0.9:5"), netip.MustParseAddrPort("10.99.0.2:6"), uint32(len(batch)*100), 100))
		batch = append(batch, b)
	}
	var before [][]byte
	for _, b := range batch {
		b.Retain()
		raw, start := b.Raw()
		copy(raw[:start], "what stands in front belongs to others")
		before = append(before, bytes.Clone(raw))
	}
	if err := tun.Write(batch); err != nil {
		t.Fatal(err)
	}
	for i, b := range batch {
		if raw, _ := b.Raw(); !bytes.Equal(raw, before[i]) {
			t.Errorf("shared packet %d was written to", i)
		}
	}
}

func TestOpenTUNRefuses(t *testing.T) {
	for _, mtu := range []int{0, 575, packet.MaxBytes + 1} {
		if _, err := OpenTUN("mpt3", mtu); err == nil {
			t.Errorf("MTU %d was accepted", mtu)
		}
	}
	needNamespace(t)
	needTUN(t)
	if _, err := OpenTUN("a-name-that-is-too-long", 1400); err == nil {
		t.Error("a long name was accepted")
	}
	openTestTUN(t, "mpt4")
	if _, err := OpenTUN("mpt4", 1400); err == nil {
		t.Error("a device in use was accepted")
	}
}
