package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// loader is one reading of a configuration.
type loader struct {
	config   *Config
	found    problems
	portal   *section
	sections map[string]*section // by title, of all files
	files    []*sourceFile
}

// A sourceFile is one UCI file that was read.
type sourceFile struct {
	path     string
	public   bool // others than owner and group may read it
	sections []*section
}

// Load reads the file at path, its peers_dir and its secrets. All errors come at once, as Errors, also that a file cannot
// be read; the warnings are good also if there are errors. A missing private key is no error: see Config.WithKey.
func Load(path string) (*Config, []Warning, error) {
	l := &loader{config: &Config{File: path}, sections: map[string]*section{}}
	if err := l.load(path); err != nil {
		return nil, l.found.warnings, err
	}
	return l.config, l.found.warnings, nil
}

// Socket returns the path of the control socket that the file at path names, without judging the rest of it.
func Socket(path string) (string, error) {
	l := &loader{config: &Config{}, sections: map[string]*section{}}
	file, err := l.read(path)
	if err != nil {
		return "", err
	}
	s := l.portalSection(file)
	if s == nil {
		return "", l.found.err()
	}
	return decodePortal(s, &problems{}).Control, nil
}

func (l *loader) load(path string) error {
	file, err := l.read(path)
	if err != nil {
		return err
	}
	if l.portal = l.portalSection(file); l.portal == nil {
		return l.found.err()
	}
	l.add(l.portal)
	l.config.Portal = decodePortal(l.portal, &l.found)
	for _, s := range file.sections {
		l.decode(s)
	}
	if l.config.Portal.Role == RoleRemote {
		l.readPeersDir()
	}
	l.readSecrets()
	l.refuseUnavailable()
	l.check()
	l.found.sort(l.files)
	return l.found.err()
}

// read reads one file into sections. Its error is Errors.
func (l *loader) read(path string) (*sourceFile, error) {
	info, err := os.Stat(path)
	if err == nil && (info.Size() > maxFileBytes || !info.Mode().IsRegular()) {
		err = fmt.Errorf("it is no file of at most %d bytes", maxFileBytes)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		why := err
		if system := new(os.PathError); errors.As(err, &system) {
			why = system.Err
		}
		return nil, Errors{{Place: Place{File: path}, Text: "cannot be read: " + why.Error(), cause: err}}
	}
	sections, err := readUCI(path, string(text))
	if one := new(Error); errors.As(err, &one) {
		return nil, Errors{one}
	} else if err != nil {
		return nil, Errors{{Place: Place{File: path}, Text: err.Error(), cause: err}}
	}
	file := &sourceFile{path: path, public: info.Mode().Perm()&worldReadable != 0, sections: sections}
	l.files = append(l.files, file)
	return file, nil
}

// portalSection returns the one portal section of the main file, or nil after an error.
func (l *loader) portalSection(file *sourceFile) *section {
	var portal *section
	for _, s := range file.sections {
		switch {
		case s.kind != "portal":
		case portal != nil:
			l.found.fail(s.at(), "there is a second portal section; the first is in line %d", portal.line)
			return nil
		default:
			portal = s
		}
	}
	if portal == nil {
		l.found.fail(Place{File: file.path}, "has no section \"config portal 'main'\"")
	} else if portal.name != "main" {
		l.found.warn(portal.at(), "should be called 'main'")
	}
	return portal
}

// add remembers a section under its title; false, with an error, if there is one already, in another file.
func (l *loader) add(s *section) bool {
	if old := l.sections[s.title()]; old != nil {
		l.found.fail(s.at(), "is already in %s:%d", old.file, old.line)
		return false
	}
	l.sections[s.title()] = s
	return true
}

// decode reads one section that is not the portal's.
func (l *loader) decode(s *section) {
	portal := &l.config.Portal
	if s.kind == "portal" || !l.add(s) {
		return
	}
	owner := Role("")
	switch s.kind {
	case "remote":
		owner = RoleLocal
		l.config.Remotes = append(l.config.Remotes, decodeRemote(s, portal.Role, &l.found))
	case "link":
		owner = RoleLocal
		l.config.Links = append(l.config.Links, decodeLink(s, *portal, &l.found))
	case "peer":
		owner = RoleRemote
		l.config.Peers = append(l.config.Peers, decodePeer(s, *portal, &l.found))
	case "socks":
		l.config.SOCKS = append(l.config.SOCKS, decodeSOCKS(s, portal.Role, &l.found))
	case "user":
		l.config.Users = append(l.config.Users, decodeUser(s, portal.Role, &l.found))
	case "route":
		owner = RoleLocal
		l.config.Routes = append(l.config.Routes, decodeRoute(s, portal.Role, &l.found))
	case "relay":
		owner = RoleLocal
		l.config.Relays = append(l.config.Relays, decodeRelay(s, portal.Role, &l.found))
	case "rule":
		if !isUsedRule(s) {
			l.decodeOther(s)
			return
		}
		owner = RoleLocal
		l.config.Rules = append(l.config.Rules, decodeRule(s, portal.Role, &l.found))
	default:
		l.decodeOther(s)
	}
	if owner != "" && s.anonymous && s.kind != "rule" { // nothing names a rule
		l.found.warn(s.at(), "has no name in the file, so it is called '%s'; give it one", s.name)
	}
	if owner != "" && owner != portal.Role {
		l.found.warn(s.at(), "is used with role %s only", owner)
	}
}

// readPeersDir reads one file per enrolled router.
func (l *loader) readPeersDir() {
	dir := l.config.Portal.Remote.PeersDir
	entries, err := os.ReadDir(dir)
	at := l.portalAt("peers_dir")
	switch {
	case errors.Is(err, os.ErrNotExist):
		if l.portal.find("peers_dir") != nil {
			l.found.warn(at, "does not exist yet")
		}
		return
	case err != nil:
		l.found.fail(at, "cannot be read: %v", err)
		return
	}
	for _, entry := range entries { // sorted by name
		name := entry.Name()
		if entry.IsDir() || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".tmp") {
			continue
		}
		file, err := l.read(filepath.Join(dir, name))
		if all := (Errors)(nil); errors.As(err, &all) {
			l.found.errors = append(l.found.errors, all...)
			continue
		}
		for _, s := range file.sections {
			if s.kind != "peer" {
				l.found.fail(s.at(), "does not belong here; files in %s hold peer sections only", dir)
				continue
			}
			l.decode(s)
		}
	}
}

// at returns the place of an option of a section, or of the section if the option is not set.
func (l *loader) at(kind, name, option string) Place {
	s := l.sections[(&section{kind: kind, name: name}).title()]
	if s == nil {
		return Place{File: l.config.File}
	}
	if option == "" {
		return s.at()
	}
	return newDecoder(s, "", nil).at(option)
}

// portalAt is at for the portal's section.
func (l *loader) portalAt(option string) Place { return l.at("portal", l.portal.name, option) }
