package transport

import (
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"mpproxy/src/engine/mono"
)

// Datagram is one received datagram. Data belongs to the ReadBatch and is valid until its next use.
type Datagram struct {
	Data    []byte
	Addr    netip.AddrPort // the peer
	Local   netip.Addr     // the address it was sent to, from which an answer must leave
	IfIndex int            // the device it came in by
	At      mono.Time      // when the kernel received it
	ECN     uint8          // the two ECN bits: 0 not-ECT, 1 ECT(1), 2 ECT(0), 3 CE
}

// ReadBatch holds what one UDP.ReadBatch received, and the memory for it (half a megabyte). It belongs to one goroutine.
// The zero value is ready.
type ReadBatch struct {
	// Datagrams is the last batch, in the order of arrival; valid until the next use.
	Datagrams []Datagram

	owner   *UDP
	arena   []byte
	slot    int
	msgs    []unix.Mmsghdr
	iovs    []unix.Iovec
	names   []unix.RawSockaddrInet6
	control [][controlBytes]byte
	stamps  stamps
	drops   uint32 // the kernel's running count of drops, as last seen

	receive func(fd uintptr) (done bool) // made once: a closure per call would be an allocation
	got     int
	errno   unix.Errno
}

// ReadBatch waits for datagrams, fills b and returns how many there are, at least one. After Close it returns net.ErrClosed.
// A second goroutine may not read at the same time.
func (u *UDP) ReadBatch(b *ReadBatch) (n int, err error) {
	if b.owner != u {
		b.attach(u)
	}
	for {
		b.reset()
		if err := u.conn.Read(b.receive); err != nil {
			return 0, u.pollError(err)
		}
		switch {
		case b.errno == 0:
		case transient(b.errno):
			continue
		default:
			return 0, fmt.Errorf("receive on %v: %w", u.local, b.errno)
		}
		wall := time.Now()
		b.stamps.begin(u.clock.At(wall), wall.UnixNano())
		for i := range b.msgs[:b.got] {
			b.split(u, i)
		}
		if len(b.Datagrams) > 0 {
			return len(b.Datagrams), nil
		}
	}
}

// attach cuts the memory into slots as the socket needs them.
func (b *ReadBatch) attach(u *UDP) {
	b.owner, b.slot = u, plainSlotBytes
	if u.gro {
		b.slot = groSlotBytes
	}
	n := readArenaBytes / b.slot
	if b.arena == nil {
		b.arena = make([]byte, readArenaBytes)
		b.Datagrams = make([]Datagram, 0, readDatagrams)
	}
	b.msgs, b.iovs = make([]unix.Mmsghdr, n), make([]unix.Iovec, n)
	b.names, b.control = make([]unix.RawSockaddrInet6, n), make([][controlBytes]byte, n)
	for i := range b.msgs {
		b.iovs[i].Base = &b.arena[i*b.slot]
		b.iovs[i].SetLen(b.slot)
		h := &b.msgs[i].Hdr
		h.Name, h.Control, h.Iov = (*byte)(unsafe.Pointer(&b.names[i])), &b.control[i][0], &b.iovs[i]
		h.SetIovlen(1)
	}
	b.stamps, b.drops = stamps{}, 0
	b.receive = b.recvmmsg
}

// reset makes the headers ready, which the kernel changed: only those it used.
func (b *ReadBatch) reset() {
	b.Datagrams = b.Datagrams[:0]
	used := b.got
	if used == 0 {
		used = len(b.msgs)
	}
	for i := range b.msgs[:used] {
		h := &b.msgs[i].Hdr
		h.Namelen, h.Flags = unix.SizeofSockaddrInet6, 0
		h.SetControllen(controlBytes)
	}
}

// recvmmsg is one try; the poller calls it again when the socket becomes readable.
func (b *ReadBatch) recvmmsg(fd uintptr) (done bool) {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.msgs[0])), uintptr(len(b.msgs)), unix.MSG_DONTWAIT, 0, 0)
	b.got, b.errno = int(n), errno
	if errno != 0 {
		b.got = 0
	}
	return errno != unix.EAGAIN
}

// split makes Datagrams of message i.
func (b *ReadBatch) split(u *UDP, i int) {
	m := &b.msgs[i]
	d := Datagram{Addr: getAddr(&b.names[i]), At: b.stamps.now}
	size := b.parseControl(u, &d, b.control[i][:m.Hdr.Controllen])
	if m.Hdr.Flags&unix.MSG_TRUNC != 0 {
		u.truncated.Add(1)
		return
	}
	data := b.arena[i*b.slot:][:m.Len]
	if size <= 0 || size > len(data) {
		size = len(data)
	}
	for {
		n := min(size, len(data))
		d.Data = data[:n:n]
		b.Datagrams = append(b.Datagrams, d)
		if data = data[n:]; len(data) == 0 {
			return
		}
	}
}

// transient reports errors that say nothing about the socket: an ICMP message about something sent before, or a signal.
func transient(errno unix.Errno) bool {
	switch errno {
	case unix.EINTR, unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENETDOWN, unix.EHOSTDOWN, unix.ENOPROTOOPT, unix.EMSGSIZE:
		return true
	}
	return false
}
