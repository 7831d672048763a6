package system

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"

	nfnetlink "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tablesGroup is NFNLGRP_NFTABLES: changes of nft tables, chains, rules.
const tablesGroup = 7

// openTableWatch listens to changes of nft tables; nil where that cannot be.
func openTableWatch() *os.File {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil
	}
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, tablesGroup)
	}
	if err != nil {
		unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "nfnetlink")
}

// receiveTables tells of losses in our tables until the socket is closed. Messages that were dropped count as a loss.
func (w *Watch) receiveTables(ctx context.Context, notes chan<- note) {
	buf := make([]byte, 64<<10)
	for {
		n, err := w.tables.Read(buf)
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		if err == nil && !tableLost(buf[:n]) {
			continue
		}
		if err != nil {
			w.lost.Add(1)
		}
		select {
		case notes <- note{changed: true, events: []Event{{Kind: TableGone}}}:
		case <-ctx.Done():
			return
		}
	}
}

// tableLost reports whether something of a table of ours was deleted, by whomever.
func tableLost(buf []byte) bool {
	messages, err := syscall.ParseNetlinkMessage(buf)
	if err != nil {
		return true
	}
	const nft, family = unix.NFNL_SUBSYS_NFTABLES << 8, 4 // struct nfgenmsg is in front of the attributes
	for _, m := range messages {
		switch m.Header.Type {
		case nft | unix.NFT_MSG_DELTABLE, nft | unix.NFT_MSG_DELCHAIN, nft | unix.NFT_MSG_DELRULE:
		default:
			continue
		}
		if len(m.Data) < family {
			return true
		}
		attributes, err := nfnetlink.NewAttributeDecoder(m.Data[family:])
		if err != nil {
			return true
		}
		for attributes.Next() {
			const table = unix.NFTA_TABLE_NAME // the same number in all three
			if attributes.Type() == table && strings.HasPrefix(attributes.String(), ruleComment) {
				return true
			}
		}
	}
	return false
}
