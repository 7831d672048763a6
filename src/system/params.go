package system

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// Protocol tags our routes and rules (rtm_protocol, FRA_PROTOCOL). 158 stands neither in the kernel's rtnetlink.h nor in
	// iproute2's rt_protos.
	Protocol = 158
	// ruleComment tags every rule of our nft table.
	ruleComment = "mpproxy"
	// mainTable is the kernel's table main (RT_TABLE_MAIN).
	mainTable = 254

	// tcpOverIPv4Bytes and tcpOverIPv6Bytes are the headers between MTU and MSS.
	tcpOverIPv4Bytes = 20 + 20
	tcpOverIPv6Bytes = 40 + 20

	// tunQueuePackets is the TUN's transmit queue: the reader drains it always, and a full one is a tail drop nobody
	// manages. The kernel's 500 is short for a burst of small packets.
	tunQueuePackets = 1000
	// tunReadSegments is how many packets one super-packet may be cut into; wireguard/tun asks for as many buffers.
	tunReadSegments = 128
	// tunHeaderBytes is the virtio header in front of each packet written.
	tunHeaderBytes = 10
	// joinAreas x joinAreaBytes is the memory in which packets of one flow are joined before they are written: 512 KB.
	joinAreas     = 8
	joinAreaBytes = 65535 + tunHeaderBytes
	// copyBytes holds one packet that others still read, with the header in front.
	copyBytes = 2048 + tunHeaderBytes

	// settleTime is how long after the last change of addresses, routes or rules an event is given: a restart of the
	// network flushes in bursts.
	settleTime = 200 * time.Millisecond
	// settleLimit is how long changes that never settle may put the event off.
	settleLimit = 800 * time.Millisecond
	// recheckTime is when a second event follows after rules of ours were deleted: repairs made in the burst may be lost again.
	recheckTime = 2 * time.Second
)

// Params names everything of ours on a system. DefaultParams gives what is right unless another program uses the numbers.
type Params struct {
	Table        int    // routing table whose default route is the TUN
	LinkTable    int    // routing table of link 0; link i has LinkTable + i
	MarkStep     uint32 // mark of link 0; link i has (i+1) times as much
	MarkMask     uint32 // the bits of a mark that are ours
	LinkPriority int    // priority of the rule of link 0; link i has LinkPriority + i
	LANPriority  int    // priority of "LAN looks in main, but not at its default route"
	TunPriority  int    // priority of "LAN goes into the TUN"
	NFTable      string // name of our nft table (family inet); others begin with it
	GuardTable   string // name of the kill switch's nft table, which outlives us
	ForeignMark  uint32 // bits our sockets' marks have beside ours, so that another program leaves them alone
	FixedOrder   bool   // the priorities are the user's: do not look what else runs
	StateFile    string // where old values of sysctls are kept over a crash; must not survive a reboot
}

// DefaultParams returns the numbers of a single daemon on a system.
func DefaultParams() Params {
	return Params{
		Table:        7000,
		LinkTable:    7001,
		MarkStep:     0x01000000,
		MarkMask:     0xff000000,
		LinkPriority: 900,
		LANPriority:  2500,
		TunPriority:  2510,
		NFTable:      "mpproxy",
		GuardTable:   "mpproxy_guard",
		StateFile:    stateFile(),
	}
}

// stateFile has the network namespace in its name: several may share /run, and what one remembers is not the other's.
// A service manager may give us a directory of our own (RUNTIME_DIRECTORY, as systemd does).
func stateFile() string {
	dir := os.Getenv("RUNTIME_DIRECTORY")
	if !filepath.IsAbs(dir) || strings.Contains(dir, ":") { // several are joined by colons
		dir = "/run/mpproxy"
	}
	var own unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &own); err != nil {
		return filepath.Join(dir, "sysctl.json")
	}
	return filepath.Join(dir, fmt.Sprintf("sysctl-%d.json", own.Ino))
}

// MaxLinks is how many links fit the marks and the priorities below LANPriority.
const MaxLinks = 64

// LinkMark returns our part of the firewall mark that the sockets of link i carry.
func (p Params) LinkMark(i int) uint32 { return p.MarkStep * uint32(i+1) }
