package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// EventKind says what an Event is about.
type EventKind uint8

const (
	// CarrierLost and CarrierBack are about one device, and come at once.
	CarrierLost EventKind = iota + 1
	CarrierBack
	// Changed says that addresses, routes, rules or devices changed: resolve links again and repair. It comes when things
	// have been quiet for a moment.
	Changed
	// TableGone says that an nft table of ours was taken away or thinned out. It comes at once, and a Changed follows.
	TableGone
)

// String implements fmt.Stringer.
func (k EventKind) String() string {
	switch k {
	case CarrierLost:
		return "carrier lost"
	case CarrierBack:
		return "carrier back"
	case Changed:
		return "changed"
	case TableGone:
		return "table gone"
	}
	return "unknown"
}

// Event is a change of the system's network that was not necessarily ours.
type Event struct {
	Kind   EventKind
	Device string // for CarrierLost and CarrierBack
}

// Watch follows the kernel's messages about links, addresses, routes and rules. It listens from OpenWatch on.
type Watch struct {
	file    *os.File
	tables  *os.File // nil: the kernel has no nftables
	out     chan Event
	lost    atomic.Uint64
	carrier map[int]linkSeen
	settle  time.Duration
	recheck time.Duration
}

// linkSeen is the last known state of a device.
type linkSeen struct {
	name    string
	carrier bool
}

// OpenWatch begins to listen. The caller runs Run, which also ends it.
func OpenWatch() (*Watch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("watch network: %w", err)
	}
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err == nil {
		for _, group := range []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
			unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE} {
			err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group))
		}
	}
	w := &Watch{file: os.NewFile(uintptr(fd), "rtnetlink"), out: make(chan Event), carrier: map[int]linkSeen{}, settle: settleTime, recheck: recheckTime}
	if err == nil {
		err = w.learn()
	}
	if err != nil {
		w.file.Close()
		return nil, fmt.Errorf("watch network: %w", err)
	}
	w.tables = openTableWatch()
	return w, nil
}

// learn notes the carrier of all devices, so that only changes are told.
func (w *Watch) learn() error {
	links, err := netlink.LinkList()
	for _, l := range links {
		a := l.Attrs()
		w.carrier[a.Index] = linkSeen{a.Name, hasCarrier(a.RawFlags)}
	}
	return err
}

func hasCarrier(flags uint32) bool { return flags&unix.IFF_UP != 0 && flags&unix.IFF_LOWER_UP != 0 }

// Changes delivers the events; of several about one device's carrier that wait, only the last is told. Changed stands for
// any number of changes. Of devices that are not links, the TUN among them, it tells too.
func (w *Watch) Changes() <-chan Event { return w.out }

// Lost counts how often the kernel had to drop messages; a Changed event and a new look at all carriers follow each time.
func (w *Watch) Lost() uint64 { return w.lost.Load() }

// String implements fmt.Stringer.
func (w *Watch) String() string { return "network watch" }

// note is what the receiving half tells the delivering half.
type note struct {
	events   []Event // to be delivered at once
	changed  bool    // something is to be looked at when it is quiet
	ruleGone bool    // a rule of ours was deleted
}

// Run delivers events until ctx ends, and closes the watch and its channel then. It returns nil after ctx ended.
func (w *Watch) Run(ctx context.Context) error {
	defer close(w.out)
	notes := make(chan note)
	failed := make(chan error, 1)
	stop := context.AfterFunc(ctx, w.close)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { failed <- w.receive(ctx, notes) }()
	var rest sync.WaitGroup
	defer rest.Wait()
	if w.tables != nil {
		rest.Go(func() { w.receiveTables(ctx, notes) })
	}
	w.deliver(ctx, notes, failed)
	cancel()
	w.close()
	if err := <-failed; err != nil && !errors.Is(err, os.ErrClosed) && ctx.Err() == nil {
		return fmt.Errorf("watch network: %w", err)
	}
	return nil
}

func (w *Watch) close() {
	w.file.Close()
	if w.tables != nil {
		w.tables.Close()
	}
}

