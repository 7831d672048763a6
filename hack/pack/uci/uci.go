// Package uci is the small part of OpenWrt's uci program that scripts use, for throw-away roots on machines that have
// no uci: get, show, set, add_list, delete, changes, commit, batch; staged changes in /tmp/.uci, which a commit takes
// along whoever staged them, as the real one does. Files are written as the real one writes them.
package uci

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Main runs the program with the arguments after its name and returns its exit status.
func Main(args []string, in io.Reader, out, complain io.Writer) int {
	u := program{config: "/etc/config", own: "/tmp/.uci", staged: []string{"/tmp/.uci"}, out: out}
	quiet := false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch {
		case args[0] == "-q":
			quiet = true
			args = args[1:]
		case len(args) > 1 && args[0] == "-c":
			u.config, args = args[1], args[2:]
		case len(args) > 1 && (args[0] == "-t" || args[0] == "-P"):
			u.own, u.staged, args = args[1], append(u.staged, args[1]), args[2:]
		default:
			fmt.Fprintln(complain, "uci: this small uci has no option", args[0])
			return 255
		}
	}
	if err := u.run(args, in); err != nil {
		if !quiet {
			fmt.Fprintln(complain, "uci:", err)
		}
		return 1
	}
	return 0
}

type program struct {
	config, own string
	staged      []string // where deltas are read from; own is where they are written
	out         io.Writer
}

var errNotFound = errors.New("entry not found")

func (u program) run(args []string, in io.Reader) error {
	if len(args) == 0 {
		return fmt.Errorf("this small uci shows no help")
	}
	if args[0] == "batch" {
		text, err := io.ReadAll(in)
		if err != nil {
			return err
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			words, err := split(line)
			if err != nil {
				return err
			}
			if len(words) > 0 {
				if err := u.run(words, nil); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if len(args) != 2 {
		return fmt.Errorf("%s needs one argument here", args[0])
	}
	name, rest, _ := strings.Cut(args[1], ".")
	name, _, _ = strings.Cut(name, "=")
	switch args[0] {
	case "get", "show":
		f, err := u.load(name)
		if err != nil {
			return err
		}
		return f.print(u.out, name, rest, args[0] == "show")
	case "set", "add_list", "delete":
		return u.stage(name, args[0]+" "+rest)
	case "changes":
		for _, dir := range u.staged {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil {
				_, err = u.out.Write(text)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	case "commit":
		return u.commit(name)
	}
	return fmt.Errorf("this small uci has no %s", args[0])
}

// load reads a configuration with everything staged for it.
func (u program) load(name string) (*file, error) {
	text, err := os.ReadFile(filepath.Join(u.config, name))
	if err != nil {
		return nil, errNotFound
	}
	f, err := parse(string(text))
	if err != nil {
		return nil, err
	}
	for _, dir := range u.staged {
		delta, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(delta), "\n"), "\n") {
			verb, what, _ := strings.Cut(line, " ")
			if line != "" {
				if err := f.change(verb, what); err != nil {
					return nil, err
				}
			}
		}
	}
	return f, nil
}

func (u program) stage(name, line string) error {
	f, err := u.load(name)
	if err != nil {
		return err
	}
	verb, what, _ := strings.Cut(line, " ")
	if err := f.change(verb, what); err != nil {
		return err
	}
	if err := os.MkdirAll(u.own, 0o700); err != nil {
		return err
	}
	d, err := os.OpenFile(filepath.Join(u.own, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(d, line)
	return errors.Join(err, d.Close())
}

// commit writes the file and forgets what was staged in the own place; other places keep theirs.
func (u program) commit(name string) error {
	f, err := u.load(name)
	if err != nil {
		return err
	}
	path := filepath.Join(u.config, name)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	dirty := slices.ContainsFunc(u.staged, func(dir string) bool {
		s, err := os.Stat(filepath.Join(dir, name))
		return err == nil && s.Size() > 0
	})
	if !dirty {
		return nil
	}
	if err := os.WriteFile(path+".new", []byte(f.String()), info.Mode()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	if err := os.Truncate(filepath.Join(u.own, name), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
