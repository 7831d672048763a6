package socks

import (
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// copied is how many bytes this process has read and written by system calls that copy.
func copied(t *testing.T) int {
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "rchar: "); ok {
			v, _ := strconv.Atoi(strings.TrimSpace(n))
			return v
		}
	}
	return 0
}

// TestKernelCopies moves 64 MiB and looks at what went through this process: only the test's own two ends may read.
func TestKernelCopies(t *testing.T) {
	_, at := start(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const size = 64 << 20
	c, err := through(t, at, "", "", FromAddrPort(l.Addr().(*net.TCPAddr).AddrPort()))
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	before := copied(t)
	go func() {
		b := make([]byte, 64<<10)
		for range size / len(b) {
			_, _ = peer.Write(b)
		}
		_ = peer.Close()
	}()
	n, err := io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c})
	if err != nil || n != size {
		t.Fatal(n, err)
	}
	if own := copied(t) - before - size; own > size/100 {
		t.Errorf("%d of %d bytes went through user space", own, size)
	}
}
