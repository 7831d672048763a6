package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
)

// A Change is what shall become of one named section of a UCI file.
type Change struct {
	Kind, Name string
	// Remove takes the section away; Options do not count then.
	Remove bool
	// Rename, if not empty, is the section's new name.
	Rename  string
	Options []Setting
}

// A Setting is an option's new value; without values the option is taken away.
type Setting struct {
	Name   string
	Values []string
	List   bool // written as list, whatever the number of values
}

// Set returns a Setting of one value.
func Set(name, value string) Setting { return Setting{Name: name, Values: []string{value}} }

// Edit returns a UCI text with changes made, and every other byte, comments too, as it was. Sections that are not there are
// added at the end. file is for messages. The result is one that uci reads.
func Edit(file, text string, changes ...Change) (string, error) {
	for _, c := range changes {
		places, err := locate(file, text)
		if err != nil {
			return "", err
		}
		if text, err = c.apply(text, places); err != nil {
			return "", err
		}
	}
	if _, err := scan(file, text); err != nil {
		return "", fmt.Errorf("edit %s: the result makes no sense: %w", file, err)
	}
	return text, nil
}

// placed is a statement and where in the text it stands.
type placed struct {
	statement
	from, to int
}

func locate(file, text string) (list []placed, err error) {
	s := &scanner{file: file, text: text, line: 1}
	for {
		word, ok := s.keyword()
		if !ok {
			return list, nil
		}
		from := s.pos - len(word)
		s.pos = from
		st, ok, err := s.statement()
		if err != nil {
			return nil, err
		}
		if !ok {
			return list, nil
		}
		to := s.pos
		if i := strings.IndexByte(text[from:to], '\n'); i >= 0 && strings.TrimSpace(text[from+i:to]) == "" {
			to = from + i
		}
		list = append(list, placed{st, from, to})
	}
}

// apply makes one change.
func (c Change) apply(text string, list []placed) (string, error) {
	if !isName(c.Kind, true) || !isName(c.Name, false) || c.Rename != "" && !isName(c.Rename, false) {
		return "", fmt.Errorf("'%s' is no name of a section: letters, digits and '_' are allowed", shorten(c.Name+c.Rename))
	}
	var mine []placed
	inside := false
	for _, p := range list {
		if p.word == "config" {
			inside = p.value.text == c.Name
			if inside && p.name.text != c.Kind {
				return "", fmt.Errorf("the name '%s' is already that of a %s section", c.Name, p.name.text)
			}
		}
		if inside {
			mine = append(mine, p)
		}
	}
	if c.Remove {
		for _, p := range slices.Backward(mine) {
			text = cut(text, p)
		}
		return text, nil
	}
	if len(mine) == 0 {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		if text != "" {
			text += "\n"
		}
		text += fmt.Sprintf("config %s '%s'\n", c.Kind, c.Name)
		mine = []placed{{from: len(text) - 1, to: len(text) - 1}}
	}
	return c.set(text, mine)
}

// set changes the options of a section whose statements are mine, from the end to the beginning so that places hold.
func (c Change) set(text string, mine []placed) (string, error) {
	var added strings.Builder
	for _, o := range c.Options {
		lines, err := o.lines()
		if err != nil {
			return "", err
		}
		added.WriteString(lines)
	}
	changed := func(p placed) bool {
		return (p.word == "option" || p.word == "list") && slices.ContainsFunc(c.Options, func(o Setting) bool { return o.Name == p.name.text })
	}
	end := mine[len(mine)-1].to
	for _, p := range mine { // the first occurrence ends where the next one begins
		if p.word == "config" && p.from > mine[0].from {
			break
		}
		end = p.to
	}
	end += lineRest(text[end:])
	insert := strings.TrimSuffix("\n"+added.String(), "\n")
	text = text[:end] + insert + text[end:]
	for _, p := range slices.Backward(mine) {
		switch {
		case changed(p) && p.from < end:
			text = cut(text, p)
		case changed(p):
			text = cut(text, placed{p.statement, p.from + len(insert), p.to + len(insert)})
		case p.word == "config" && c.Rename != "":
			text = text[:p.from] + fmt.Sprintf("config %s '%s'", c.Kind, c.Rename) + text[p.to:]
		}
	}
	return text, nil
}

