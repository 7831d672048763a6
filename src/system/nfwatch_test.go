package system

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestWatchTellsOfTables: what others take from our tables comes at once, what is theirs does not.
func TestWatchTellsOfTables(t *testing.T) {
	needNamespace(t)
	needProgram(t, "nft")
	w, err := OpenWatch()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- w.Run(ctx) }()
	defer func() {
		cancel()
		for range w.Changes() {
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	told := func(limit time.Duration) bool {
		late := time.After(limit)
		for {
			select {
			case e := <-w.Changes():
				if e.Kind == TableGone {
					return true
				}
			case <-late:
				return false
			}
		}
	}
	const chain = "chain forward { type filter hook forward priority 0; policy accept; accept; }"
	loadTable(t, "foreign", chain)
	loadTable(t, "mpproxy_guard", chain)
	runCommand(t, "nft", "delete", "table", "inet", "foreign")
	if told(100 * time.Millisecond) {
		t.Error("told of somebody else's table")
	}
	for _, line := range [][]string{{"flush", "chain", "inet", "mpproxy_guard", "forward"}, {"delete", "table", "inet", "mpproxy_guard"}} {
		runCommand(t, "nft", line...)
		if !told(500 * time.Millisecond) {
			t.Errorf("not told of %v", line)
		}
	}
	if e := (Event{Kind: TableGone}); e.Kind.String() != "table gone" {
		t.Error(e.Kind)
	}
}

// TestTableLostReadsAnything: messages cut anywhere are losses or nothing, never a crash.
func TestTableLostReadsAnything(t *testing.T) {
	native := binary.NativeEndian
	message := native.AppendUint32(nil, 36) // length, type, flags, sequence, port
	message = native.AppendUint16(message, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_DELTABLE)
	message = append(message, make([]byte, 10)...)
	message = append(message, unix.NFPROTO_INET, 0, 0, 0) // struct nfgenmsg
	message = native.AppendUint16(native.AppendUint16(message, 16), unix.NFTA_TABLE_NAME)
	message = append(message, "mpproxy_dns\x00"...)
	if !tableLost(message) {
		t.Error("a deleted table of ours is no loss")
	}
	for i := range message {
		tableLost(message[:i])
		broken := append([]byte(nil), message...)
		broken[i] ^= 0xff
		tableLost(broken)
	}
	message[24] = 'x'
	if tableLost(message) {
		t.Error("somebody else's table is our loss")
	}
}
