package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// fwSettle is how long the firewall must be quiet before a change is told: a reload is many of them.
	fwSettle = 300 * time.Millisecond
	// fwLook is how often a change is told for the sake of legacy iptables, of which the kernel says nothing.
	fwLook = 10 * time.Second
)

// FirewallWatch tells when the rules of nf_tables changed, and now and then in any case.
type FirewallWatch struct {
	file *os.File
	out  chan struct{}
}

// OpenFirewallWatch begins to listen. The caller runs Run, which also ends it.
func OpenFirewallWatch() (*FirewallWatch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("watch firewall: %w", err)
	}
	w := &FirewallWatch{file: os.NewFile(uintptr(fd), "nfnetlink"), out: make(chan struct{}, 1)}
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, unix.NFNLGRP_NFTABLES)
	}
	if err != nil {
		w.file.Close()
		return nil, fmt.Errorf("watch firewall: %w", err)
	}
	return w, nil
}

// Changes has something after rules changed, ours included.
func (w *FirewallWatch) Changes() <-chan struct{} { return w.out }

// String implements fmt.Stringer.
func (w *FirewallWatch) String() string { return "firewall watch" }

// Run tells of changes until ctx ends, and closes the watch then.
func (w *FirewallWatch) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { w.file.Close() })
	defer stop()
	seen, failed := make(chan struct{}, 1), make(chan error, 1)
	go func() { failed <- w.receive(seen) }()
	quiet, look := stoppedTimer(), time.NewTicker(fwLook)
	defer quiet.Stop()
	defer look.Stop()
	for {
		select {
		case err := <-failed:
			if errors.Is(err, os.ErrClosed) {
				return nil
			}
			return fmt.Errorf("watch firewall: %w", err)
		case <-seen:
			quiet.Reset(fwSettle)
			continue
		case <-quiet.C:
		case <-look.C:
		}
		select {
		case w.out <- struct{}{}:
		default:
		}
	}
}

// receive reads messages until the socket is closed. What they say does not matter.
func (w *FirewallWatch) receive(seen chan<- struct{}) error {
	buf := make([]byte, 64<<10)
	for {
		if _, err := w.file.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		select {
		case seen <- struct{}{}:
		default:
		}
	}
}
