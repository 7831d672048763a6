package system

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// lastCapability is above all that kernels know; what one does not know is no error.
const lastCapability = 63

// DropPrivileges gives up, for this process and all it will start, every capability but those to change the network, to
// use raw sockets and low ports, and to run a hook as somebody else. The user stays the same: root's files stay within
// reach, nobody else's. Without root there is nothing to give up. It cannot be taken back.
func DropPrivileges() error {
	if unix.Geteuid() != 0 {
		return nil
	}
	var keep uint64
	for _, c := range []uint{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_KILL} {
		keep |= 1 << c
	}
	for c := uint(0); c <= lastCapability; c++ {
		if keep&(1<<c) != 0 || c == unix.CAP_SETPCAP { // needed until the end
			continue
		}
		if err := everyThread(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c)); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("give up capability %d: %w", c, err)
		}
	}
	if err := everyThread(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, unix.CAP_SETPCAP); err != nil {
		return fmt.Errorf("give up capability %d: %w", unix.CAP_SETPCAP, err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3} // pid 0: the calling thread
	data := [2]unix.CapUserData{}
	for i := range data {
		half := uint32(keep >> (32 * i))
		data[i] = unix.CapUserData{Effective: half, Permitted: half}
	}
	// The conversions must stand in this very call, or what they point to may move.
	if _, _, err := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0); err != 0 {
		return fmt.Errorf("give up capabilities: %w", err)
	}
	return nil
}

// everyThread makes a system call on every thread of the process: capabilities are a thread's.
func everyThread(number, a, b uintptr) error {
	if _, _, err := syscall.AllThreadsSyscall(number, a, b, 0); err != 0 {
		return err
	}
	return nil
}
