package system

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"

	"mpproxy/src/engine/packet"
)

// TUN is the device through which inner packets enter and leave. One goroutine may read while one other writes.
type TUN struct {
	device tun.Device
	name   string

	// The reader's: Bufs ready to be filled, and what the device sees of them. A place without a Buf shows spill.
	ready []*packet.Buf
	rooms [][]byte
	sizes []int
	spill []byte

	joiner joiner   // the writer's
	out    [][]byte // the writer's: what the device gets

	noBuffer  atomic.Uint64
	malformed atomic.Uint64
}

// TUNStats counts what a TUN could not deliver.
type TUNStats struct {
	NoBuffer  uint64 // packets read and dropped because the pool was empty
	Malformed uint64 // super-packets that could not be cut into packets
}

// OpenTUN makes the device, which lives until Close. mtu is in bytes, at most packet.MaxBytes. The device is not up yet.
func OpenTUN(name string, mtu int) (*TUN, error) { return openTUN(name, mtu, unix.IFF_VNET_HDR) }

// OpenPlainTUN is OpenTUN without offloads: each packet goes through the device on its own.
func OpenPlainTUN(name string, mtu int) (*TUN, error) { return openTUN(name, mtu, 0) }

// openTUN opens a device; flags are those beside the ones it always has.
func openTUN(name string, mtu int, flags uint16) (*TUN, error) {
	if mtu < 576 || mtu > packet.MaxBytes {
		return nil, fmt.Errorf("open TUN %s: MTU %d is not within 576..%d", name, mtu, packet.MaxBytes)
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/net/tun: %w (is the tun module there, and may we use it?)", err)
	}
	if err := claim(fd, name, flags); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open TUN %s: %w", name, err)
	}
	// "Unmonitored" leaves out two goroutines that report up, down and MTU: Watch sees the same.
	device, name, err := tun.CreateUnmonitoredTUNFromFD(fd)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open TUN %s: %w", name, err)
	}
	if err := size(name, mtu); err != nil {
		device.Close()
		return nil, fmt.Errorf("open TUN %s: %w", name, err)
	}
	return newTUN(device, name), nil
}

func newTUN(device tun.Device, name string) *TUN {
	return &TUN{
		device: device,
		name:   name,
		ready:  make([]*packet.Buf, tunReadSegments),
		rooms:  make([][]byte, tunReadSegments),
		sizes:  make([]int, tunReadSegments),
		spill:  make([]byte, packet.MaxBytes),
		out:    make([][]byte, 0, tunReadSegments),
	}
}

// claim makes fd the device's. With IFF_VNET_HDR packets have virtio headers, and may come joined.
func claim(fd int, name string, flags uint16) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("device name: %w", err)
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | flags)
	return unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
}

func size(name string, mtu int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find it: %w", err)
	}
	if err := netlink.LinkSetMTU(link, mtu); err != nil {
		return fmt.Errorf("set MTU %d: %w", mtu, err)
	}
	if err := netlink.LinkSetTxQLen(link, tunQueuePackets); err != nil {
		return fmt.Errorf("set queue length: %w", err)
	}
	return nil
}

// Name returns the device's name.
func (t *TUN) Name() string { return t.name }

// BatchSize is the least length of the batch given to Read.
func (t *TUN) BatchSize() int { return tunReadSegments }

// Stats returns the counters. Safe for concurrent use.
func (t *TUN) Stats() TUNStats {
	return TUNStats{NoBuffer: t.noBuffer.Load(), Malformed: t.malformed.Load()}
}

// Close removes the device. A Read that waits returns os.ErrClosed. Bufs held ready are released by the last Read.
func (t *TUN) Close() error { return t.device.Close() }

// Read waits for packets and puts them into batch, whose length must be at least BatchSize; the caller owns one reference
// of each. It always drains the device: packets for which the pool has no Buf are dropped and counted, so n may be 0
// without an error. It holds up to BatchSize Bufs of the pool between calls. After Close it returns os.ErrClosed.
func (t *TUN) Read(pool *packet.Pool, batch []*packet.Buf) (n int, err error) {
	_ = batch[tunReadSegments-1]
	for i, b := range t.ready {
		if b == nil {
			b = pool.Get()
		}
		t.ready[i], t.rooms[i] = b, t.spill
		if b != nil {
			t.rooms[i] = b.Room()
		}
	}
	got, err := t.device.Read(t.rooms, t.sizes, 0)
	if err != nil && !t.survives(err) {
		t.releaseReady()
		return 0, err
	}
	for i := range got {
		b, size := t.ready[i], t.sizes[i]
		if b == nil || size > packet.MaxBytes {
			t.noBuffer.Add(1)
			continue
		}
		t.ready[i] = nil
		b.SetLen(size)
		batch[n] = b
		n++
	}
	return n, nil
}

// survives reports whether a read error is about one packet only, and counts it then.
func (t *TUN) survives(err error) bool {
	var errno unix.Errno
	if errors.Is(err, os.ErrClosed) || errors.As(err, &errno) {
		return false
	}
	t.malformed.Add(1)
	return true
}

func (t *TUN) releaseReady() {
	for i, b := range t.ready {
		if b != nil {
			b.Release()
			t.ready[i] = nil
		}
	}
}

// Write hands packets to the kernel, in order, joining those of one flow. It keeps no reference: the caller releases the
// Bufs afterwards as without it. The bytes of a Buf that has no other reference may be changed by it. An error names
// packets the kernel refused; the others were written. After Close it returns os.ErrClosed.
func (t *TUN) Write(batch []*packet.Buf) error {
	var failed error
	for len(batch) > 0 {
		n := min(len(batch), tunReadSegments)
		t.out = t.joiner.arrange(batch[:n], t.out[:0])
		if _, err := t.device.Write(t.out, tunHeaderBytes); err != nil {
			failed = fmt.Errorf("write to TUN %s: %w", t.name, err)
			if errors.Is(err, os.ErrClosed) {
				return failed
			}
		}
		batch = batch[n:]
	}
	return failed
}
