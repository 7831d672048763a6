package portal

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"mpproxy/src/engine/packet"
)

const (
	mebibyte = 1 << 20
	// defaultMemory is the most that the daemon takes unless it is told otherwise; memoryShare is its part of a small
	// machine's memory, and leastMemory what it cannot do without.
	defaultMemory = 64 * mebibyte
	memoryShare   = 4
	leastMemory   = 20 * mebibyte
	// programMemory is what the program, its stacks, tables and socket arenas take beside the packet buffers.
	programMemory = 16 * mebibyte
	// outsideMemory is resident but not Go's: the program's own pages.
	outsideMemory = 6 * mebibyte
	// queueMost bounds each of a tunnel's three stores (queue, repair, lanes): more is only delay.
	queueMost = 8 * mebibyte
)

// memory is how the daemon divides what it may take.
type memory struct {
	goLimit int64 // for the Go runtime
	bufs    int   // in the packet pool
	store   int   // bytes of inner packets in each of a tunnel's three stores
}

// divideMemory divides limit bytes, 0 meaning a quarter of the machine's memory, at most 64 MiB.
func divideMemory(limit, machine int64) memory {
	if limit <= 0 {
		limit = min(defaultMemory, machine/memoryShare)
	}
	limit = max(limit, leastMemory)
	buffers := limit - programMemory
	return memory{
		goLimit: limit - outsideMemory,
		bufs:    int(buffers / bufMemory),
		// Packets take their buffer whatever their length: full ones fill two thirds of it. A quarter stays for what is
		// under way between the rooms.
		store: int(min(buffers/6, queueMost)),
	}
}

// bufMemory is what a packet buffer takes of the heap, rounded up as Go's allocator does.
const bufMemory = (int64(unsafe.Sizeof(packet.Buf{})) + 255) / 256 * 256

// machineMemory is how much memory there is, in bytes; what cannot be found out counts as plenty.
func machineMemory() int64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return memoryShare * defaultMemory
	}
	return int64(info.Totalram) * int64(info.Unit)
}
