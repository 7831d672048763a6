package lab

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// openTUN makes a TUN device in a namespace and returns its non-blocking descriptor: one IP packet per read and write.
func openTUN(namespace, name string) (int, error) {
	fd := -1
	err := inside(namespace, func() error {
		var err error
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return fmt.Errorf("name device: %w", err)
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			return fmt.Errorf("make TUN device %s in %s: %w", name, namespace, err)
		}
		return nil
	})
	if err != nil && fd >= 0 {
		unix.Close(fd)
		fd = -1
	}
	return fd, err
}
