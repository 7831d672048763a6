package system

import (
	"context"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func startWatch(t *testing.T) *Watch {
	t.Helper()
	w, err := OpenWatch()
	if err != nil {
		t.Fatal(err)
	}
	w.settle, w.recheck = 50*time.Millisecond, 150*time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the watch ended with %v", err)
		}
	})
	return w
}

// expect waits for an event and returns how long it took.
func expect(t *testing.T, w *Watch, want Event) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		select {
		case e, ok := <-w.Changes():
			if !ok {
				t.Fatalf("closed while waiting for %v", want)
			}
			if e == want {
				return time.Since(start)
			}
		case <-time.After(2 * time.Second):
			t.Fatalf("no %v %s", want.Kind, want.Device)
		}
	}
}

func setDown(t *testing.T, name string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetDown(link)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestWatchTellsCarrierAtOnce(t *testing.T) {
	makeLinks(t)
	w := startWatch(t)
	setDown(t, "p-wan1")
	if took := expect(t, w, Event{CarrierLost, "wan1"}); took > 10*time.Millisecond {
		t.Errorf("carrier loss took %v", took)
	}
	if took := expect(t, w, Event{Kind: Changed}); took < w.settle/2 {
		t.Errorf("the change was told after %v, before all was quiet", took)
	}
	runCommand(t, "ip", "link", "set", "p-wan1", "up")
	expect(t, w, Event{CarrierBack, "wan1"})
	setDown(t, "wan2")
	expect(t, w, Event{CarrierLost, "wan2"})
	runCommand(t, "ip", "link", "add", "gone0", "type", "veth", "peer", "name", "gone1")
	runCommand(t, "ip", "link", "set", "gone1", "up")
	runCommand(t, "ip", "link", "set", "gone0", "up")
	expect(t, w, Event{CarrierBack, "gone0"})
	runCommand(t, "ip", "link", "del", "gone0")
	expect(t, w, Event{CarrierLost, "gone0"})
}

func TestWatchTellsChanges(t *testing.T) {
	makeLinks(t)
	w := startWatch(t)
	for _, line := range [][]string{
		{"addr", "add", "203.0.113.3/24", "dev", "wan2"},
		{"-6", "addr", "add", "2001:db8:2::3/64", "dev", "wan2", "nodad"},
		{"route", "add", "203.0.114.0/24", "via", "192.0.2.1"},
		{"-6", "route", "add", "2001:db8:3::/64", "dev", "wan1"},
	} {
		runCommand(t, "ip", line...)
		expect(t, w, Event{Kind: Changed})
	}
	for _, v := range []string{"-4", "-6"} {
		runCommand(t, "ip", v, "rule", "add", "pref", "77", "lookup", "main")
		runCommand(t, "ip", v, "rule", "del", "pref", "77")
		first := expect(t, w, Event{Kind: Changed})
		if second := expect(t, w, Event{Kind: Changed}); first+second < w.recheck-20*time.Millisecond {
			t.Errorf("looked again after %v", first+second)
		}
	}
}

func TestWatchIsQuietAboutOurRoutes(t *testing.T) {
	message := func(kind uint16, protocol byte) []byte {
		b := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg)
		b[0], b[4], b[5] = byte(len(b)), byte(kind), byte(kind>>8)
		b[unix.SizeofNlMsghdr+5] = protocol
		return b
	}
	w := &Watch{carrier: map[int]linkSeen{}}
	for _, x := range []struct {
		kind     uint16
		protocol byte
		want     bool
	}{
		{unix.RTM_NEWROUTE, Protocol, false}, {unix.RTM_NEWROUTE, 2, true}, {unix.RTM_DELROUTE, Protocol, true}, {unix.RTM_DELRULE, 0, true},
	} {
		if got := w.parse(message(x.kind, x.protocol)); got.changed != x.want || got.ruleGone != (x.kind == unix.RTM_DELRULE) {
			t.Errorf("%d by %d: %+v", x.kind, x.protocol, got)
		}
	}
}

func TestWatchQueueIsBounded(t *testing.T) {
	var q []Event
	for range 100 {
		for _, e := range []Event{{Kind: Changed}, {CarrierLost, "a"}, {CarrierBack, "a"}, {CarrierLost, "b"}} {
			q = enqueue(q, e)
		}
	}
	if len(q) != 3 || q[1] != (Event{CarrierBack, "a"}) || q[2] != (Event{CarrierLost, "b"}) {
		t.Errorf("%v", q)
	}
}

func FuzzWatchParse(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{32, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 67, 16, 1, 0, 0, 0, 0, 0})
	f.Add([]byte{28, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 254, 158, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		w := &Watch{carrier: map[int]linkSeen{}}
		w.parse(data)
	})
}
