package transport

import (
	"net/netip"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// writer is the memory of WriteBatch: messages, their pieces, and what stands beside them.
type writer struct {
	to    netip.AddrPort
	from  netip.Addr
	tos   uint8
	name  unix.RawSockaddrInet6
	namel uint32

	msgs    [writeMessages]unix.Mmsghdr
	iovs    [maxSegments * 2]unix.Iovec
	control [writeMessages][writeControlSize]byte
	count   [writeMessages]int // datagrams in each message
	n       int                // messages planned
	singly  int                // the next so many datagrams were refused as one message: each goes alone
	refused int                // how many they were

	transmit func(fd uintptr) (done bool) // made once: a closure per call would be an allocation
	sent     int
	errno    unix.Errno
	// sendmmsg is the system call; tests put refusals in its place.
	sendmmsg func(fd uintptr, msgs []unix.Mmsghdr) (int, unix.Errno)
}

func (w *writer) init(u *UDP) {
	for i := range w.msgs {
		w.msgs[i].Hdr.Name = (*byte)(unsafe.Pointer(&w.name))
	}
	w.sendmmsg = sendmmsg
	w.transmit = func(fd uintptr) bool {
		w.sent, w.errno = w.sendmmsg(fd, w.msgs[:w.n])
		return true
	}
}

func sendmmsg(fd uintptr, msgs []unix.Mmsghdr) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&msgs[0])), uintptr(len(msgs)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// WriteBatch sends the datagrams segs to one peer, in order, with as few system calls as can be: equal sizes behind each
// other (the last may be shorter) are sent as one message. The pieces need not lie together; where they do, they are
// handed to the kernel as one.
//
// from is the source address, or the zero Addr to let the kernel choose; tos is the traffic class byte (DSCP << 2 | ECN).
// sent counts the datagrams handed to the kernel. Error, if sent < len(segs), about segs[sent]: ErrBusy (not loss: try
// again), *TooBigError (may go on behind it), ErrUnreachable, ErrRefused, net.ErrClosed. segs is not kept. It never waits.
func (u *UDP) WriteBatch(to netip.AddrPort, from netip.Addr, tos uint8, segs [][]byte) (sent int, err error) {
	u.write.Lock()
	defer u.write.Unlock()
	defer runtime.KeepAlive(segs) // pieces that touch are known to the kernel by the first one's address only
	w := &u.write.writer
	w.to, w.from, w.tos = to, from, tos
	if w.namel = putAddr(&w.name, to, u.v6); w.namel == 0 {
		return 0, sendError(to, 0, unix.EAFNOSUPPORT)
	}
	w.singly = 0
	for sent < len(segs) {
		limit, todo := int(u.segments.Load()), segs[sent:]
		if w.singly > 0 {
			limit, todo = 1, todo[:w.singly]
		}
		w.plan(todo, limit)
		if err := u.conn.Write(w.transmit); err != nil {
			return sent, u.pollError(err)
		}
		switch {
		case w.errno == 0:
			sent += u.settle(w.datagrams(w.sent))
		case !u.fallBack(w.errno, w.count[0]):
			return sent, sendError(to, len(segs[sent]), w.errno)
		}
	}
	return sent, nil
}

// fallBack decides what to do about a refused message of n datagrams, and reports whether there is another way to try.
func (u *UDP) fallBack(errno unix.Errno, n int) bool {
	switch {
	case errno == unix.EINTR:
	case n < 2:
		return false
	case errno == unix.EIO: // the device or the kernel cannot do it for this socket
		u.segments.Store(1)
	case errno == unix.EMSGSIZE || errno == unix.EINVAL: // their size or their number
		u.write.singly, u.write.refused = n, n
	default:
		return false
	}
	return true
}

// settle notes that done datagrams were sent, and returns done. Datagrams refused as one message that each went well alone
// were too many.
func (u *UDP) settle(done int) int {
	w := &u.write.writer
	if w.singly == 0 {
		return done
	}
	if w.singly -= done; w.singly == 0 {
		u.segments.Store(int32(max(1, w.refused/2)))
	}
	return done
}

// plan makes messages of at most limit datagrams out of segs, as many as there is room for.
func (w *writer) plan(segs [][]byte, limit int) {
	w.n = 0
	iov := 0
	for len(segs) > 0 && w.n < len(w.msgs) {
		run := min(runLength(segs, limit), len(w.iovs)-iov)
		if run == 0 {
			break
		}
		h := &w.msgs[w.n].Hdr
		h.Iov = &w.iovs[iov]
		pieces := w.gather(iov, segs[:run])
		h.SetIovlen(pieces)
		iov += pieces
		h.Namelen = w.namel
		w.putControl(h, segs[0], run)
		w.count[w.n] = run
		w.n++
		segs = segs[run:]
	}
}

// putControl writes the control messages of message w.n.
func (w *writer) putControl(h *unix.Msghdr, first []byte, run int) {
	size := 0
	if run > 1 {
		size = len(first)
	}
	c := putControl(w.control[w.n][:0], w.to.Addr(), w.from, w.tos, size)
	h.Control = nil
	if len(c) > 0 {
		h.Control = &w.control[w.n][0]
	}
	h.SetControllen(len(c))
}

// gather fills iovs from at on with segs and returns how many it took: pieces that touch become one.
func (w *writer) gather(at int, segs [][]byte) int {
	n := 0
	var end uintptr
	for _, s := range segs {
		p := unsafe.SliceData(s)
		if n > 0 && uintptr(unsafe.Pointer(p)) == end {
			v := &w.iovs[at+n-1]
			v.SetLen(int(v.Len) + len(s))
		} else {
			v := &w.iovs[at+n]
			v.Base = p
			v.SetLen(len(s))
			n++
		}
		end = uintptr(unsafe.Pointer(p)) + uintptr(len(s))
	}
	return n
}

// runLength says how many of segs go into one message: at most limit, all of the first one's size but for a shorter last.
func runLength(segs [][]byte, limit int) int {
	size := len(segs[0])
	n, total := 1, size
	for n < min(limit, len(segs)) && size > 0 {
		l := len(segs[n])
		if l == 0 || l > size || total+l > maxMessageBytes {
			break
		}
		n++
		total += l
		if l < size {
			break
		}
	}
	return n
}

// datagrams counts those in the first n messages.
func (w *writer) datagrams(n int) int {
	total := 0
	for _, c := range w.count[:n] {
		total += c
	}
	return total
}
