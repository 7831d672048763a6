package socks

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// slowNames are those of names, and others under slow.test, which take until they are released, or given up.
type slowNames struct {
	release chan struct{}
	looked  atomic.Int32
}

func (s *slowNames) resolve(ctx context.Context, name string) ([]netip.Addr, error) {
	s.looked.Add(1)
	if !strings.HasSuffix(name, "slow.test") {
		return names(ctx, name)
	}
	select {
	case <-s.release:
		return names(ctx, "four.test")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// named is an association whose names are slow, and a server for what it sends.
type named struct {
	slowNames
	*Server
	t       *testing.T
	control net.Conn
	client  *net.UDPConn
	world   *net.UDPConn
}

func newNamed(t *testing.T) *named {
	n := &named{slowNames: slowNames{release: make(chan struct{})}, t: t}
	var at netip.AddrPort
	n.Server, at = start(t, func(o *Options) { o.GuardUDP, o.Resolve = everyone, n.resolve })
	var err error
	if n.world, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.world.Close() })
	var relay Address
	n.control, relay = associate(t, at)
	n.client = dialUDP(t, relay)
	return n
}

// say sends a datagram to a name, or to the server's address if it is empty.
func (n *named) say(name, text string) {
	to := FromAddrPort(n.world.LocalAddr().(*net.UDPAddr).AddrPort())
	if name != "" {
		to = Address{Name: name, Port: to.Port}
	}
	_, _ = n.client.Write(append(AppendDatagramHeader(nil, to), text...))
}

// hear is what the server gets next.
func (n *named) hear() string {
	n.t.Helper()
	b := make([]byte, 64<<10)
	_ = n.world.SetReadDeadline(time.Now().Add(5 * time.Second))
	k, err := n.world.Read(b)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(b[:min(k, 10)])
}

// dropped waits until so many are.
func (n *named) dropped(want uint64) {
	n.t.Helper()
	for end := time.Now().Add(5 * time.Second); n.Counts().DroppedDatagrams != want; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatalf("%d datagrams are dropped, want %d", n.Counts().DroppedDatagrams, want)
		}
	}
}

// TestSlowNameHoldsNobodyUp: what goes elsewhere passes datagrams whose name takes its time; they follow in their order.
func TestSlowNameHoldsNobodyUp(t *testing.T) {
	n := newNamed(t)
	n.say("slow.test", "first")
	n.say("", "passes")
	n.say("slow.test", "second")
	n.say("four.test", "passes too")
	for _, want := range []string{"passes", "passes too"} {
		if got := n.hear(); got != want {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	close(n.release)
	if one, two := n.hear(), n.hear(); one != "first" || two != "second" {
		t.Errorf("%q and %q came", one, two)
	}
	n.say("slow.test", "third")
	if got := n.hear(); got != "third" || n.looked.Load() != 2 || n.Counts().DroppedDatagrams != 0 {
		t.Errorf("%q, %d names asked for, %+v", got, n.looked.Load(), n.Counts())
	}
	if got, want := n.Counts().UpBytes, uint64(len("first"+"passes"+"second"+"passes too"+"third")); got != want {
		t.Errorf("%d bytes counted, want %d", got, want)
	}
}

// TestNamesThatFailAreRemembered for some seconds.
func TestNamesThatFailAreRemembered(t *testing.T) {
	n := newNamed(t)
	for i := range 3 {
		n.say("none.test", "lost")
		n.dropped(uint64(i + 1))
	}
	if got := n.looked.Load(); got != 1 {
		t.Errorf("a name that failed was asked for %d times", got)
	}
	a := &association{s: n.Server, names: map[string]answer{"none.test:53": {again: time.Now().Add(-time.Millisecond)}}, peers: map[netip.AddrPort]struct{}{}}
	if _, wait := a.target(t.Context(), Address{Name: "none.test", Port: 53}, []byte("again")); !wait {
		t.Error("it is not asked for again")
	}
	a.wg.Wait()
	if got := a.names["none.test:53"]; n.looked.Load() != 2 || a.kept != 0 || len(a.asked) != 0 || time.Until(got.again) < failedAgain/2 {
		t.Errorf("%d names asked for, %d bytes kept, %+v", n.looked.Load(), a.kept, got)
	}
}

// TestWhatWaitsForNamesIsBounded in look-ups and in bytes, and ends with the association.
func TestWhatWaitsForNamesIsBounded(t *testing.T) {
	n := newNamed(t)
	for i := range maxLookUps {
		n.say(fmt.Sprintf("%d.slow.test", i), "waits")
	}
	n.say("one.more.slow.test", "lost")
	n.dropped(1)
	if got := n.looked.Load(); got != maxLookUps {
		t.Errorf("%d names asked for", got)
	}
	const size = 20000
	for range keptBytes/size + 1 {
		n.say("0.slow.test", strings.Repeat("x", size))
	}
	n.dropped(2)
	_ = n.control.Close()
	for end := time.Now().Add(2 * time.Second); n.Counts().Active > 0; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the association waits for its names")
		}
	}
}

// TestEmptyDatagramsAreBounded, too, while they wait for a name.
func TestEmptyDatagramsAreBounded(t *testing.T) {
	a := &association{asked: map[string][][]byte{}}
	n := 0
	for n < 1<<20 && a.keep("slow.test:53", nil) {
		n++
	}
	if n != keptBytes/keptCost {
		t.Errorf("%d empty datagrams wait, want %d", n, keptBytes/keptCost)
	}
}
