package lab

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/blake2s"

	"mpproxy/src/engine/handshake"
)

const (
	hostileDatagrams = 100000
	memoryLimit      = 128 << 10 // KiB that a portal may have resident, whatever comes
	memoryGrowth     = 24 << 10  // KiB that hostile datagrams may add
)

// resident is a process's VmRSS in KiB.
func resident(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

// serverKey reads the remote portal's public key.
func serverKey(t *testing.T, l *Lab) handshake.PublicKey {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, "remote.secrets", "private_key"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := handshake.ParsePrivateKey(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return key.Public()
}

// hostile makes datagram number i of an attacker who knows the server's public key.
func hostile(rng *rand.Rand, key handshake.PublicKey, i int) []byte {
	sizes := []int{0, 1, 7, 8, 24, 60, 200, 1199, 1200, 1201, 1400, 1472}
	d := make([]byte, sizes[rng.IntN(len(sizes))]+rng.IntN(3))
	for j := range d {
		d[j] = byte(rng.Uint32())
	}
	if len(d) > 0 && i%4 != 0 {
		d[0] = []byte{1, 2, 3, 4, 0x40, 0x50, 0x7F}[rng.IntN(7)]
	}
	if i%5 != 0 {
		return d
	}
	d = make([]byte, handshake.InitiationBytes)
	for j := range d {
		d[j] = byte(rng.Uint32())
	}
	d[0], d[1], d[2], d[3] = 1, handshake.Version+byte(i/5%2), 0, 0
	binary.BigEndian.PutUint16(d[8:], 200)
	macKey := blake2s.Sum256(append([]byte("mpproxy mac1 "), key[:]...))
	h, _ := blake2s.New128(macKey[:])
	h.Write(d[:len(d)-32])
	copy(d[len(d)-32:], h.Sum(nil))
	return d
}

// attack sends them to the remote portal from the server's namespace over many sockets and returns, for each, the bytes
// sent and received.
func attack(t *testing.T, l *Lab, n int, over time.Duration) (sent, got []int) {
	t.Helper()
	const sockets = 40
	key := serverKey(t, l)
	conns := make([]net.Conn, sockets)
	for i := range conns {
		err := inside(l.Namespace("server"), func() (err error) {
			conns[i], err = net.Dial("udp4", net.JoinHostPort(RemoteAddress, "6779"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
	}
	rng := rand.New(rand.NewPCG(1, 2))
	sent, got = make([]int, sockets), make([]int, sockets)
	began := time.Now()
	for i := range n {
		d := hostile(rng, key, i)
		if m, err := conns[i%sockets].Write(d); err == nil {
			sent[i%sockets] += m
		}
		if ahead := time.Duration(i)*over/time.Duration(n) - time.Since(began); ahead > 2*time.Millisecond {
			wait(ahead)
		}
	}
	buffer := make([]byte, 65536)
	for i, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		for {
			m, err := c.Read(buffer)
			if err != nil {
				break
			}
			got[i] += m
		}
	}
	return sent, got
}

// TestHostileDatagrams: 10^5 datagrams from strangers while a download runs: it goes on, little goes back and never more
// than came, memory stays bounded, and they are counted.
func TestHostileDatagrams(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/25ms")
	startPortals(t, l)
	const length = 8 * time.Second
	load, err := l.StartBulk(Down, length)
	if err != nil {
		t.Fatal(err)
	}
	wait(2 * time.Second)
	before := resident(t, l.Remote.Pid())
	sent, got := attack(t, l, hostileDatagrams, 5*time.Second)
	after := resident(t, l.Remote.Pid())
	if err := load.Wait(); err != nil {
		t.Fatal(err)
	}
	rate := load.Rate(load.Started.Add(2*time.Second), load.Started.Add(7*time.Second))
	allSent, allGot := 0, 0
	for i := range sent {
		allSent, allGot = allSent+sent[i], allGot+got[i]
		if got[i] > sent[i] {
			t.Errorf("source %d sent %d bytes and got %d", i, sent[i], got[i])
		}
	}
	t.Logf("%d bytes in, %d back; download %.1f Mbit/s meanwhile; resident %d -> %d KiB", allSent, allGot, rate/1e6, before, after)
	if allGot > allSent/10 {
		t.Errorf("%d bytes back for %d", allGot, allSent)
	}
	if rate < 15e6 {
		t.Errorf("the download has %.1f Mbit/s meanwhile", rate/1e6)
	}
	if after > memoryLimit || after-before > memoryGrowth {
		t.Errorf("resident memory went from %d to %d KiB", before, after)
	}
	text, err := l.Remote.Status()
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range []string{"unknown_type", "truncated", "bad_mac", "cookie_required", "unknown_connection", "unknown_version"} {
		if !strings.Contains(text, `"`+reason+`"`) {
			t.Errorf("nothing is counted as %s:\n%s", reason, text)
		}
	}
}

// TestServerIsKilled: the server dies without warning and is started again: the session comes back by itself, and the
// connection inside goes on.
func TestServerIsKilled(t *testing.T) {
	l := newLab(t, "20M/10ms,20M/25ms")
	startPortals(t, l)
	const length = 10 * time.Second
	load, err := l.StartBulk(Down, length)
	if err != nil {
		t.Fatal(err)
	}
	call, err := l.StartCall(length)
	if err != nil {
		t.Fatal(err)
	}
	wait(2500 * time.Millisecond)
	killed := Now()
	l.Remote.Kill()
	if l.Remote, err = l.startDaemon("remote"); err != nil {
		t.Fatal(err)
	}
	if err := call.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := load.Wait(); err != nil {
		t.Error(err)
	}
	end := call.Started.Add(length)
	for _, d := range []Direction{Down, Up} {
		s := call.Stats(d, killed.Add(-500*time.Millisecond), end.Add(-300*time.Millisecond))
		t.Logf("%v: %v", d, s)
		if s.Silence > 5*time.Second {
			t.Errorf("%v: silent for %v", d, s.Silence)
		}
	}
	if rate := load.Rate(end.Add(-2*time.Second), end.Add(-200*time.Millisecond)); rate < 10e6 {
		t.Errorf("the download has %.1f Mbit/s in the end", rate/1e6)
	}
}

// TestWrongServerKey: the status says in words what to look at; when the file is right, a session comes.
func TestWrongServerKey(t *testing.T) {
	l := newLab(t, "20M/10ms")
	if l.options.Program == "" {
		t.Fatal("MPPROXY_PROGRAM is not set: run this through make test")
	}
	if err := l.configure(nil); err != nil {
		t.Fatal(err)
	}
	right, err := os.ReadFile(l.config("router"))
	if err != nil {
		t.Fatal(err)
	}
	private, err := run("", l.options.Program, "genkey")
	if err != nil {
		t.Fatal(err)
	}
	other, err := run(private, l.options.Program, "pubkey")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(right), "\n")
	for i, line := range lines {
		if strings.Contains(line, "option public_key") {
			lines[i] = "\toption public_key '" + strings.TrimSpace(other) + "'"
		}
	}
	if err := os.WriteFile(l.config("router"), []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if l.Remote, err = l.startDaemon("remote"); err != nil {
		t.Fatal(err)
	}
	if l.Router, err = l.startDaemon("router"); err != nil {
		t.Fatal(err)
	}
	deadline, text := time.Now().Add(startLimit), ""
	for time.Now().Before(deadline) && !strings.Contains(text, "option public_key is the server's") {
		wait(pollEvery)
		text, _ = run("", "ip", "netns", "exec", l.Namespace("router"), l.options.Program, "--socket", l.Router.Socket, "status")
	}
	if !strings.Contains(text, "option public_key is the server's") {
		t.Errorf("the status says:\n%s\nlog:\n%s", text, l.Router.Log())
	}
	if err := l.Router.Stop(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(l.config("router"), right, 0o600); err != nil {
		t.Fatal(err)
	}
	if l.Router, err = l.startDaemon("router"); err != nil {
		t.Fatal(err)
	}
	if err := l.waitUp(); err != nil {
		t.Error(err)
	}
}
