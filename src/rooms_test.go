// Package src_test holds the source tree to its architecture: imports point downwards only, the kernel and the
// configuration parser each have one room, and the pure rooms have no clock, chance, goroutine, log or I/O.
package src_test

// room is one package of the tree, with all packages below its folder that are not listed themselves.
type room struct {
	path  string   // below mpproxy/src/
	layer int      // a room may import rooms of lower layers only (and its own sub-packages)
	pure  bool     // a value in virtual time: see checker.purity; imports pure rooms only
	users []string // if not empty, only these rooms may import it
	alone []string // modules or packages that no other room may import
}

// rooms is the allowed graph, lowest layer first.
var rooms = []room{
	{path: "engine/mono", layer: 0, pure: true},
	{path: "engine/trace", layer: 0, pure: true},
	{path: "engine/packet", layer: 1, pure: true},
	{path: "stats", layer: 1, pure: true},
	{path: "quota", layer: 1, pure: true},
	{path: "pairing", layer: 1, pure: true},
	{path: "linksim", layer: 1, pure: true, users: []string{"engine/enginetest"}},
	{path: "engine/wire", layer: 2, pure: true},
	{path: "engine/congestion", layer: 2, pure: true},
	{path: "engine/gain", layer: 2, pure: true},
	{path: "engine/gaps", layer: 2, pure: true},
	{path: "engine/session", layer: 3, pure: true},
	{path: "engine/handshake", layer: 4, pure: true},
	{path: "engine/recovery", layer: 3, pure: true},
	{path: "engine/flowq", layer: 3, pure: true},
	{path: "engine/even", layer: 3, pure: true},
	{path: "engine/lane", layer: 3, pure: true},
	{path: "engine/path", layer: 4, pure: true},
	{path: "engine/sched", layer: 5, pure: true},
	{path: "engine", layer: 6, pure: true},
	{path: "mpp", layer: 6, pure: true},
	{path: "engine/enginetest", layer: 7, pure: true, users: []string{"nobody: it serves tests"}},
	{path: "config", layer: 6, users: []string{"portal", "cmd", "enrol"}, alone: []string{"github.com/digineo/go-uci/v2"}},
	{path: "park", layer: 6},
	{path: "streams", layer: 7},
	{path: "socks", layer: 7},
	{path: "sockmap", layer: 7, alone: []string{"github.com/cilium/ebpf"}},
	{path: "transport", layer: 7},
	{path: "system", layer: 7, alone: []string{
		"golang.zx2c4.com/wireguard/tun", "github.com/vishvananda/netlink", "github.com/google/nftables",
		"github.com/coreos/go-iptables", "github.com/mdlayher/netlink",
	}},
	{path: "control", layer: 7},
	{path: "enrol", layer: 7},
	{path: "portal", layer: 8},
	{path: "cmd", layer: 9},
}

// clockNames are the parts of package time that read or wait on a clock.
var clockNames = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Timer", "Ticker"}

// impurePackages may not be imported in a pure room, nor anything below them; see pureExceptions.
var impurePackages = []string{"log", "os", "net", "syscall", "io/ioutil", "os/exec", "golang.org/x/sys", "crypto/rand"}

// pureExceptions are values and formats below impurePackages.
var pureExceptions = []string{"net/netip"}

// seededNames are the parts of math/rand and math/rand/v2 that need a source given to them, or are types.
var seededNames = []string{"New", "NewPCG", "NewChaCha8", "NewSource", "NewZipf", "Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}
