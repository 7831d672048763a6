// Package park waits for what comes on connections that carry nothing for a while, so that these need no goroutine: its
// stack is the most of what an idle connection costs.
//
//	goroutine: waited long enough -> Lot.Park, return ...  socket: readable, ended or failed -> Waker.Wake -> go on
//
// All sockets that are parked are in one epoll set, which the runtime polls like any other file.
package park

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lookTime is how often it is looked whether a parked connection was closed by this program, of which the kernel says
// nothing, or has waited long enough.
const lookTime = time.Second

// tick is what times are counted in, so that they take little room.
const tick = 100 * time.Millisecond

// wakeSteps is in how many parts, of wakeLeast at least, those are woken, over the time until the next look, whose time has come:
// they have work to do, and all at once would need memory for all.
const (
	wakeSteps = 50
	wakeLeast = 16
)

// maxEvents is how many events are taken from the kernel at a time.
const maxEvents = 128

// Waker is who goes on when something has come.
type Waker interface {
	// Wake is called once for each Park that was not left: from any goroutine, and it must not wait.
	Wake()
}

// Ticket names a parking; zero is none.
type Ticket uint64

// Lot is where connections are parked. Make it with New. Safe for concurrent use.
type Lot struct {
	epoll *os.File
	raw   syscall.RawConn
	begin time.Time
	mu    sync.Mutex // guards what follows
	spots []spot
	free  []uint32
	taken int
	timer *time.Timer // of the next look; nil while nothing is parked
	over  bool
}

// spot is one place.
type spot struct {
	conn  syscall.RawConn
	waker Waker  // nil: free
	until uint32 // in ticks after the lot's begin; 0: never
	turn  uint32 // tells those apart who had it
}

// New returns an empty lot. The error is the system's: no more files, or no epoll.
func New() (*Lot, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		if err = unix.SetNonblock(fd, true); err != nil {
			_ = unix.Close(fd)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make lot for idle connections: %w", err)
	}
	l := &Lot{epoll: os.NewFile(uintptr(fd), "epoll"), begin: time.Now()}
	if l.raw, err = l.epoll.SyscallConn(); err != nil {
		_ = l.epoll.Close()
		return nil, fmt.Errorf("make lot for idle connections: %w", err)
	}
	go l.watch()
	return l, nil
}

// Close wakes all; nothing can be parked any more.
func (l *Lot) Close() error {
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.Look()
	return l.epoll.Close()
}

// Parked is how many there are.
func (l *Lot) Parked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// Park has w woken when there is something to read on conn, its end or an error, at the given time at the latest (zero:
// never), and within a second if it is closed. After an error nothing was parked.
func (l *Lot) Park(conn syscall.RawConn, until time.Time, w Waker) (Ticket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return 0, os.ErrClosed
	}
	if len(l.free) == 0 {
		l.spots = append(l.spots, spot{})
		l.free = append(l.free, uint32(len(l.spots)-1))
	}
	at := l.free[len(l.free)-1]
	s := &l.spots[at]
	s.turn++
	if s.turn == 0 {
		s.turn = 1 // so that no ticket is zero
	}
	var failed error
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(at), Pad: int32(s.turn)}
	err := conn.Control(func(fd uintptr) { failed = l.arm(int(fd), &event) })
	if err = errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("park connection: %w", err)
	}
	l.free = l.free[:len(l.free)-1]
	s.conn, s.waker, s.until = conn, w, l.after(until)
	l.taken++
	if l.timer == nil {
		l.timer = time.AfterFunc(lookTime, l.lookAgain)
	}
	return Ticket(uint64(at)<<32 | uint64(s.turn)), nil
}

// arm has the kernel tell of the next event of a socket: it may be in the set from an earlier time.
func (l *Lot) arm(fd int, event *unix.EpollEvent) (err error) {
	failed := l.raw.Control(func(epoll uintptr) {
		if err = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_MOD, fd, event); errors.Is(err, unix.ENOENT) {
			err = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, fd, event)
		}
	})
	return errors.Join(failed, err)
}

// forget takes a socket out of the set that is about to be closed while a copy of it lives on.
func (l *Lot) forget(fd int) {
	_ = l.raw.Control(func(epoll uintptr) { _ = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_DEL, fd, nil) }) // it may not be there
}

// Leave takes a parking back. It reports whether that was in time: else the waker has been, or is being, woken.
func (l *Lot) Leave(t Ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.vacate(t) != nil
}

// Has reports whether who parked is still there: not left, and not woken.
func (l *Lot) Has(t Ticket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spotOf(t) != nil
}

// Until has who parked be woken at a time at the latest (zero: never), instead of what was said before; false if who parked is not
// there any more.
func (l *Lot) Until(t Ticket, until time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.spotOf(t)
	if s != nil {
		s.until = l.after(until)
	}
	return s != nil
}

// spotOf is the spot of who parked; nil if that is not there any more. With the lock held.
func (l *Lot) spotOf(t Ticket) *spot {
	at := uint64(t >> 32)
	if t == 0 || at >= uint64(len(l.spots)) || l.spots[at].waker == nil || l.spots[at].turn != uint32(t) {
		return nil
	}
	return &l.spots[at]
}

// after is a time as spots have it.
func (l *Lot) after(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(max(1, (t.Sub(l.begin)+tick-1)/tick))
}

// vacate frees a spot and returns who had it, nil if it was not this ticket's; with the lock held.
func (l *Lot) vacate(t Ticket) Waker {
	s := l.spotOf(t)
	if s == nil {
		return nil
	}
	w := s.waker
	s.conn, s.waker = nil, nil
	l.free = append(l.free, uint32(t>>32))
	l.taken--
	return w
}

// watch wakes those on whose connections something has come.
func (l *Lot) watch() {
	var events [maxEvents]unix.EpollEvent
	for {
		n := 0
		err := l.raw.Read(func(epoll uintptr) bool {
			n, _ = unix.EpollWait(int(epoll), events[:], 0) // what fails now is tried again after the next event
			return n > 0
		})
		if err != nil {
			return // closed
		}
		for _, e := range events[:n] {
			l.mu.Lock()
			w := l.vacate(Ticket(uint64(uint32(e.Fd))<<32 | uint64(uint32(e.Pad))))
			l.mu.Unlock()
			if w != nil {
				w.Wake()
			}
		}
	}
}

// Look wakes at once those whose connections were closed, or whose time has come.
func (l *Lot) Look() {
	for _, w := range l.due() {
		w.Wake()
	}
}

// due takes those who are to be woken.
func (l *Lot) due() (wake []Waker) {
	now := uint32(time.Since(l.begin) / tick)
	l.mu.Lock()
	defer l.mu.Unlock()
	for at := range l.spots {
		s := &l.spots[at]
		if s.waker == nil {
			continue
		}
		if l.over || s.until != 0 && now >= s.until || s.conn.Control(func(uintptr) {}) != nil {
			wake = append(wake, l.vacate(Ticket(uint64(at)<<32|uint64(s.turn))))
		}
	}
	return wake
}

// lookAgain is Look for as long as somebody is parked.
func (l *Lot) lookAgain() {
	wake := l.due()
	each := max(len(wake)/wakeSteps, wakeLeast)
	for len(wake) > 0 {
		n := min(len(wake), each)
		for _, w := range wake[:n] {
			w.Wake()
		}
		if wake = wake[n:]; len(wake) > 0 {
			time.Sleep(lookTime / wakeSteps)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken == 0 || l.over {
		l.timer = nil
		return
	}
	l.timer.Reset(lookTime)
}
