package park

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// slimPair is a connection and its far end, whether it is slim or not.
func slimPair(t *testing.T, l *Lot, slim bool) (*Conn, *net.TCPConn) {
	t.Helper()
	tcp, far, _ := pair(t)
	c := NewConn(tcp)
	t.Cleanup(func() { _ = c.Close() })
	if slim {
		if err := c.Slim(l); err != nil || !c.IsSlim() {
			t.Fatal(err)
		}
	}
	return c, far
}

// eachWay runs a test for a connection that was never slim, one that is, and one that was.
func eachWay(t *testing.T, f func(t *testing.T, c *Conn, far *net.TCPConn)) {
	l := newLot(t)
	for _, name := range []string{"never slim", "slim", "slim before"} {
		t.Run(name, func(t *testing.T) {
			c, far := slimPair(t, l, name != "never slim")
			if name == "slim before" {
				if err := c.SetDeadline(time.Time{}); err != nil || c.IsSlim() {
					t.Fatal("still slim", err)
				}
			}
			f(t, c, far)
		})
	}
}

// TestConnCarries: bytes go both ways, the addresses stay, and each end sees the other's.
func TestConnCarries(t *testing.T) {
	eachWay(t, func(t *testing.T, c *Conn, far *net.TCPConn) {
		if c.LocalAddr().String() != far.RemoteAddr().String() || c.RemoteAddr().String() != far.LocalAddr().String() {
			t.Errorf("%v to %v", c.LocalAddr(), c.RemoteAddr())
		}
		if _, err := c.Write([]byte("there")); err != nil {
			t.Fatal(err)
		}
		if _, err := far.Write([]byte("back")); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 9)
		if n, err := far.Read(b); err != nil || string(b[:n]) != "there" {
			t.Error(string(b[:n]), err)
		}
		if n, err := c.Read(b); err != nil || string(b[:n]) != "back" {
			t.Error(string(b[:n]), err)
		}
	})
}

// TestConnEnds: the end of one direction is seen and leaves the other, an abort is a reset, and what is closed fails as
// connections do, also for who reads just then.
func TestConnEnds(t *testing.T) {
	eachWay(t, func(t *testing.T, c *Conn, far *net.TCPConn) {
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(far); err != nil || len(b) > 0 {
			t.Error(b, err)
		}
		_, _ = far.Write([]byte{7})
		_ = far.CloseWrite()
		if b, err := io.ReadAll(c); err != nil || len(b) != 1 {
			t.Error(b, err)
		}
	})
	eachWay(t, func(t *testing.T, c *Conn, far *net.TCPConn) {
		c.Abort()
		if _, err := far.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Error("no reset:", err)
		}
		_, read := c.Read(make([]byte, 1))
		_, wrote := c.Write(make([]byte, 1))
		raw := c.Raw()
		never := func(uintptr) bool { t.Error("called for what is closed"); return true }
		for _, err := range []error{read, wrote, c.Close(), c.CloseWrite(), c.SetDeadline(time.Time{}), c.SetReadDeadline(time.Time{}),
			c.SetWriteDeadline(time.Time{}), raw.Read(never), raw.Write(never), raw.Control(func(uintptr) { never(0) }), c.Slim(newLot(t))} {
			if !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
	})
	eachWay(t, func(t *testing.T, c *Conn, _ *net.TCPConn) {
		failed := make(chan error, 2)
		began := make(chan bool, 2)
		go func() {
			failed <- c.Raw().Read(func(uintptr) bool { began <- true; return false })
		}()
		<-began
		_ = c.Close()
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// TestConnDeadlines: they end reading and writing, of a slim connection, too.
func TestConnDeadlines(t *testing.T) {
	eachWay(t, func(t *testing.T, c *Conn, _ *net.TCPConn) {
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if err := c.SetWriteDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		if err := c.Raw().Write(func(uintptr) bool { return false }); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

// watched is how many sockets are in a lot's set.
func watched(t *testing.T, l *Lot) (n int) {
	t.Helper()
	err := l.raw.Control(func(fd uintptr) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
		if err != nil {
			t.Error(err)
		}
		n = strings.Count(string(text), "tfd:")
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

func openFiles(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestSlimAgain: a connection that is slimmed, parked, woken and used again and again leaves nothing behind: no file, and no
// socket in the set.
func TestSlimAgain(t *testing.T) {
	l := newLot(t)
	c, far := slimPair(t, l, false)
	w := newWoken()
	files, b := 0, make([]byte, 9)
	for i := range 20 {
		if i%3 > 0 {
			if err := c.Slim(l); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.Park(c.Raw(), time.Time{}, w); err != nil {
			t.Fatal(err)
		}
		if slim := c.IsSlim(); slim != (i%3 > 0) {
			t.Fatal("slim:", slim)
		}
		if i == 2 {
			files = openFiles(t)
		}
		if i%2 == 0 { // what is parked can be written to, and stays parked
			if _, err := c.Write([]byte{1}); err != nil {
				t.Fatal(err)
			}
			_, _ = far.Read(b)
		}
		w.quiet(t, "parked")
		_, _ = far.Write([]byte{1})
		w.wait(t, "bytes")
		if n, err := c.Read(b); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if n := watched(t, l); n > 1 {
			t.Fatalf("%d sockets in the set", n)
		}
	}
	if n := openFiles(t); n != files {
		t.Errorf("%d files, %d before", n, files)
	}
	if _, err := l.Park(c.Raw(), time.Time{}, w); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	l.Look()
	w.wait(t, "closed")
	if n := watched(t, l); n != 0 {
		t.Errorf("%d sockets in the set", n)
	}
}

// TestSlimWithoutFiles: where there is no file more a connection stays what it is, and works.
func TestSlimWithoutFiles(t *testing.T) {
	l := newLot(t)
	c, far := slimPair(t, l, false)
	back := noFiles(t)
	err := c.Slim(l)
	back()
	if err == nil || c.IsSlim() {
		t.Error("slim without a file")
	}
	_, _ = c.Write([]byte{1})
	if n, err := far.Read(make([]byte, 9)); n != 1 || err != nil {
		t.Error(n, err)
	}
	if err := c.Slim(l); err != nil {
		t.Fatal(err)
	}
	back = noFiles(t)
	_, err = c.Write([]byte{1}) // what is slim needs no other file
	back()
	if err != nil {
		t.Error(err)
	}
}
