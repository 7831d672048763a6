package uci

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// file is a configuration: sections in order, options in order.
type file struct{ sections []*section }

type section struct {
	kind, name string // name is empty if it has none
	options    []*option
}

type option struct {
	name   string
	list   bool
	values []string
}

func (s *section) option(name string) *option {
	i := slices.IndexFunc(s.options, func(o *option) bool { return o.name == name })
	if i < 0 {
		return nil
	}
	return s.options[i]
}

// find returns a section by its name or as @type[n].
func (f *file) find(name string) *section {
	seen := map[string]int{}
	for _, s := range f.sections {
		if name == fmt.Sprintf("@%s[%d]", s.kind, seen[s.kind]) || s.name != "" && s.name == name {
			return s
		}
		seen[s.kind]++
	}
	return nil
}

// labels yields each section with what show calls it.
func (f *file) labels() func(func(*section, string) bool) {
	return func(yield func(*section, string) bool) {
		seen := map[string]int{}
		for _, s := range f.sections {
			label := s.name
			if label == "" {
				label = fmt.Sprintf("@%s[%d]", s.kind, seen[s.kind])
			}
			seen[s.kind]++
			if !yield(s, label) {
				return
			}
		}
	}
}

// change applies one staged line: set SECTION=TYPE, set SECTION.OPTION=VALUE, add_list …, delete SECTION[.OPTION].
func (f *file) change(verb, what string) error {
	path, value, assigned := strings.Cut(what, "=")
	name, opt, isOption := strings.Cut(path, ".")
	s := f.find(name)
	switch {
	case verb == "delete" && s == nil:
		return errNotFound
	case verb == "delete" && !isOption:
		f.sections = slices.DeleteFunc(f.sections, func(x *section) bool { return x == s })
	case verb == "delete":
		s.options = slices.DeleteFunc(s.options, func(o *option) bool { return o.name == opt })
	case !assigned:
		return fmt.Errorf("invalid argument")
	case !isOption && s == nil:
		f.sections = append(f.sections, &section{kind: value, name: name})
	case !isOption:
		s.kind = value
	case s == nil:
		return fmt.Errorf("invalid argument")
	default:
		o := s.option(opt)
		if o == nil {
			o = &option{name: opt}
			s.options = append(s.options, o)
		}
		if verb == "add_list" {
			o.list, o.values = true, append(o.values, value)
		} else {
			o.list, o.values = false, []string{value}
		}
	}
	return nil
}

// print is get (the value alone) or show.
func (f *file) print(out io.Writer, pkg, path string, show bool) error {
	name, opt, isOption := strings.Cut(path, ".")
	wanted := f.find(name)
	if wanted == nil && name != "" {
		return errNotFound
	}
	for s, label := range f.labels() {
		if wanted != nil && s != wanted {
			continue
		}
		switch {
		case isOption && s.option(opt) == nil:
			return errNotFound
		case isOption && !show:
			fmt.Fprintln(out, strings.Join(s.option(opt).values, " "))
		case isOption:
			fmt.Fprintf(out, "%s.%s.%s=%s\n", pkg, label, opt, quoteAll(s.option(opt).values))
		case !show:
			fmt.Fprintln(out, s.kind)
		default:
			fmt.Fprintf(out, "%s.%s=%s\n", pkg, label, s.kind)
			for _, o := range s.options {
				fmt.Fprintf(out, "%s.%s.%s=%s\n", pkg, label, o.name, quoteAll(o.values))
			}
		}
	}
	return nil
}

// String is the file as uci writes it.
func (f *file) String() string {
	var b strings.Builder
	for _, s := range f.sections {
		fmt.Fprintf(&b, "\nconfig %s", s.kind)
		if s.name != "" {
			fmt.Fprintf(&b, " %s", quote(s.name))
		}
		b.WriteByte('\n')
		for _, o := range s.options {
			word := "option"
			if o.list {
				word = "list"
			}
			for _, v := range o.values {
				fmt.Fprintf(&b, "\t%s %s %s\n", word, o.name, quote(v))
			}
		}
	}
	b.WriteByte('\n')
	return b.String()
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func quoteAll(list []string) string {
	var quoted []string
	for _, s := range list {
		quoted = append(quoted, quote(s))
	}
	return strings.Join(quoted, " ")
}

// parse reads a file.
func parse(text string) (*file, error) {
	f := &file{}
	var s *section
	for line := range strings.SplitSeq(text, "\n") {
		words, err := split(line)
		switch {
		case err != nil:
			return nil, err
		case len(words) == 0:
		case words[0] == "config" && len(words) >= 2:
			s = &section{kind: words[1]}
			if len(words) > 2 {
				s.name = words[2]
			}
			f.sections = append(f.sections, s)
		case s != nil && len(words) == 3 && (words[0] == "option" || words[0] == "list"):
			o := s.option(words[1])
			if o == nil {
				o = &option{name: words[1]}
				s.options = append(s.options, o)
			}
			if o.list = words[0] == "list"; !o.list {
				o.values = nil
			}
			o.values = append(o.values, words[2])
		default:
			return nil, fmt.Errorf("parse error: %s", line)
		}
	}
	return f, nil
}

// split cuts a line into words as a shell does, up to a comment.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, end := false, byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case end != 0 && c == end:
			end = 0
		case end == '\'', end != 0 && c != '\\':
			word.WriteByte(c)
		case c == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			inWord = true
		case c == '\'' || c == '"':
			inWord, end = true, c
		case c == '#' && !inWord:
			i = len(line)
		case c == ' ' || c == '\t' || c == '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if end != 0 {
		return nil, fmt.Errorf("parse error: no closing quote")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