// deliver hands events on; a slow reader never holds up the receiving half, what waits is bounded by one event per
// device and kind.
func (w *Watch) deliver(ctx context.Context, notes <-chan note, failed chan error) {
	var queue []Event
	quiet, again := stoppedTimer(), stoppedTimer()
	var due time.Time // when what changed is told at the latest; zero: nothing is to be told
	defer quiet.Stop()
	defer again.Stop()
	for {
		var out chan<- Event
		var next Event
		if len(queue) > 0 {
			out, next = w.out, queue[0]
		}
		select {
		case <-ctx.Done():
			return
		case err := <-failed:
			failed <- err
			return
		case n := <-notes:
			for _, e := range n.events {
				queue = enqueue(queue, e)
			}
			if n.changed {
				if due.IsZero() {
					due = time.Now().Add(settleLimit)
				}
				quiet.Reset(min(w.settle, time.Until(due)))
			}
			if n.ruleGone {
				again.Reset(w.recheck)
			}
		case <-quiet.C:
			due = time.Time{}
			queue = enqueue(queue, Event{Kind: Changed})
		case <-again.C:
			queue = enqueue(queue, Event{Kind: Changed})
		case out <- next:
			queue = slices.Delete(queue, 0, 1)
		}
	}
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// enqueue adds an event; an earlier one that waits about the same is out of date.
func enqueue(queue []Event, e Event) []Event {
	queue = slices.DeleteFunc(queue, func(q Event) bool {
		return q.Device == e.Device && (q.Kind == e.Kind || aboutCarrier(q.Kind) && aboutCarrier(e.Kind))
	})
	return append(queue, e)
}

func aboutCarrier(k EventKind) bool { return k == CarrierLost || k == CarrierBack }

// receive reads messages until the socket is closed.
func (w *Watch) receive(ctx context.Context, notes chan<- note) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		var told note
		switch {
		case errors.Is(err, unix.ENOBUFS):
			w.lost.Add(1)
			told = w.relearn()
		case err != nil:
			return err
		default:
			told = w.parse(buf[:n])
		}
		select {
		case notes <- told:
		case <-ctx.Done():
			return nil
		}
	}
}

// relearn compares all carriers with what was known, after messages were lost.
func (w *Watch) relearn() note {
	told := note{changed: true, ruleGone: true}
	links, err := netlink.LinkList()
	if err != nil {
		return told
	}
	for _, l := range links {
		a := l.Attrs()
		told.add(w.see(a.Index, a.Name, hasCarrier(a.RawFlags)))
	}
	return told
}

func (n *note) add(e Event, ok bool) {
	if ok {
		n.events = append(n.events, e)
	}
}

// parse reads one packet of netlink messages. What cannot be read counts as a change.
func (w *Watch) parse(buf []byte) (told note) {
	messages, err := syscall.ParseNetlinkMessage(buf)
	if err != nil {
		return note{changed: true}
	}
	for _, m := range messages {
		switch m.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			told.changed = true
			told.add(w.parseLink(m))
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			told.changed = true
		case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
			if len(m.Data) >= unix.SizeofRtMsg && (m.Data[5] != Protocol || m.Header.Type == unix.RTM_DELROUTE) {
				told.changed = true // byte 5 is rtm_protocol; what we add ourselves is no news
			}
		case unix.RTM_DELRULE:
			told.changed, told.ruleGone = true, true
		}
	}
	return told
}

// parseLink finds out whether a device's carrier changed.
func (w *Watch) parseLink(m syscall.NetlinkMessage) (Event, bool) {
	if len(m.Data) < unix.SizeofIfInfomsg || m.Data[0] != unix.AF_UNSPEC { // a bridge tells of its ports in the same words
		return Event{}, false
	}
	link, err := netlink.LinkDeserialize(&unix.NlMsghdr{Type: m.Header.Type}, m.Data)
	if err != nil {
		return Event{}, false
	}
	a := link.Attrs()
	if m.Header.Type == unix.RTM_DELLINK {
		e, changed := w.see(a.Index, a.Name, false)
		delete(w.carrier, a.Index)
		return e, changed
	}
	return w.see(a.Index, a.Name, hasCarrier(a.RawFlags))
}

// see notes a device's carrier and reports a change. A new device without carrier is no event.
func (w *Watch) see(index int, name string, carrier bool) (Event, bool) {
	old := w.carrier[index]
	w.carrier[index] = linkSeen{name, carrier}
	if old.carrier == carrier {
		return Event{}, false
	}
	if carrier {
		return Event{CarrierBack, name}, true
	}
	return Event{CarrierLost, name}, true
}
