package config

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Modes of what keeps secrets, and the bits that must not be set.
const (
	secretsDirMode  = 0o700
	secretFileMode  = 0o600
	worldReadable   = 0o004
	worldAccess     = 0o007
	maxSecretBytes  = 4096
	privateKeyFile  = "private_key"
	presharedSuffix = ".psk"
)

// readSecrets fills in the keys that are in files of their own, and warns of keys that others can read.
func (l *loader) readSecrets() {
	portal := &l.config.Portal
	l.warnReadable()
	l.mergeSecret(&portal.PrivateKey, privateKeyFile, "portal", l.portal.name, "private_key")
	for i := range l.config.Remotes {
		r := &l.config.Remotes[i]
		l.mergeSecret(&r.PresharedKey, "remote."+r.Name+presharedSuffix, "remote", r.Name, "preshared_key")
	}
	for i := range l.config.Peers {
		p := &l.config.Peers[i]
		l.mergeSecret(&p.PresharedKey, "peer."+p.Name+presharedSuffix, "peer", p.Name, "preshared_key")
	}
	for i := range l.config.Users {
		l.mergePassword(&l.config.Users[i].Password, "user."+l.config.Users[i].Name)
	}
	for i := range l.config.Relays {
		l.mergePassword(&l.config.Relays[i].Password, "relay."+l.config.Relays[i].Name)
	}
}

// mergeSecret reads a key from its file unless the option gave it; two different ones are an error.
func (l *loader) mergeSecret(key *SecretKey, file, kind, name, option string) {
	path := filepath.Join(l.config.Portal.SecretsDir, file)
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil && info.Mode().Perm()&worldAccess != 0 {
		l.found.warn(Place{File: path}, "can be read by everybody on this machine; run: chmod 600 %s", path)
	}
	var kept SecretKey
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("is no file")
	} else if err == nil {
		kept, err = readSecret(path)
	}
	switch {
	case err != nil:
		l.found.fail(Place{File: path}, "%v", err)
	case key.IsZero():
		*key = kept
	case *key != kept:
		at := l.at(kind, name, option)
		at.Value = ""
		l.found.fail(at, "differs from the key in %s; remove one of the two", path)
	}
}

// readSecret reads a key from a file of its own. The error does not name the file.
func readSecret(path string) (SecretKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return SecretKey{}, fmt.Errorf("cannot be read: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretBytes))
	if err != nil {
		return SecretKey{}, fmt.Errorf("cannot be read: %w", err)
	}
	return ParseSecretKey(string(text))
}

// mergePassword reads a password from its file unless the option gave it.
func (l *loader) mergePassword(p *Password, file string) {
	path := filepath.Join(l.config.Portal.SecretsDir, file)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || !p.IsZero() {
		return
	}
	if info, statErr := os.Stat(path); statErr == nil && info.Mode().Perm()&worldAccess != 0 {
		l.found.warn(Place{File: path}, "can be read by everybody on this machine; run: chmod 600 %s", path)
	}
	var kept Password
	if err == nil && len(text) > maxSecretBytes {
		err = errors.New("is too long for a password")
	} else if err == nil {
		kept, err = parsePassword(string(text))
	}
	if err != nil {
		l.found.fail(Place{File: path}, "%v", err)
		return
	}
	*p = kept
}

// warnReadable warns of keys that are written into files which others can read.
func (l *loader) warnReadable() {
	for _, file := range l.files {
		for _, s := range file.sections {
			for _, name := range []string{"private_key", "preshared_key", "password"} {
				o := s.find(name)
				if o == nil {
					continue
				}
				at := Place{File: s.file, Line: o.line, Section: s.title(), Option: name}
				if file.public {
					l.found.warn(at, "can be read by everybody on this machine; run: chmod 600 %s", file.path)
				}
				if l.config.Portal.Role == RoleLocal {
					l.found.warn(at, "can be read by every LuCI user who may see this configuration; %s is the place for it", l.config.Portal.SecretsDir)
				}
			}
		}
	}
}

// WithKey returns c with its private key. If there is none yet, one is made and kept in the secrets directory, and
// made is true: the caller then logs the public key, which the other side needs.
func (c *Config) WithKey() (with *Config, made bool, err error) {
	if !c.Portal.PrivateKey.IsZero() {
		return c, false, nil
	}
	key, err := NewPrivateKey(rand.Reader)
	if err != nil {
		return nil, false, err
	}
	path := filepath.Join(c.Portal.SecretsDir, privateKeyFile)
	if err := WriteSecret(path, key.Text()+"\n"); err != nil {
		return nil, false, fmt.Errorf("keep private key: %w", err)
	}
	out := *c
	out.Portal.PrivateKey = key
	return &out, true, nil
}

// WriteSecret writes text to the file at path so that at every instant, also after a power cut, the file is either whole
// or as it was, and readable by its owner only. It makes the directory if there is none.
func WriteSecret(path, text string) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, secretsDirMode); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.WriteString(text); err == nil {
		err = f.Chmod(secretFileMode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
