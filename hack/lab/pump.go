package lab

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/engine/mono"
	"mpproxy/src/linksim"
)

// Now returns the kernel's monotonic clock: the same for all processes of the lab.
func Now() mono.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // cannot fail for this clock
	}
	return mono.Time(ts.Nano())
}

const (
	frameBytes = 2048 // room for one packet at the devices' MTU of 1500
	batch      = 64   // packets read per turn, so that deliveries never wait long
)

// frame is a packet on its way.
type frame struct {
	n    int
	data [frameBytes]byte
}

// pump moves packets from one TUN device to another through a link, in real time. One thread does it all, waiting
// in ppoll for a packet or for the next delivery: the kernel's high-resolution timer is exact to some 60 us (slack
// included), which no Go timer is.
type pump struct {
	from, to int // descriptors of the devices; not owned
	wake     int // eventfd: look again
	mu       sync.Mutex
	link     *linksim.Link[*frame] // under mu
	free     []*frame              // under mu
	refused  uint64                // packets the receiving device did not take; under mu
	late     time.Duration         // longest delay of a delivery behind its time; under mu
	stop     bool                  // under mu
	done     chan struct{}
}

func newPump(from, to int, p linksim.Params, rng *rand.Rand) (*pump, error) {
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make eventfd: %w", err)
	}
	p0 := &pump{from: from, to: to, wake: wake, link: linksim.New[*frame](p, rng), done: make(chan struct{})}
	p0.link.Dropped = p0.give
	return p0, nil
}

func (p *pump) start() { go p.run() }

// close stops the thread and waits for it.
func (p *pump) close() {
	p.change(func(*linksim.Link[*frame], mono.Time) { p.stop = true })
	<-p.done
	unix.Close(p.wake)
}

// change works on the link between two turns.
func (p *pump) change(f func(link *linksim.Link[*frame], now mono.Time)) {
	p.mu.Lock()
	f(p.link, Now())
	p.mu.Unlock()
	_, _ = unix.Write(p.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // can only fail if a wake-up is pending already
}

func (p *pump) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // ns; without it deliveries are 50 us later, no more
	fds := []unix.PollFd{{Fd: int32(p.from), Events: unix.POLLIN}, {Fd: int32(p.wake), Events: unix.POLLIN}}
	var junk [8]byte
	for {
		next, stop := p.turn()
		if stop {
			return
		}
		var timeout *unix.Timespec
		if next != mono.Never {
			wait := unix.NsecToTimespec(max(0, int64(next.Sub(Now()))))
			timeout = &wait
		}
		_, _ = unix.Ppoll(fds, timeout, nil) // an error (EINTR) only means another turn
		if fds[1].Revents != 0 {
			_, _ = unix.Read(p.wake, junk[:])
		}
	}
}

// turn delivers what is due, takes what has come, and returns when the next delivery is due.
func (p *pump) turn() (next mono.Time, stop bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if due := p.link.Next(); due != mono.Never {
		p.late = max(p.late, Now().Sub(due))
	}
	p.deliver()
	for range batch {
		f := p.take()
		n, err := unix.Read(p.from, f.data[:])
		if err != nil {
			p.give(f)
			break
		}
		f.n = n
		if !p.link.Send(Now(), n, f) {
			p.give(f)
		}
	}
	p.deliver()
	return p.link.Next(), p.stop
}

func (p *pump) deliver() {
	for {
		f, ok := p.link.Receive(Now())
		if !ok {
			return
		}
		if _, err := unix.Write(p.to, f.data[:f.n]); err != nil {
			p.refused++
		}
		p.give(f)
	}
}

func (p *pump) take() *frame {
	if n := len(p.free); n > 0 {
		f := p.free[n-1]
		p.free = p.free[:n-1]
		return f
	}
	return new(frame)
}

func (p *pump) give(f *frame) { p.free = append(p.free, f) }
