package portal

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestDirWatch tells of files that came, changed or went, once they are left alone for one look; also of one that only its time
// tells from what it was.
func TestDirWatch(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "home")
	write := func(text string, age time.Duration) {
		t.Helper()
		at := time.Unix(1_700_000_000, 0).Add(-age)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		changed := make(chan struct{}, 9)
		go func() { _ = (&dirWatch{path: dir, changed: changed}).Run(t.Context()) }()
		look := func(what string, want int) {
			t.Helper()
			time.Sleep(dirEvery)
			synctest.Wait()
			if len(changed) != want {
				t.Errorf("%s: told %d times, want %d", what, len(changed), want)
			}
			for len(changed) > 0 {
				<-changed
			}
		}
		time.Sleep(dirEvery / 2)
		look("nothing", 0)
		write("a", 9*time.Hour)
		look("it came just now", 0)
		write("ab", 8*time.Hour)
		look("it is still being written", 0)
		look("it is left alone", 1)
		look("nothing new", 0)
		write("ba", 7*time.Hour)
		look("of the same length, just now", 0)
		look("of the same length", 1)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		look("gone just now", 0)
		look("gone", 1)
	})
}
