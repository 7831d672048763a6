package streams

import (
	"net"

	"golang.org/x/sys/unix"
)

// patient has the kernel wait with its acknowledgement of a packet that comes alone, up to 40 ms or until there is more.
//
// The sender's bbr takes the least round trip of ten seconds for that of the link. Under jitter that is the one of a packet
// that came alone, as those in a train wait for each other, and a window by that never fills the link. Late, it is not the
// least. The kernel leaves off once it has waited in vain, so subflows that come to rest are told again.
func patient(conn net.Conn) { setInt(conn, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0) }
