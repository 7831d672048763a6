package portal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"time"

	"mpproxy/src/config"
)

const (
	// capsInRAM is how often counts are written where nothing wears out. A crash costs no more.
	capsInRAM = 10 * time.Second
	// capsToFlash is how often they are written where they outlive a power cut; beside that at each per cent of a cap. A link
	// costs at most 24 + 100 writes in a day, and some 24 in a day of a month's period. Each end of the program costs one more.
	capsToFlash = time.Hour
	// capsName is the file's name beside the secrets' directory.
	capsName = "caps"
)

// capCounts is what the files hold.
type capCounts struct {
	// Serial counts the writes: the file with the higher one is the newer.
	Serial uint64               `json:"serial"`
	Links  map[string]*capCount `json:"links"`
}

// capStep is what has to be on flash as soon as it changes.
type capStep struct {
	percent    int
	since      string
	correction string
}

type capSteps map[string]capStep

// capFiles keeps counts in two files. Not safe for concurrent use.
type capFiles struct {
	log        *slog.Logger
	flash, ram string // empty: there is no such place
	steps      capSteps
	flashed    time.Time
	rammed     time.Time
	onFlash    string // what was written last
	inRAM      string
	before     map[string]*capCount // what was on flash at the start, until steps are made of it; nil: nothing
	serial     uint64
	there      bool // a file may be there
	trouble    string
}

func placeCapFiles(configFile, socket string, log *slog.Logger) capFiles {
	f := capFiles{log: log, ram: socket + ".caps", steps: capSteps{}, flashed: time.Now()}
	if secrets, err := config.SecretsDir(configFile); err == nil {
		f.flash = filepath.Join(filepath.Dir(secrets), capsName)
	}
	return f
}

// read returns the newer file's counts. A file that makes no sense counts for nothing, and that is said.
func (f *capFiles) read() map[string]*capCount {
	links := map[string]*capCount{}
	for _, path := range []string{f.flash, f.ram} {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || path == "" {
			continue
		}
		f.there = true
		var one capCounts
		if err == nil {
			err = json.Unmarshal(text, &one)
		}
		if err != nil {
			f.log.Warn("what was counted for data caps cannot be read", "file", path, "err", err)
			continue
		}
		maps.DeleteFunc(one.Links, func(_ string, c *capCount) bool { return c == nil })
		if path == f.flash {
			f.wasWritten(one.Links)
		}
		if one.Serial <= f.serial {
			continue
		}
		f.serial = one.Serial
		links = one.Links
	}
	if links == nil {
		links = map[string]*capCount{}
	}
	return links
}

// wasWritten takes what is on flash as written by this run, when it was: a start alone is no reason to write.
func (f *capFiles) wasWritten(links map[string]*capCount) {
	text, err := json.Marshal(links)
	info, statErr := os.Stat(f.flash)
	if err != nil || statErr != nil {
		return
	}
	f.onFlash, f.before = string(text), maps.Clone(links)
	if age := time.Since(info.ModTime()); age > 0 { // else the clock was set back, or is not set yet
		f.flashed = f.flashed.Add(-min(age, capsToFlash))
	}
}

// follow makes steps of what was on flash, once the plans are known.
func (f *capFiles) follow(stepsOf func(map[string]*capCount) capSteps) {
	if f.before != nil {
		f.steps, f.before = stepsOf(f.before), nil
	}
}

// write writes each file whose time has come, and removes both when there is nothing to count any more.
func (f *capFiles) write(links string, steps capSteps, ending bool) {
	if len(steps) == 0 {
		f.remove()
		return
	}
	now := time.Now()
	flash := links != f.onFlash && (ending || !maps.Equal(steps, f.steps) || now.Sub(f.flashed) >= capsToFlash)
	ram := links != f.inRAM && (flash || now.Sub(f.rammed) >= capsInRAM)
	if !flash && !ram {
		return
	}
	f.serial++
	whole := fmt.Sprintf("{\"serial\":%d,\"links\":%s}\n", f.serial, links)
	f.there = true
	if ram {
		f.inRAM, f.rammed = links, now
		f.replace(f.ram, whole)
	}
	if flash {
		f.onFlash, f.flashed, f.steps = links, now, maps.Clone(steps)
		if f.replace(f.flash, whole) && ending {
			_ = os.Remove(f.ram)
		}
	}
}

func (f *capFiles) replace(path, text string) bool {
	if path == "" {
		return false
	}
	err := config.ReplaceFile(path, text, capsMode)
	if err != nil {
		f.complain(err)
	}
	return err == nil
}

func (f *capFiles) remove() {
	if !f.there {
		return
	}
	for _, path := range []string{f.flash, f.ram} {
		_ = os.Remove(path)
	}
	f.there, f.onFlash, f.inRAM, f.steps = false, "", "", capSteps{}
}

// capsMode is that of the files.
const capsMode = 0o600

// complain says once what is wrong. Counting goes on in memory.
func (f *capFiles) complain(err error) {
	if f.trouble != err.Error() {
		f.trouble = err.Error()
		f.log.Warn("what was counted for data caps will not outlive a restart", "err", err)
	}
}
