package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"mpproxy/src/socks"
)

// bulkPort is the server's TCP port. A client opens with 25 bytes: "D" or "U", a number for the transfer, and the
// server's congestion control, filled up with zeros.
const (
	bulkPort  = 5001
	bulkHello = 9 + congestionName
)

const (
	sampleEvery    = 100 * time.Millisecond // of the receiver's byte counts and of the sender's round trip
	bulkChunk      = 64 << 10
	congestionName = 16 // bytes of a name in the kernel
)

// withCongestion returns a socket control function that chooses TCP's congestion control; root may choose any that
// the kernel has, whatever tcp_allowed_congestion_control says.
func withCongestion(name string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if outer := c.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
		}); outer != nil {
			return outer
		}
		if err != nil {
			return fmt.Errorf("choose tcp congestion control %s: %w", name, err)
		}
		return nil
	}
}

// bulkMain is one TCP connection to the server: bulk NUMBER D|U SECONDS CONGESTION ADDRESS [PROXY].
func bulkMain(args []string) error {
	number, direction, congestion, address := args[0], args[1], args[3], args[4]
	seconds, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return err
	}
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return err
	}
	until := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	dialer := net.Dialer{Control: withCongestion(congestion), Deadline: until}
	to := net.JoinHostPort(address, strconv.Itoa(bulkPort))
	var conn net.Conn
	if len(args) > 5 {
		conn, err = dialThrough(dialer, args[5], to)
	} else {
		conn, err = dialer.Dial("tcp", to)
	}
	if isTimeout(err) {
		return nil // nothing came through in all that time: its rate is 0
	} else if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(until); err != nil {
		return err
	}
	hello := binary.BigEndian.AppendUint64([]byte(direction[:1]), id)
	hello = append(hello, congestion...)
	if _, err := conn.Write(append(hello, make([]byte, bulkHello-len(hello))...)); err != nil {
		return err
	}
	if direction == "D" {
		err = receive(conn, id, new(printer))
	} else {
		err = send(conn, id, new(printer))
	}
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		err = nil // the time was over, as planned
	}
	return err
}

// dialThrough connects by way of a SOCKS5 server.
func dialThrough(dialer net.Dialer, proxy, to string) (net.Conn, error) {
	relay, err := netip.ParseAddrPort(proxy)
	if err != nil {
		return nil, err
	}
	target, err := netip.ParseAddrPort(to)
	if err != nil {
		return nil, err
	}
	conn, err := dialer.Dial("tcp", proxy)
	if err != nil {
		return nil, err
	}
	if err := socks.Through(context.Background(), conn, []socks.Hop{{At: socks.FromAddrPort(relay)}}, socks.FromAddrPort(target)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// send writes zeros until it cannot, and prints "t NUMBER NANOSECONDS MICROSECONDS", TCP's smoothed round trip, for every
// sample interval.
func send(conn net.Conn, id uint64, out *printer) error {
	stop := every(sampleEvery, func() {
		if rtt, ok := roundTrip(conn); ok {
			out.printf("t %d %d %d", id, Now(), rtt.Microseconds())
		}
	})
	defer stop()
	zeros := make([]byte, bulkChunk)
	for {
		if _, err := conn.Write(zeros); err != nil {
			return err
		}
	}
}

// every calls f again and again until stop is called, which waits for a call under way.
func every(interval time.Duration, f func()) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				f()
			}
		}
	}()
	return func() { close(over); <-ended }
}

// roundTrip asks the kernel for a connection's smoothed round trip.
func roundTrip(conn net.Conn) (rtt time.Duration, ok bool) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			rtt, ok = time.Duration(info.Rtt)*time.Microsecond, true
		}
	})
	return rtt, ok && err == nil
}

// receive reads until it cannot, and prints "b NUMBER NANOSECONDS BYTES" for every sample interval.
func receive(conn net.Conn, id uint64, out *printer) error {
	var got atomic.Uint64
	stop := every(sampleEvery, func() { out.printf("b %d %d %d", id, Now(), got.Swap(0)) })
	buffer := make([]byte, bulkChunk)
	var err error
	for err == nil {
		var n int
		n, err = conn.Read(buffer)
		got.Add(uint64(n))
	}
	stop()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

// serveMain is the server: bulk TCP and calls; serve CONGESTION.
func serveMain(args []string) error {
	out := new(printer)
	config := net.ListenConfig{Control: withCongestion(args[0])}
	listener, err := config.Listen(context.Background(), "tcp", fmt.Sprintf(":%d", bulkPort))
	if err != nil {
		return err
	}
	calls, err := net.ListenUDP("udp4", &net.UDPAddr{Port: callPort})
	if err != nil {
		return err
	}
	go answerCalls(calls, out)
	out.printf("ready")
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go serveBulk(conn, out)
	}
}

// serveBulk is the server's side of a transfer.
func serveBulk(conn net.Conn, out *printer) {
	defer conn.Close()
	hello := make([]byte, bulkHello)
	if _, err := io.ReadFull(conn, hello); err != nil {
		return
	}
	id := binary.BigEndian.Uint64(hello[1:])
	if hello[0] != 'D' {
		_ = receive(conn, id, out)
		return
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil || withCongestion(string(bytes.TrimRight(hello[9:], "\x00")))("", "", raw) != nil {
		return // the client sees that nothing comes
	}
	_ = send(conn, id, out) // ends when the client has enough
}
