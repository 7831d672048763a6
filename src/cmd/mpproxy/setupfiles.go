package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mpproxy/src/config"
)

// manifestPath is where setup remembers what it made, so that it can be taken back.
const manifestPath = serverDir + "/setup.json"

// manifest is what setup made, below --root, in the order of making.
type manifest struct {
	Dirs  []string `json:"dirs"`
	Files []string `json:"files"`
	// Replaced are files that were there before, with their text and mode.
	Replaced map[string]oldFile `json:"replaced,omitempty"`
}

type oldFile struct {
	Text string      `json:"text"`
	Mode fs.FileMode `json:"mode"`
}

// write makes all files. What it makes is noted before it is made, so that a set-up that was cut off can be removed too.
func (s *serverSetup) write() error {
	m, err := s.readManifest()
	if err != nil {
		return err
	}
	if err := s.dir(m, serverDir, 0o755); err != nil {
		return err
	}
	if s.text != "" {
		if err := s.file(m, serverConfig, s.text, 0o640); err != nil {
			return err
		}
	}
	if err := s.unit(m); err != nil {
		return err
	}
	for _, dir := range []string{"/secrets", "/peers.d", "/tokens"} {
		if err := s.dir(m, serverDir+dir, 0o700); err != nil {
			return err
		}
	}
	if err := s.key(); err != nil {
		return err
	}
	return s.own()
}

// unit writes the systemd unit unless a package brought it.
func (s *serverSetup) unit(m *manifest) error {
	if _, err := os.Stat(s.root + unitPackaged); err != nil {
		if err := s.file(m, unitPath, unitText, 0o644); err != nil {
			return err
		}
		self, err := os.Executable()
		if _, there := os.Stat(s.root + programPath); err == nil && there != nil {
			program, err := os.ReadFile(self)
			if err != nil {
				return fmt.Errorf("copy the program: %w", err)
			}
			if err := s.file(m, programPath, string(program), 0o755); err != nil {
				return err
			}
		}
	}
	why := s.needsRoot()
	if why == "" {
		return nil
	}
	if err := s.dir(m, filepath.Dir(unitRoot), 0o755); err != nil {
		return err
	}
	return s.file(m, unitRoot, fmt.Sprintf(rootText, why), 0o644)
}

// needsRoot says why the service cannot run as its own user; "" if it can.
func (s *serverSetup) needsRoot() string {
	if _, err := user.Lookup(serviceUser); err != nil {
		return "there is no user " + serviceUser + " here"
	}
	if out, err := exec.Command("firewall-cmd", "--state").Output(); err == nil && strings.TrimSpace(string(out)) == "running" {
		return "firewalld takes orders from root only"
	}
	if out, err := exec.Command("iptables", "--version").Output(); err == nil && strings.Contains(string(out), "legacy") {
		return "iptables of the legacy kind works for root only"
	}
	return ""
}

// key makes the server's key.
func (s *serverSetup) key() error {
	cfg, _, err := config.Load(s.root + serverConfig)
	if err != nil {
		return err
	}
	cfg, _, err = cfg.WithKey()
	if err != nil {
		return err
	}
	public, err := cfg.Portal.PrivateKey.Public()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.err, "ok      key made; its public half is %s\n", public)
	return nil
}

// own gives what the service must read and write to its user.
func (s *serverSetup) own() error {
	u, err := user.Lookup(serviceUser)
	if err != nil || s.needsRoot() != "" || s.root != "" {
		return nil
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return filepath.WalkDir(serverDir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == manifestPath {
			return err
		}
		return os.Lchown(path, uid, gid)
	})
}

func (s *serverSetup) readManifest() (*manifest, error) {
	m := &manifest{Replaced: map[string]oldFile{}}
	raw, err := os.ReadFile(s.root + manifestPath)
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, m)
	}
	if err != nil {
		return nil, fmt.Errorf("read what an earlier set-up made: %w", err)
	}
	return m, nil
}