// lineRest is the length of what is left of the line: spaces and a comment.
func lineRest(text string) int {
	n := strings.IndexByte(text, '\n')
	if n < 0 {
		n = len(text)
	}
	if rest := strings.TrimSpace(text[:n]); rest == "" || rest[0] == '#' {
		return n
	}
	return 0
}

// cut takes a statement out of the text, with its line if nothing else is on it.
func cut(text string, p placed) string {
	from, to := p.from, p.to
	begin := strings.LastIndexByte(text[:from], '\n') + 1
	end := to + strings.IndexByte(text[to:]+"\n", '\n')
	if strings.TrimSpace(text[begin:from]) == "" && strings.TrimSpace(text[to:end]) == "" {
		return text[:begin] + text[min(end+1, len(text)):]
	}
	return text[:from] + text[to:]
}

// lines writes the setting as UCI.
func (o Setting) lines() (string, error) {
	if !isName(o.Name, false) {
		return "", fmt.Errorf("'%s' is no name of an option", shorten(o.Name))
	}
	if len(o.Values) > 1 && !o.List {
		return "", fmt.Errorf("option %s can have one value only", o.Name)
	}
	word := "option"
	if o.List {
		word = "list"
	}
	var out strings.Builder
	for _, v := range o.Values {
		if strings.ContainsAny(v, "\x00\r\n") || v == "" {
			return "", fmt.Errorf("option %s: the value '%s' is empty or has line ends", o.Name, shorten(v))
		}
		fmt.Fprintf(&out, "\t%s %s '%s'\n", word, o.Name, strings.ReplaceAll(v, "'", `'\''`))
	}
	return out.String(), nil
}

// ReplaceFile gives a file a new text so that at every instant, also after a power cut, it is whole: as before or new. Mode
// and owner stay; a new file gets mode.
func ReplaceFile(path, text string, mode fs.FileMode) (err error) {
	info, err := os.Stat(path)
	if err == nil {
		mode = info.Mode().Perm()
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("write %s: %w", path, err)
	}
	next := path + ".mpproxy-new"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, secretFileMode)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(next)
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	if info != nil {
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(s.Uid), int(s.Gid)) // fails only where we are not root, and then the owner is us anyway
		}
	}
	if _, err = f.WriteString(text); err != nil {
		return err
	}
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(next, path); err != nil {
		return err
	}
	return syncDir(parent(path))
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "."
}

// ReadPeers reads a text that holds peer sections only, as a file in peers_dir does.
func ReadPeers(file, text string, portal Portal) ([]Peer, error) {
	sections, err := readUCI(file, text)
	if err != nil {
		return nil, err
	}
	var found problems
	var peers []Peer
	for _, s := range sections {
		if s.kind != "peer" {
			found.fail(s.at(), "does not belong here; this file holds peer sections only")
			continue
		}
		peers = append(peers, decodePeer(s, portal, &found))
	}
	return peers, found.err()
}

// ParseHostPort reads a server's address, with DefaultPort if it names none.
func ParseHostPort(text string) (HostPort, error) { return parseHostPort(text, DefaultPort) }

// SecretsDir returns where the configuration at path keeps its keys, without judging the rest of it.
func SecretsDir(path string) (string, error) {
	l := &loader{config: &Config{}, sections: map[string]*section{}}
	file, err := l.read(path)
	if err != nil {
		return "", err
	}
	s := l.portalSection(file)
	if s == nil {
		return "", l.found.err()
	}
	return decodePortal(s, &problems{}).SecretsDir, nil
}

// Same reports that two texts mean the same: the same sections in the same order with the same options and values.
func Same(file, a, b string) (bool, error) {
	var lists [2][]*section
	for i, text := range []string{a, b} {
		list, err := readUCI(file, text)
		if err != nil {
			return false, err
		}
		lists[i] = list
	}
	return slices.EqualFunc(lists[0], lists[1], func(x, y *section) bool {
		return x.kind == y.kind && x.name == y.name && len(x.options) == len(y.options) && !slices.ContainsFunc(x.options, func(o *option) bool {
			p := y.find(o.name)
			return p == nil || !slices.EqualFunc(o.values, p.values, func(v, w token) bool { return v.text == w.text })
		})
	}), nil
}
