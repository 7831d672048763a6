package portal

import (
	"context"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"time"
)

// dirEvery is how often a directory is looked at. It costs one stat for each file, works on every file system, and sees
// files that another machine writes.
const dirEvery = 2 * time.Second

// dirWatch tells when the files of a directory changed and then were left alone for one look.
type dirWatch struct {
	path    string
	changed chan<- struct{}
}

// String implements task.
func (d *dirWatch) String() string { return "watch of " + d.path }

// Run implements task.
func (d *dirWatch) Run(ctx context.Context) error {
	tick := time.NewTicker(dirEvery)
	defer tick.Stop()
	told := fingerprint(d.path)
	last := told
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := fingerprint(d.path)
		if now == last && now != told {
			told = now
			select {
			case d.changed <- struct{}{}:
			default:
			}
		}
		last = now
	}
}

// fingerprint differs when a file came, went, or was written. A directory that is not there has no files.
func fingerprint(dir string) uint64 {
	sum := fnv.New64a()
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := os.Stat(filepath.Join(dir, e.Name())); err == nil {
			fmt.Fprintf(sum, "%s %d %d %v\n", e.Name(), info.Size(), info.ModTime().UnixNano(), info.Mode())
		}
	}
	return sum.Sum64()
}
