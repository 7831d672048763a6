package config

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/digineo/go-uci/v2"
	"golang.org/x/sys/unix"
)

// A section is one UCI section with the options of all its occurrences, as uci merges them.
type section struct {
	file      string
	kind      string // the type: "link"
	name      string // as written, or uci's own name of an anonymous section
	anonymous bool
	line      int   // of its first occurrence
	again     []int // lines of further occurrences
	options   []*option
}

// An option is an option or a list of a section.
type option struct {
	name   string
	list   bool    // written with "list", at least in part
	values []token // one or more
	line   int     // of its first occurrence
}

// readUCI turns the text of a file into its sections.
func readUCI(file, text string) ([]*section, error) {
	statements, err := scan(file, text)
	if err != nil {
		return nil, err
	}
	sections, values, err := outline(file, statements)
	if err != nil {
		return nil, err
	}
	tree, err := loadTree(render(statements))
	if err != nil {
		return nil, err
	}
	if err := fill(tree, sections, values); err != nil {
		return nil, err
	}
	return sections, nil
}

// outline makes the sections with their options' names and lines, and the table of values. The options' values hold
// placeholders: what uci's rules say the parser must return. Anonymous sections get their name in statements too.
func outline(file string, statements []statement) (sections []*section, values []token, err error) {
	byName := map[string]*section{}
	var current *section
	for i, st := range statements {
		if st.word == "config" {
			known := len(byName)
			if current, err = openSection(file, st, byName); err != nil {
				return nil, nil, err
			}
			if len(byName) > known {
				sections = append(sections, current)
			}
			statements[i].value.text = current.name
			continue
		}
		if current == nil {
			return nil, nil, &Error{Place: Place{File: file, Line: st.line}, Text: "this " + st.word + " stands before the first config line"}
		}
		if st.word == "option" && st.value.text == "" {
			continue // uci takes an empty option as absent
		}
		values = append(values, st.value)
		current.apply(st, token{placeholder(len(values) - 1), st.value.line})
	}
	return sections, values, nil
}

// openSection returns the section that a config statement opens, or opens again.
func openSection(file string, st statement, byName map[string]*section) (*section, error) {
	s := &section{file: file, kind: st.name.text, name: st.value.text, anonymous: st.value.text == "", line: st.line}
	if s.anonymous {
		s.name = anonymousName(s.kind, len(byName)+1)
	}
	old := byName[s.name]
	switch {
	case old == nil:
		byName[s.name] = s
		return s, nil
	case old.kind != s.kind || s.anonymous:
		return nil, &Error{Place: Place{File: file, Line: st.line}, Text: fmt.Sprintf(
			"the name '%s' of this %s is already that of the %s in line %d", s.name, s.kind, old.kind, old.line)}
	}
	old.again = append(old.again, st.line)
	return old, nil
}

// anonymousName is the name uci gives to the n-th section of a file if it is anonymous (libuci's hash of the type).
func anonymousName(kind string, n int) string {
	hash := uint32(5381)
	for i := range len(kind) {
		hash = hash<<5 + hash + uint32(kind[i])
	}
	return fmt.Sprintf("cfg%02x%04x", n, hash&0x7fffffff%(1<<16))
}

// apply does what uci does with an option or list statement: an option replaces, a list appends.
func (s *section) apply(st statement, value token) {
	o := s.find(st.name.text)
	if o == nil {
		o = &option{name: st.name.text, line: st.line}
		s.options = append(s.options, o)
	}
	if st.word == "option" {
		o.list, o.values = false, nil
	} else {
		o.list = true
	}
	o.values = append(o.values, value)
}

func (s *section) find(name string) *option {
	for _, o := range s.options {
		if o.name == name {
			return o
		}
	}
	return nil
}

// render writes statements whose sections all have names in the subset of UCI that go-uci reads without fault: each
// value is a placeholder.
func render(statements []statement) string {
	var out strings.Builder
	values := 0
	for _, st := range statements {
		switch {
		case st.word == "config":
			fmt.Fprintf(&out, "config %s '%s'\n", st.name.text, st.value.text)
		case st.word == "option" && st.value.text == "":
		default:
			fmt.Fprintf(&out, "\t%s %s '%s'\n", st.word, st.name.text, placeholder(values))
			values++
		}
	}
	return out.String()
}

func placeholder(i int) string { return "v" + strconv.Itoa(i) }

// treeDir is where a file in memory has a name: go-uci reads files only, and this way none is made on a disk.
const treeDir = "/proc/self/fd"

type parsedTree struct {
	uci.Tree
	config string
}

// loadTree lets go-uci parse text.
func loadTree(text string) (parsedTree, error) {
	fd, err := unix.MemfdCreate("mpproxy-config", unix.MFD_CLOEXEC)
	if err != nil {
		return parsedTree{}, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "mpproxy-config")
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		return parsedTree{}, fmt.Errorf("write a file in memory: %w", err)
	}
	tree := parsedTree{Tree: uci.NewTree(treeDir), config: strconv.Itoa(fd)}
	if err := tree.LoadConfig(tree.config, false); err != nil {
		return parsedTree{}, fmt.Errorf("parse: %w", err)
	}
	return tree, nil
}

// fill takes each option's values from the parsed tree, holds them against what uci's rules say, and puts the real
// values in. A difference is a fault of the program, never of the file.
func fill(tree parsedTree, sections []*section, values []token) error {
	names := map[string][]string{}
	for _, s := range sections {
		names[s.kind] = append(names[s.kind], s.name)
	}
	for kind, want := range names {
		got, err := tree.GetSections(tree.config, kind)
		if err != nil || !slices.Equal(got, want) {
			return fmt.Errorf("the parser found the %s sections %v where %v stand", kind, got, want)
		}
	}
	for _, s := range sections {
		for _, o := range s.options {
			got, _ := tree.Get(tree.config, s.name, o.name)
			if len(got) != len(o.values) {
				return fmt.Errorf("%s '%s': the parser found %d values of %s where %d stand", s.kind, s.name, len(got), o.name, len(o.values))
			}
			for i, mark := range got {
				n, err := strconv.Atoi(strings.TrimPrefix(mark, "v"))
				if err != nil || mark != o.values[i].text || n < 0 || n >= len(values) {
					return fmt.Errorf("%s '%s': the parser mixed up the values of %s", s.kind, s.name, o.name)
				}
				o.values[i] = values[n]
			}
		}
	}
	return nil
}
