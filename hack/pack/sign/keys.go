package sign

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Keys are a feed's two keys.
type Keys struct {
	Usign *Usign
	Apk   *Apk
}

// The files of a folder of keys.
const (
	usignFile = "mpproxy-usign.sec"
	apkFile   = "mpproxy-apk.pem"
)

// Open reads the keys in dir, and makes those that are not there. The folder must lie outside of tree, the project's
// checkout: a key that lies in it is committed some day. said is told what was made.
func Open(dir, tree string, said func(string)) (*Keys, error) {
	if err := outside(dir, tree); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	k := &Keys{}
	err := file(filepath.Join(dir, usignFile), said, func(b []byte) (err error) { k.Usign, err = ParseUsign(b); return err },
		func() ([]byte, error) {
			made, err := NewUsign(rand.Reader)
			if err != nil {
				return nil, err
			}
			return made.Private(), nil
		})
	if err != nil {
		return nil, err
	}
	err = file(filepath.Join(dir, apkFile), said, func(b []byte) (err error) { k.Apk, err = ParseApk(b); return err },
		func() ([]byte, error) {
			made, err := NewApk(rand.Reader)
			if err != nil {
				return nil, err
			}
			return made.Private()
		})
	return k, err
}

func file(name string, said func(string), parse func([]byte) error, make func() ([]byte, error)) error {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if b, err = make(); err != nil {
			return err
		}
		if err = os.WriteFile(name, b, 0o600); err == nil {
			said(name)
		}
	}
	if err != nil {
		return fmt.Errorf("open key: %w", err)
	}
	if err := parse(b); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// outside refuses a dir in tree, also by way of links.
func outside(dir, tree string) error {
	root, err := filepath.EvalSymlinks(tree)
	if err != nil {
		return fmt.Errorf("open keys: %w", err)
	}
	root, err = filepath.Abs(root)
	if err != nil {
		return fmt.Errorf("open keys: %w", err)
	}
	at, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("open keys: %w", err)
	}
	for rest := ""; ; rest, at = filepath.Join(filepath.Base(at), rest), filepath.Dir(at) {
		real, err := filepath.EvalSymlinks(at)
		if err != nil && at != "/" {
			continue // not made yet
		}
		if full := filepath.Join(real, rest) + "/"; strings.HasPrefix(full, root+"/") {
			return fmt.Errorf("open keys: %s is inside the project; keys must not be, choose another folder with KEYS=", dir)
		}
		return nil
	}
}