// note writes the manifest down.
func (s *serverSetup) note(m *manifest) error {
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	return config.ReplaceFile(s.root+manifestPath, string(text)+"\n", 0o600)
}

// dir makes a directory and those above it.
func (s *serverSetup) dir(m *manifest, path string, mode fs.FileMode) error {
	if _, err := os.Stat(s.root + path); err == nil {
		return nil
	}
	if path != "/" && path != "." {
		if err := s.dir(m, filepath.Dir(path), 0o755); err != nil {
			return err
		}
	}
	m.Dirs = append(m.Dirs, path)
	if path != serverDir && strings.HasPrefix(path, "/") { // its own place is made first
		if _, err := os.Stat(s.root + serverDir); err == nil {
			if err := s.note(m); err != nil {
				return err
			}
		}
	}
	if err := os.Mkdir(s.root+path, mode); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	return nil
}

// file writes a file and remembers what was there.
func (s *serverSetup) file(m *manifest, path, text string, mode fs.FileMode) error {
	raw, err := os.ReadFile(s.root + path)
	if err == nil && string(raw) == text {
		return nil
	}
	if err == nil && !slices.Contains(m.Files, path) {
		info, err := os.Stat(s.root + path)
		if err != nil {
			return fmt.Errorf("look at %s: %w", path, err)
		}
		m.Replaced[path] = oldFile{string(raw), info.Mode().Perm()}
	}
	if err := s.dir(m, filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if !slices.Contains(m.Files, path) {
		m.Files = append(m.Files, path)
	}
	if err := s.note(m); err != nil {
		return err
	}
	if err := config.ReplaceFile(s.root+path, text, mode); err != nil {
		return err
	}
	fmt.Fprintf(s.err, "wrote   %s\n", path)
	return nil
}

// remove takes back all that setup made, and what the portal kept in its own directory; with --keep the keys and routers stay.
func (s *serverSetup) remove(ctx context.Context) error {
	if _, err := os.Stat(s.root + manifestPath); err != nil {
		return errors.New("there is nothing to remove: this machine was not set up by mpproxy setup remote")
	}
	m, err := s.readManifest()
	if err != nil {
		return err
	}
	if s.systemd() {
		_ = exec.CommandContext(ctx, "systemctl", "disable", "--now", "mpproxy.service").Run() // fails if it never started
	}
	var errs []error
	for _, path := range slices.Backward(m.Files) {
		if s.flags["keep"] && strings.HasPrefix(path, serverDir+"/") {
			continue
		}
		if old, ok := m.Replaced[path]; ok {
			errs = append(errs, config.ReplaceFile(s.root+path, old.Text, old.Mode), os.Chmod(s.root+path, old.Mode))
		} else if err := os.Remove(s.root + path); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
		fmt.Fprintf(s.err, "removed %s\n", path)
	}
	errs = append(errs, s.removeDirs(m))
	if s.systemd() {
		errs = append(errs, exec.CommandContext(ctx, "systemctl", "daemon-reload").Run())
	}
	if s.flags["keep"] {
		fmt.Fprintf(s.err, "Keys and routers stay in %s.\n", serverDir)
	}
	return errors.Join(errs...)
}

// removeDirs removes the directories that setup made: its own with all that is in them, others only if they are empty.
func (s *serverSetup) removeDirs(m *manifest) error {
	var errs []error
	for _, dir := range slices.Backward(m.Dirs) {
		ours := dir == serverDir || strings.HasPrefix(dir, serverDir+"/")
		switch {
		case ours && s.flags["keep"]:
		case ours:
			errs = append(errs, os.RemoveAll(s.root+dir))
		default:
			_ = os.Remove(s.root + dir) // somebody else may have put something there
		}
	}
	if !slices.Contains(m.Dirs, serverDir) && !s.flags["keep"] {
		errs = append(errs, os.Remove(s.root+manifestPath))
	}
	return errors.Join(errs...)
}
