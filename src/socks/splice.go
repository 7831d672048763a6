package socks

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// pipe is where the kernel keeps what it moves from one connection to another. Nothing is in it while it waits.
type pipe struct{ r, w int }

// pipes are those that wait, pipesOut is how many do not.
var (
	pipes    = make(chan pipe, keptPipes)
	pipesOut atomic.Int64
)

// errNoPipe means that there is no pipe for this moment.
var errNoPipe = errors.New("make pipe: there are enough")

// takePipe takes one. It is put back, or closed.
func takePipe() (p pipe, err error) {
	out := pipesOut.Add(1)
	defer func() {
		if err != nil {
			pipesOut.Add(-1)
		}
	}()
	if out > MaxPipes {
		return pipe{}, errNoPipe
	}
	select {
	case p := <-pipes:
		return p, nil
	default:
	}
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		return pipe{}, fmt.Errorf("%w as the system allows: %w", errNoPipe, err)
	}
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeBytes) // what it has by itself does, too
	return pipe{fds[0], fds[1]}, nil
}

// put gives an empty pipe back.
func (p pipe) put() {
	select {
	case pipes <- p:
		pipesOut.Add(-1)
	default:
		p.close()
	}
}

func (p pipe) close() {
	_, _ = unix.Close(p.r), unix.Close(p.w)
	pipesOut.Add(-1)
}

// portion is how much a pipe is filled with: all of them together hold a bounded amount, however many targets stall.
func portion() int { return min(pipeBytes, max(pipeMemory/int(pipesOut.Load()), leastChunk)) }

// errNoSplice means that the kernel does not move bytes between these two by itself.
var errNoSplice = errors.New("relay: no splicing here")

// splice waits until something has come and lets the kernel move it; none and no error mean the end. No pipe waits with
// it, and none is filled for a target that takes nothing.
func (d *direction) splice() (n int, err error) {
	if d.fluent == 0 {
		if err := d.roomy(); err != nil {
			return 0, err
		}
	}
	var p pipe
	var failed error
	err = d.from().tcp().Raw().Read(func(fd uintptr) bool {
		if p, failed = takePipe(); failed != nil {
			return true
		}
		if n, failed = d.spliced(int(fd), p.w, portion()); failed != nil || n == 0 {
			p.put()
		}
		return !errors.Is(failed, unix.EAGAIN)
	})
	switch {
	case err != nil:
		return 0, err
	case errors.Is(failed, unix.EINVAL):
		return 0, errNoSplice
	case failed != nil || n == 0:
		return 0, failed
	}
	return n, d.drain(p, n)
}

// drain moves what is in the pipe to the target.
func (d *direction) drain(p pipe, left int) error {
	d.fluent++
	err := d.patiently(func() error {
		var failed error
		err := d.to().tcp().Raw().Write(func(fd uintptr) bool {
			for left > 0 {
				n, err := d.spliced(p.r, int(fd), left)
				if errors.Is(err, unix.EAGAIN) {
					d.fluent = 0
					return false
				}
				if failed = err; failed != nil {
					return true
				}
				left -= n
			}
			return true
		})
		return errors.Join(failed, err)
	})
	if err != nil {
		p.close() // with what is left in it
		return err
	}
	p.put()
	return nil
}

// spliced moves at most so many bytes, at once, and at most what takes about callTime. The runtime is not told of the call,
// which never waits: of calls of more than 20 microseconds it thinks that they do, and has other threads take this one's
// place, again and again.
func (d *direction) spliced(from, to, most int) (int, error) {
	d.portion = max(d.portion, copyBytes)
	most = min(most, d.portion)
	begin := time.Now()
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SPLICE, uintptr(from), 0, uintptr(to), 0, uintptr(most), unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return 0, errno
		}
		switch took := time.Since(begin); {
		case took > callTime:
			d.portion /= 2
		case took < callTime/2 && int(n) == d.portion:
			d.portion = min(2*d.portion, pipeBytes)
		}
		return int(n), nil
	}
}

// polled reports whether a socket has one of the events now, or an error.
func polled(fd uintptr, events int16) bool {
	poll := [1]unix.PollFd{{Fd: int32(fd), Events: events}}
	n, err := unix.Poll(poll[:], 0)
	return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
}
