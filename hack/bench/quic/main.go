// Command quic is the benchmark's QUIC flow, both ends of it:
//
//	quic serve                              prints "ready", then serves until it is killed
//	quic NUMBER D|U SECONDS ADDRESS         one connection with one stream, down or up
//
// Whichever end receives prints "b NUMBER NANOSECONDS BYTES" for every 100 ms, with the time of the monotonic clock, as the
// lab's transfers do. Congestion control and windows are the library's own, but for windows that cover a long fat link.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"
)

const (
	port        = "5003"
	protocol    = "mpp-bench"
	sampleEvery = 100 * time.Millisecond
	chunk       = 64 << 10
	window      = 16 << 20 // bytes: 300 Mbit/s over 400 ms
	helloBytes  = 9        // D or U, number
	closeWait   = 100 * time.Millisecond
)

func main() {
	err := errors.New("usage: quic serve | quic NUMBER D|U SECONDS ADDRESS")
	switch {
	case len(os.Args) == 2 && os.Args[1] == "serve":
		err = serve()
	case len(os.Args) == 5:
		err = flow(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "quic:", err)
		os.Exit(1)
	}
}

func settings() *quic.Config {
	return &quic.Config{
		InitialStreamReceiveWindow:     window, // from the start: else the library's own doubling would bound the first seconds
		MaxStreamReceiveWindow:         window,
		InitialConnectionReceiveWindow: window,
		MaxConnectionReceiveWindow:     window,
		HandshakeIdleTimeout:           5 * time.Second,
		MaxIdleTimeout:                 10 * time.Second,
	}
}

// serve takes connections until the process ends.
func serve() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("make certificate: %w", err)
	}
	listener, err := quic.ListenAddr(net.JoinHostPort("", port), &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
		NextProtos:   []string{protocol},
	}, settings())
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Println("ready")
	out := new(printer)
	for {
		conn, err := listener.Accept(context.Background())
		if err != nil {
			return fmt.Errorf("accept connection: %w", err)
		}
		go answer(conn, out)
	}
}

// answer is the server's side of one transfer; it ends when the client goes.
func answer(conn *quic.Conn, out *printer) {
	stream, err := conn.AcceptStream(context.Background())
	if err != nil {
		return
	}
	hello := make([]byte, helloBytes)
	if _, err := io.ReadFull(stream, hello); err != nil {
		return
	}
	if hello[0] == 'D' {
		send(stream)
	} else {
		receive(stream, binary.BigEndian.Uint64(hello[1:]), out)
	}
}

// flow is the client's side: it ends the connection when the time is over. Not to have got through at all is no error: the
// rate is 0.
func flow(number, direction, seconds, address string) error {
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return err
	}
	length, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(length*float64(time.Second)))
	defer cancel()
	// The server is the benchmark's own and unknown to all authorities.
	conn, err := quic.DialAddr(ctx, net.JoinHostPort(address, port), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}}, settings())
	if err != nil {
		fmt.Fprintln(os.Stderr, "quic: connect:", err)
		return nil
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return fmt.Errorf("open stream: %w", err)
	}
	if _, err := stream.Write(binary.BigEndian.AppendUint64([]byte(direction[:1]), id)); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	if direction == "D" {
		go receive(stream, id, new(printer))
	} else {
		go send(stream)
	}
	<-ctx.Done()
	_ = conn.CloseWithError(0, "")
	time.Sleep(closeWait) // for the packet that says so
	return nil
}

// send writes zeros until it cannot.
func send(w io.Writer) {
	zeros := make([]byte, chunk)
	for {
		if _, err := w.Write(zeros); err != nil {
			return
		}
	}
}

// receive reads until it cannot and prints what came.
func receive(r io.Reader, id uint64, out *printer) {
	var got atomic.Uint64
	over := make(chan struct{})
	go func() {
		tick := time.NewTicker(sampleEvery)
		defer tick.Stop()
		for {
			select {
			case <-over:
				return
			case <-tick.C:
				out.printf("b %d %d %d", id, now(), got.Swap(0))
			}
		}
	}()
	buffer := make([]byte, chunk)
	for {
		n, err := r.Read(buffer)
		got.Add(uint64(n))
		if err != nil {
			close(over)
			return
		}
	}
}

// now is the monotonic clock, the same in all processes.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // cannot fail for this clock
	}
	return ts.Nano()
}

// printer writes whole lines from several goroutines.
type printer struct{ mu sync.Mutex }

func (p *printer) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Printf(format+"\n", args...)
}
