package streams

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tuning keeps a subflow's socket so that the kernel always has something to send, and little of it. A connection that
// runs dry while there is more looks to bbr like one that has nothing to send: what it measures then does not count, it
// never ends its start-up, goes on at three times the rate that it has found, and loses packets in every round.
type tuning struct {
	next  time.Time
	bytes int // written, until that is worth tuning
	tail  int // bytes that may wait unsent
	// starting says that bbr still looks for the link's rate.
	starting bool
}

// sent counts what was written: no more than is needed, as two gigabytes do not fit an int of 32 bits.
func (t *tuning) sent(n int) {
	if t.bytes < tuneFrom {
		t.bytes += n
	}
}

// worthwhile says that enough was written.
func (t *tuning) worthwhile() bool { return t.bytes >= tuneFrom }

// tune lets so much wait unsent in the socket as leaves in a few milliseconds, and makes room for what is under way.
func (t *tuning) tune(conn net.Conn) bool {
	now := time.Now()
	if now.Before(t.next) {
		return false
	}
	t.next = now.Add(retune)
	c, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return
		}
		if want := tailOf(info); want > t.tail*5/4 || want < t.tail*3/4 {
			t.tail, t.next = want, now.Add(retuneSoon)
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, want)
		}
		widen(int(fd), info)
		bbr, err := unix.GetsockoptTCPCCBBRInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_CC_INFO)
		t.starting = err == nil && bbr.Pacing_gain > startGain
	})
	return true
}

// tailOf is how much may wait unsent: what leaves in tailTime at the pace of the congestion control.
func tailOf(info *unix.TCPInfo) int {
	return min(maxTail, max(minTail, int(float64(min(info.Pacing_rate, maxPace))*tailTime.Seconds())))
}

// widen lets a socket hold what its congestion window allows, beyond the most that the kernel gives by itself (4 MB, of
// which a third stays unused). Only a process that may manage the network can; for others it stays as it is.
func widen(fd int, info *unix.TCPInfo) {
	want := min(maxSend, 3*int(info.Snd_cwnd)*(int(info.Snd_mss)+packetCost))
	have, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	if err != nil || want < minSend || want < have+have/4 {
		return
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, want/2) // the kernel doubles it
}
