package portal

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mpproxy/src/config"
)

// die is what the kernel does with a crashed run's file.
func (c *crashes) die() { c.file.Close() }

func TestCrashesAreCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crashes")
	begin := func(now int64, crashed int, wait time.Duration) *crashes {
		t.Helper()
		c, err := openCrashes(path, now)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.times) != crashed || c.safe() != (crashed >= crashLimit) || c.wait() != wait {
			t.Fatalf("at %d s: %d crashes (want %d), safe %v, wait %v (want %v)", now, len(c.times), crashed, c.safe(), c.wait(), wait)
		}
		return c
	}
	begin(100, 0, 0).die()
	begin(200, 1, 0).die()
	begin(300, 2, 0).die()
	begin(400, 3, 5*time.Second).die()
	begin(410, 4, 10*time.Second).die()
	begin(420, 5, 20*time.Second).die()
	begin(801, 5, 20*time.Second).die() // that of 200 s counts no more
	c := begin(1405, 1, 0)              // nor any but this one's
	if err := c.end(refused); err != nil {
		t.Fatal(err)
	}
	c = begin(1406, 1, 0) // to be refused is no crash
	if err := c.end(failed); err != nil {
		t.Fatal(err)
	}
	begin(1407, 2, 0).die()
	c = begin(1408, 3, 5*time.Second)
	if err := c.end(endedWell); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("a clean end leaves the file:", err)
	}
	begin(1409, 0, 0).die()
	begin(5, 1, 0).die() // the system was started again, and kept its files: what is to come did not happen
	var last *crashes
	for i := range int64(40) {
		if last, _ = openCrashes(path, 10+i); last == nil {
			t.Fatal("not opened")
		}
		last.die()
	}
	if len(last.times) != crashesKept || last.wait() != longestBackOff {
		t.Errorf("%d crashes, wait %v", len(last.times), last.wait())
	}
}

func TestCrashesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crashes")
	if err := os.WriteFile(path, []byte("crash x\ncrash 50\n\xff\xff\nrunning\ncrash -4\ncrash 9999999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := openCrashes(path, 100)
	if err != nil || len(c.times) != 3 || c.times[0] != -4 || c.times[1] != 50 || c.times[2] != 100 {
		t.Fatal(c, err)
	}
	if _, err := openCrashes(path, 101); !errors.Is(err, errOtherRuns) {
		t.Error("a second run beside the first:", err)
	}
	if c.die(); len(c.times) != 3 {
		t.Error("changed by the second")
	}
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Symlink(path, other); err != nil {
		t.Fatal(err)
	}
	if _, err := openCrashes(other, 1); err == nil {
		t.Error("followed a symbolic link")
	}
	if _, err := openCrashes(filepath.Join(path, "x"), 1); err == nil {
		t.Error("opened below a file")
	}
}

// TestSafeMode: the third crash makes the next run wait and be careful; a run that ended as asked ends that.
func TestSafeMode(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s.sock")
	var said strings.Builder
	log := slog.New(slog.NewTextHandler(io.Writer(&said), nil))
	enter := func(waits time.Duration) (m *safeMode) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			var err error
			if m, err = enterRun(t.Context(), socket, log); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(began); d != waits {
				t.Errorf("waited %v, not %v", d, waits)
			}
		})
		return m
	}
	cfg := &config.Config{Links: []config.Link{{Name: "a", Transport: config.TransportAuto}, {Name: "b", Transport: config.TransportTCP}}}
	for range crashLimit {
		m := enter(0)
		if m.safe() || m.careful(cfg) != cfg {
			t.Fatal("careful too early")
		}
		m.crashes.die()
	}
	m := enter(backOff)
	if !m.safe() || !strings.Contains(m.why, "crashed 3 times") || !strings.Contains(said.String(), "safe mode") {
		t.Errorf("%+v, said: %s", m, said.String())
	}
	if next := m.careful(cfg); next.Links[0].Transport != config.TransportUDP || next.Links[1].Transport != config.TransportUDP ||
		cfg.Links[1].Transport != config.TransportTCP {
		t.Errorf("%+v, and before %+v", next.Links, cfg.Links)
	}
	m.ran = true
	m.leave(nil)
	if m = enter(0); m.safe() {
		t.Error("careful after a clean run")
	}
	m.leave(errors.New("no"))
	if m = enter(0); len(m.crashes.times) != 0 {
		t.Error("a refused start counts as a crash")
	}
	m.ran = true
	m.leave(errors.New("no"))
	if m = enter(0); len(m.crashes.times) != 1 {
		t.Error("a run that failed does not count")
	}
	m.crashes.die()
	if m, err := enterRun(t.Context(), filepath.Join(socket, "none"), log); err != nil || m.safe() {
		t.Error("without a place for the list:", m, err)
	} else {
		m.leave(nil)
	}
}
