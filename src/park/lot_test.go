package park

import (
	"math"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// woken counts.
type woken struct {
	n    atomic.Int32
	came chan struct{}
}

func newWoken() *woken { return &woken{came: make(chan struct{}, 100)} }

func (w *woken) Wake() {
	w.n.Add(1)
	w.came <- struct{}{}
}

func (w *woken) wait(t *testing.T, what string) {
	t.Helper()
	select {
	case <-w.came:
	case <-time.After(10 * time.Second):
		t.Errorf("%s: nobody was woken", what)
	}
}

// quiet fails if somebody is woken soon.
func (w *woken) quiet(t *testing.T, what string) {
	t.Helper()
	select {
	case <-w.came:
		t.Errorf("%s: woken", what)
	case <-time.After(30 * time.Millisecond):
	}
}

func newLot(t *testing.T) *Lot {
	t.Helper()
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// pair is a TCP connection's two ends.
func pair(t *testing.T) (near, far *net.TCPConn, raw syscall.RawConn) {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.DialTCP("tcp", nil, l.Addr().(*net.TCPAddr)); err != nil {
		t.Fatal(err)
	}
	if far, err = l.AcceptTCP(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	if raw, err = near.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	return near, far, raw
}

// TestWakes: bytes, also those that were there before, the end, a reset, a close by this program and the time wake, once each;
// nothing else does.
func TestWakes(t *testing.T) {
	l := newLot(t)
	for what, do := range map[string]func(near, far *net.TCPConn){
		"bytes": func(_, far *net.TCPConn) { _, _ = far.Write([]byte{1}) },
		"end":   func(_, far *net.TCPConn) { _ = far.CloseWrite() },
		"reset": func(_, far *net.TCPConn) { _ = far.SetLinger(0); _ = far.Close() },
		"close": func(near, _ *net.TCPConn) { _ = near.Close() },
		"look":  func(near, _ *net.TCPConn) { _ = near.Close(); l.Look() },
	} {
		near, far, raw := pair(t)
		w := newWoken()
		ticket, err := l.Park(raw, time.Time{}, w)
		if err != nil {
			t.Fatal(err)
		}
		w.quiet(t, what+", before")
		do(near, far)
		w.wait(t, what)
		if l.Leave(ticket) {
			t.Errorf("%s: it is still parked", what)
		}
		w.quiet(t, what+", again")
	}
	_, far, raw := pair(t)
	_, _ = far.Write([]byte{1})
	w := newWoken()
	if _, err := l.Park(raw, time.Time{}, w); err != nil {
		t.Fatal(err)
	}
	w.wait(t, "what was there before")
	_, _, raw = pair(t)
	begin := time.Now()
	const late = lookTime + 100*time.Millisecond // so that one look is not enough
	if _, err := l.Park(raw, begin.Add(late), w); err != nil {
		t.Fatal(err)
	}
	if w.wait(t, "time"); time.Since(begin) < late {
		t.Error("too early")
	}
	if l.Parked() != 0 {
		t.Errorf("%d are parked", l.Parked())
	}
}

// TestParksAgain: a connection is parked again and again, after it was woken and after it was taken back; a ticket that is over
// does nothing to who has the spot now.
func TestParksAgain(t *testing.T) {
	l := newLot(t)
	near, far, raw := pair(t)
	w := newWoken()
	var last Ticket
	for range 20 {
		ticket, err := l.Park(raw, time.Time{}, w)
		if err != nil {
			t.Fatal(err)
		}
		if ticket == last || l.Leave(last) || l.Leave(0) || l.Parked() != 1 {
			t.Fatal("an old ticket is good")
		}
		_, _ = far.Write([]byte{1})
		w.wait(t, "bytes")
		_, _ = near.Read(make([]byte, 9))
		if last, err = l.Park(raw, time.Time{}, w); err != nil || !l.Leave(last) {
			t.Fatal("not taken back", err)
		}
		_, _ = far.Write([]byte{1})
		w.quiet(t, "taken back")
		_, _ = near.Read(make([]byte, 9))
	}
	_ = near.Close()
	if _, err := l.Park(raw, time.Time{}, w); err == nil {
		t.Error("what is closed was parked")
	}
	if l.Parked() != 0 {
		t.Errorf("%d are parked", l.Parked())
	}
}

// TestNothingLeftToTell: what was told of once, or taken back, is not told of for as long as nobody reads it: the watch would never
// rest. No ticket is zero.
func TestNothingLeftToTell(t *testing.T) {
	l := newLot(t)
	near, far, raw := pair(t)
	w := newWoken()
	for _, leave := range []bool{false, true} {
		ticket, err := l.Park(raw, time.Time{}, w)
		if err != nil {
			t.Fatal(err)
		}
		if leave && !l.Leave(ticket) {
			t.Error("woken by nothing")
		}
		_, _ = far.Write([]byte{1})
		if !leave {
			w.wait(t, "bytes")
		}
		w.quiet(t, "again")
		_ = l.raw.Control(func(fd uintptr) {
			poll := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			if n, err := unix.Poll(poll[:], 0); n != 0 || err != nil {
				t.Errorf("taken back %v: there is still something to tell: %d, %v", leave, n, err)
			}
		})
		_, _ = near.Read(make([]byte, 9))
	}
	l.spots[0].turn = math.MaxUint32
	if ticket, err := l.Park(raw, time.Time{}, w); ticket == 0 || err != nil {
		t.Errorf("ticket %d, %v", ticket, err)
	}
}

// TestManyAndTheEnd: hundreds are woken each once, by bytes or by the lot's end, after which nothing is parked any more.
func TestManyAndTheEnd(t *testing.T) {
	l := newLot(t)
	const number = 2*maxEvents + 7
	w := newWoken()
	w.came = make(chan struct{}, 2*number)
	var all []*net.TCPConn
	var last syscall.RawConn
	for range number {
		_, far, raw := pair(t)
		if _, err := l.Park(raw, time.Time{}, w); err != nil {
			t.Fatal(err)
		}
		all, last = append(all, far), raw
	}
	for _, far := range all[:number/2] {
		_, _ = far.Write([]byte{1})
	}
	for range number / 2 {
		w.wait(t, "bytes")
	}
	w.quiet(t, "the others")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	for range number - number/2 {
		w.wait(t, "the lot's end")
	}
	if _, err := l.Park(last, time.Time{}, w); err == nil || int(w.n.Load()) != number {
		t.Errorf("%d woken of %d, parked after the end: %v", w.n.Load(), number, err)
	}
}

// TestUntil: the time of who parked can be changed, for as long as it is there.
func TestUntil(t *testing.T) {
	l := newLot(t)
	_, _, raw := pair(t)
	w := newWoken()
	ticket, err := l.Park(raw, time.Time{}, w)
	if err != nil {
		t.Fatal(err)
	}
	if !l.Has(ticket) || l.Has(0) || l.Has(ticket+1) || l.Until(ticket+1, time.Now()) {
		t.Error("who is parked?")
	}
	if !l.Until(ticket, time.Now().Add(time.Hour)) {
		t.Error("it is not there")
	}
	l.Look()
	w.quiet(t, "long before its time")
	l.Until(ticket, time.Now())
	w.wait(t, "its time")
	if l.Has(ticket) || l.Until(ticket, time.Now()) {
		t.Error("it is still there")
	}
}

// TestWokenInTurn: of many whose time has come at once some are woken after others.
func TestWokenInTurn(t *testing.T) {
	l := newLot(t)
	const number = 4 * wakeLeast
	at := make(chan time.Time, number)
	for range number {
		_, _, raw := pair(t)
		if _, err := l.Park(raw, time.Now().Add(time.Millisecond), tellsWhen(at)); err != nil {
			t.Fatal(err)
		}
	}
	first, last := <-at, time.Time{}
	for range number - 1 {
		last = <-at
	}
	if took := last.Sub(first); took < 2*lookTime/wakeSteps {
		t.Errorf("all within %v", took)
	}
}

// tellsWhen tells when it was woken.
type tellsWhen chan time.Time

func (w tellsWhen) Wake() { w <- time.Now() }
