package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tcpVariable tells a process of this binary that it is one end of a TCP transfer.
const tcpVariable = "MPPBENCH_TCP"

const (
	tcpPort  = "5201"
	tcpChunk = 128 << 10
)

// runTCP plays one end of a transfer if this process was started for it, and ends the process then.
// Words: serve | send|receive ADDRESS SECONDS [PROXY] | connects ADDRESS SECONDS [PROXY] | idle|busy ADDRESS NUMBER [PROXY]
// | stripes | stripe ADDRESS SECONDS FROM DEVICE DEVICE.
// What the client wants is told to the server in the first byte.
func runTCP() {
	words := strings.Fields(os.Getenv(tcpVariable))
	if len(words) == 0 {
		return
	}
	var err error
	switch words[0] {
	case "serve":
		err = serveTCP()
	case "connects":
		err = connectsTCP(words)
	case "idle":
		err = idleTCP(words)
	case "busy":
		err = busyTCP(words)
	case "stripes":
		err = serveStripes()
	case "stripe":
		err = clientStripes(words)
	default:
		err = clientTCP(words)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// cubic makes sure of the congestion control whatever the kernel's default.
func cubic(_, _ string, c syscall.RawConn) error {
	var err error
	if outer := c.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
	}); outer != nil {
		return outer
	}
	return err
}

func serveTCP() error {
	config := net.ListenConfig{Control: cubic}
	l, err := config.Listen(context.Background(), "tcp4", ":"+tcpPort)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			var hello [1]byte
			if _, err := io.ReadFull(conn, hello[:]); err != nil {
				return
			}
			switch hello[0] {
			case 'r':
				_ = push(conn) // ends when the client has enough
				return
			case 'e':
				_, _ = conn.Write(hello[:])
				_, _ = conn.Read(hello[:]) // the client closes when it likes
				return
			}
			// The client sends: it wants to know from us what arrived.
			n := pull(conn, nil)
			fmt.Fprintf(conn, "%d\n", n)
		}()
	}
}

// push writes until it cannot, and returns why; the end of the time or the other side's having enough is no error.
func push(conn net.Conn) error {
	chunk := make([]byte, tcpChunk)
	for {
		_, err := conn.Write(chunk)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// pull reads until the end and returns the number of bytes.
func pull(conn net.Conn, tick func(total int64)) int64 {
	chunk := make([]byte, tcpChunk)
	var total int64
	for {
		n, err := conn.Read(chunk)
		total += int64(n)
		if tick != nil {
			tick(total)
		}
		if err != nil {
			return total
		}
	}
}

// clientTCP prints "BYTES SECONDS": what arrived at the receiver within the time.
func clientTCP(words []string) error {
	seconds, err := strconv.ParseFloat(words[2], 64)
	if err != nil {
		return err
	}
	conn, err := dialTarget(words)
	for tries := 0; errors.Is(err, syscall.ECONNREFUSED) && tries < 50; tries++ {
		time.Sleep(50 * time.Millisecond) // the server is just starting
		conn, err = dialTarget(words)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	began := time.Now()
	length := time.Duration(seconds * float64(time.Second))
	if words[0] == "receive" {
		if _, err := conn.Write([]byte("r")); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(began.Add(length)); err != nil {
			return err
		}
		n := pull(conn, nil)
		fmt.Println(n, time.Since(began).Seconds())
		return nil
	}
	if err := conn.SetWriteDeadline(began.Add(length)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("s")); err != nil {
		return err
	}
	if err := push(conn); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	var n int64
	if _, err := fmt.Fscan(conn, &n); err != nil {
		return err
	}
	fmt.Println(n, time.Since(began).Seconds())
	return nil
}
