package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// decoder reads the options of one section into typed values. What is wrong goes to problems and leaves the default;
// which names were asked for is remembered, so that what was never asked for is known to be unknown.
type decoder struct {
	section *section
	role    Role // of this portal; options that the other role owns are warned of
	owner   Role // of the options being read; "" means both
	found   *problems
	known   map[string]bool
}

func newDecoder(s *section, role Role, found *problems) *decoder {
	return &decoder{section: s, role: role, found: found, known: map[string]bool{}}
}

// place returns where o's first value with this text stands.
func (d *decoder) place(o *option, value token) Place {
	return Place{File: d.section.file, Line: value.line, Section: d.section.title(), Option: o.name, Value: value.text}
}

// title is how messages call a section.
func (s *section) title() string { return fmt.Sprintf("%s '%s'", s.kind, s.name) }

// at returns the place of the section itself.
func (s *section) at() Place { return Place{File: s.file, Line: s.line, Section: s.title()} }

// at returns the place of an option of the section, or of the section if the option is not set.
func (d *decoder) at(name string) Place {
	if o := d.section.find(name); o != nil {
		return d.place(o, o.values[0])
	}
	at := d.section.at()
	at.Option = name
	return at
}

// isSet reports whether the option is in the file.
func (d *decoder) isSet(name string) bool { return d.section.find(name) != nil }

// take returns the option's values, none if it is not set.
func (d *decoder) take(name string) (*option, []token) {
	d.known[name] = true
	o := d.section.find(name)
	if o == nil {
		return nil, nil
	}
	if d.owner != "" && d.owner != d.role {
		d.found.warn(d.place(o, o.values[0]), "is used with role %s only", d.owner)
	}
	return o, o.values
}

// one returns the value of an option that is no list.
func (d *decoder) one(name string) (*option, token, bool) {
	o, values := d.take(name)
	switch {
	case len(values) == 0:
		return nil, token{}, false
	case len(values) > 1:
		d.found.fail(d.place(o, values[1]), "takes one value; write it once, as an option")
		return nil, token{}, false
	}
	return o, values[0], values[0].text != ""
}

// value reads an option through parse, or returns def.
func value[T any](d *decoder, name string, def T, parse func(string) (T, error)) T {
	o, v, ok := d.one(name)
	if !ok {
		return def
	}
	out, err := parse(v.text)
	if err != nil {
		d.found.fail(d.place(o, v), "%v", err)
		return def
	}
	return out
}

// values reads a list through parse, or returns def. A single option is a list of one.
func values[T any](d *decoder, name string, def []T, parse func(string) (T, error)) []T {
	o, all := d.take(name)
	var out []T
	for _, v := range all {
		if v.text == "" {
			continue
		}
		one, err := parse(v.text)
		switch {
		case err != nil && strings.ContainsAny(v.text, " \t"):
			d.found.fail(d.place(o, v), "%v; several values are several lines: list %s '…'", err, name)
		case err != nil:
			d.found.fail(d.place(o, v), "%v", err)
		default:
			out = append(out, one)
		}
	}
	if out == nil {
		return def
	}
	return out
}

// choice reads an option that is one of a few words; the first is the default.
func choice[T ~string](d *decoder, name string, allowed ...T) T {
	return value(d, name, allowed[0], func(text string) (T, error) {
		words := make([]string, len(allowed))
		for i, word := range allowed {
			if words[i] = string(word); words[i] == text {
				return word, nil
			}
		}
		hint := ""
		if near := nearest(text, words); near != "" {
			hint = fmt.Sprintf("; did you mean '%s'?", near)
		}
		return "", fmt.Errorf("must be one of %s%s", strings.Join(words, ", "), hint)
	})
}

func (d *decoder) bool(name string, def bool) bool { return value(d, name, def, parseBool) }

func parseBool(text string) (bool, error) {
	switch text {
	case "1", "on", "true", "yes", "enabled":
		return true, nil
	case "0", "off", "false", "no", "disabled":
		return false, nil
	}
	return false, errors.New("must be 0 or 1")
}

// number reads a whole number from low to high; zero is allowed too if zeroMeans says what it means.
func (d *decoder) number(name string, def, low, high int, zeroMeans string) int {
	return value(d, name, def, func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err == nil && (n >= low && n <= high || n == 0 && zeroMeans != "") {
			return n, nil
		}
		if zeroMeans != "" && low > 0 {
			return 0, fmt.Errorf("must be a number from %d to %d, or 0 for %s", low, high, zeroMeans)
		}
		return 0, fmt.Errorf("must be a number from %d to %d", low, high)
	})
}

// maxTextBytes bounds free texts.
const maxTextBytes = 255

func (d *decoder) text(name, def string) string { return value(d, name, def, parseText) }

func (d *decoder) texts(name string) []string { return values(d, name, nil, parseText) }

func parseText(text string) (string, error) {
	if len(text) > maxTextBytes || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }) {
		return "", fmt.Errorf("must be a text of at most %d bytes on one line", maxTextBytes)
	}
	return text, nil
}

// maxPathBytes is what fits a unix socket's address.
const maxPathBytes = 107

func parsePath(text string) (string, error) {
	if _, err := parseText(text); err != nil || text[0] != '/' || len(text) > maxPathBytes {
		return "", fmt.Errorf("must be a path that starts with / and has at most %d bytes", maxPathBytes)
	}
	return text, nil
}

// secret reads a key written into the file by hand. Its text goes into no message.
func (d *decoder) secret(name string) SecretKey {
	o, v, ok := d.one(name)
	if !ok {
		return SecretKey{}
	}
	k, err := ParseSecretKey(v.text)
	if err != nil {
		d.found.fail(d.place(o, token{line: v.line}), "%v", err)
	}
	return k
}

// require complains if a required option is not set.
func (d *decoder) require(name string) {
	if !d.isSet(name) {
		d.found.fail(d.section.at(), "needs option %s", name)
	}
}

// finish warns of options nobody asked for, and of sections written in several pieces.
func (d *decoder) finish() {
	names := make([]string, 0, len(d.known))
	for name := range d.known {
		names = append(names, name)
	}
	d.section.warnUnknown(names, d.found)
}

// warnUnknown warns of options whose names are not among known, and names the nearest that is.
func (s *section) warnUnknown(known []string, found *problems) {
	for _, line := range s.again {
		found.warn(Place{File: s.file, Line: line, Section: s.title()}, "is written a second time; taken together with line %d, the later value counts", s.line)
	}
	isKnown := map[string]bool{}
	for _, name := range known {
		isKnown[name] = true
	}
	for _, o := range s.options {
		if isKnown[o.name] {
			continue
		}
		at := Place{File: s.file, Line: o.line, Section: s.title(), Option: o.name}
		if near := nearest(o.name, known); near != "" {
			found.warn(at, "is unknown and ignored; did you mean '%s'?", near)
		} else {
			found.warn(at, "is unknown and ignored")
		}
	}
}
