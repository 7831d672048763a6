package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bulkPort is the server's TCP port. A client opens with 9 bytes: "D" or "U", and a number for the transfer.
const bulkPort = 5001

const (
	sampleEvery = 100 * time.Millisecond // of the receiver's byte counts
	bulkChunk   = 64 << 10
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

// bulkMain is one TCP connection to the server: bulk NUMBER D|U SECONDS CONGESTION.
func bulkMain(args []string) error {
	number, direction, congestion := args[0], args[1], args[3]
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
	conn, err := dialer.Dial("tcp4", net.JoinHostPort(ServerAddress, strconv.Itoa(bulkPort)))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(until); err != nil {
		return err
	}
	hello := binary.BigEndian.AppendUint64([]byte(direction[:1]), id)
	if _, err := conn.Write(hello); err != nil {
		return err
	}
	if direction == "D" {
		err = receive(conn, id, new(printer))
	} else {
		err = send(conn)
	}
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		err = nil // the time was over, as planned
	}
	return err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// send writes zeros until it cannot.
func send(conn net.Conn) error {
	zeros := make([]byte, bulkChunk)
	for {
		if _, err := conn.Write(zeros); err != nil {
			return err
		}
	}
}

// receive reads until it cannot, and prints "b NUMBER NANOSECONDS BYTES" for every sample interval.
func receive(conn net.Conn, id uint64, out *printer) error {
	var bytes atomic.Uint64
	over, printed := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(printed)
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				out.printf("b %d %d %d", id, Now(), bytes.Swap(0))
			}
		}
	}()
	buffer := make([]byte, bulkChunk)
	var err error
	for err == nil {
		var n int
		n, err = conn.Read(buffer)
		bytes.Add(uint64(n))
	}
	close(over)
	<-printed
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return err
}

// serveMain is the server: bulk TCP and calls; serve CONGESTION.
func serveMain(args []string) error {
	out := new(printer)
	config := net.ListenConfig{Control: withCongestion(args[0])}
	listener, err := config.Listen(context.Background(), "tcp4", fmt.Sprintf(":%d", bulkPort))
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
		go func() {
			defer conn.Close()
			hello := make([]byte, 9)
			if _, err := io.ReadFull(conn, hello); err != nil {
				return
			}
			if hello[0] == 'D' {
				_ = send(conn) // ends when the client has enough
			} else {
				_ = receive(conn, binary.BigEndian.Uint64(hello[1:]), out)
			}
		}()
	}
}
