package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mpproxy/src/socks"
)

// connectors is how many connections are being made at a time.
const connectors = 16

// dialTarget connects to the target of words, through the SOCKS5 proxy if one is named. A proxy's refusal counts as the
// target's: it may not have seen yet that the server listens.
func dialTarget(words []string) (net.Conn, error) {
	dialer := net.Dialer{Control: cubic, Timeout: 5 * time.Second}
	to := net.JoinHostPort(words[1], tcpPort)
	if len(words) < 4 {
		return dialer.Dial("tcp4", to)
	}
	proxy, err := netip.ParseAddrPort(words[3])
	if err != nil {
		return nil, err
	}
	target, err := netip.ParseAddrPort(to)
	if err != nil {
		return nil, err
	}
	conn, err := dialer.Dial("tcp4", words[3])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := socks.Through(ctx, conn, []socks.Hop{{At: socks.FromAddrPort(proxy)}}, socks.FromAddrPort(target)); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%w (%w)", err, syscall.ECONNREFUSED)
	}
	return conn, nil
}

// echoed connects and waits for one byte to come back.
func echoed(words []string) (net.Conn, error) {
	conn, err := dialTarget(words)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err = conn.Write([]byte("e")); err == nil {
		_, err = io.ReadFull(conn, make([]byte, 1))
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, conn.SetDeadline(time.Time{})
}

// connectsTCP prints how many connections per second could be made, used for a byte each way, and closed; and how many
// failed.
func connectsTCP(words []string) error {
	seconds, err := strconv.ParseFloat(words[2], 64)
	if err != nil {
		return err
	}
	var made, failed atomic.Int64
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	var all sync.WaitGroup
	for range connectors {
		all.Go(func() {
			for time.Now().Before(end) {
				conn, err := echoed(words)
				if err != nil {
					failed.Add(1)
					continue
				}
				// With a reset, so that the client's ports are free for the next at once.
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
				made.Add(1)
			}
		})
	}
	all.Wait()
	fmt.Println(float64(made.Load())/seconds, failed.Load())
	return nil
}

// idleTCP makes so many connections, prints how many there are, and keeps them until its standard input ends.
func idleTCP(words []string) error {
	number, err := strconv.Atoi(words[2])
	if err != nil {
		return err
	}
	var left, made atomic.Int64
	left.Store(int64(number))
	var all sync.WaitGroup
	var kept sync.Map
	for range connectors {
		all.Go(func() {
			for tries := 0; left.Add(-1) >= 0 && tries < number; tries++ {
				if conn, err := echoed(words); err == nil {
					kept.Store(conn, true) // else it would be collected, and closed
					made.Add(1)
				}
			}
		})
	}
	all.Wait()
	fmt.Println(made.Load())
	_, err = io.Copy(io.Discard, os.Stdin)
	kept.Clear()
	return err
}
