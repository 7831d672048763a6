package system

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// sysctls changes kernel settings and keeps the values from before in a file, because nothing in the kernel tells ours
// from others after a crash.
type sysctls struct {
	root string // /proc/sys
	file string
}

// saved is a setting as it was before us, and as we made it.
type saved struct {
	Key  []string `json:"key"`
	Old  string   `json:"old"`
	New  string   `json:"new"`
	Side []side   `json:"side,omitempty"`
}

// side is a setting that changes along with another.
type side struct {
	Key []string `json:"key"`
	Old string   `json:"old"`
}

// set makes a setting unless it stands so already, or its conditions do not hold.
func (s sysctls) set(o Sysctl) (undo func() error, made bool, err error) {
	old, err := s.read(o.Key)
	if err != nil {
		return nil, false, err
	}
	if old == o.Value || !s.holds(o.If) {
		return nil, false, nil
	}
	x := saved{Key: o.Key, Old: old, New: o.Value}
	for _, key := range s.dependent(o.Key) {
		if value, err := s.read(key); err == nil {
			x.Side = append(x.Side, side{key, value})
		}
	}
	if err := s.remember(x); err != nil {
		return nil, false, err
	}
	return func() error { return s.restore(x) }, true, s.write(o.Key, o.Value)
}

// holds reports whether any condition is true, or there is none.
func (s sysctls) holds(list []Condition) bool {
	return len(list) == 0 || slices.ContainsFunc(list, func(c Condition) bool {
		value, err := s.read(c.Key)
		return err == nil && value == c.Value
	})
}

// dependent lists the settings that writing key changes too: conf/all/forwarding overwrites every device's.
func (s sysctls) dependent(key []string) [][]string {
	n := len(key)
	if n < 2 || key[n-2] != "all" || key[n-1] != "forwarding" {
		return nil
	}
	dir := key[:n-2]
	devices, err := os.ReadDir(s.path(dir))
	if err != nil {
		return nil
	}
	var list [][]string
	for _, d := range devices {
		if d.Name() != "all" {
			list = append(list, append(slices.Clone(dir), d.Name(), key[n-1]))
		}
	}
	return list
}

// restore writes the old value back if ours still stands, and forgets it. A device that is gone is no error.
func (s sysctls) restore(x saved) error {
	var errs []error
	if now, err := s.read(x.Key); err == nil && now == x.New {
		errs = append(errs, s.write(x.Key, x.Old))
		for _, y := range x.Side {
			if now, err := s.read(y.Key); err == nil && now != y.Old {
				errs = append(errs, s.write(y.Key, y.Old))
			}
		}
	}
	return errors.Join(append(errs, s.forget(x))...)
}

// recover restores what the file of a killed daemon tells, last change first. A file that cannot be read is removed, so
// that it is in nobody's way again.
func (s sysctls) recover() error {
	list, err := s.load()
	if err != nil {
		return errors.Join(err, s.store(nil))
	}
	var errs []error
	for _, x := range slices.Backward(list) {
		errs = append(errs, s.restore(x))
	}
	return errors.Join(errs...)
}

func (s sysctls) path(key []string) string {
	return filepath.Join(append([]string{s.root}, key...)...)
}

func (s sysctls) read(key []string) (string, error) {
	if key[0] == mptcpLimit {
		return readMPTCPLimit()
	}
	data, err := os.ReadFile(s.path(key))
	return strings.TrimSpace(string(data)), err
}

func (s sysctls) write(key []string, value string) error {
	if key[0] == mptcpLimit {
		return writeMPTCPLimit(value)
	}
	return os.WriteFile(s.path(key), []byte(value+"\n"), 0)
}

func (s sysctls) load() (list []saved, err error) {
	data, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("read old kernel settings: %w", err)
	}
	return list, nil
}

// remember adds to the file, before anything is changed. What it knows already is older and stays.
func (s sysctls) remember(x saved) error {
	known, err := s.load()
	if err != nil || slices.ContainsFunc(known, x.same) {
		return err
	}
	return s.store(append(known, x))
}

func (s sysctls) forget(x saved) error {
	known, err := s.load()
	if err != nil || len(known) == 0 {
		return err
	}
	return s.store(slices.DeleteFunc(known, x.same))
}

func (x saved) same(y saved) bool { return slices.Equal(x.Key, y.Key) }

// store replaces the file as a whole, or removes it when there is nothing to keep.
func (s sysctls) store(list []saved) error {
	if len(list) == 0 {
		if err := os.Remove(s.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove file of old kernel settings: %w", err)
		}
		return nil
	}
	data, err := json.MarshalIndent(list, "", "\t")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(s.file), 0o755)
	}
	if err == nil {
		err = os.WriteFile(s.file+".new", data, 0o600)
	}
	if err == nil {
		err = os.Rename(s.file+".new", s.file)
	}
	if err != nil {
		return fmt.Errorf("write old kernel settings: %w", err)
	}
	return nil
}
