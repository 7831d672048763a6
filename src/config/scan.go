package config

import (
	"fmt"
	"strings"
)

// maxFileBytes bounds a configuration file; the largest sensible one (256 peers) has a tenth of it.
const maxFileBytes = 1 << 20

// A token is one word of a statement with quotes and escapes resolved, and the line it starts in.
type token struct {
	text string
	line int
}

// A statement is one config, option or list command.
type statement struct {
	word  string // "config", "option" or "list"
	name  token  // the section's type, or the option's name
	value token  // the section's name (empty: anonymous), or the value
	line  int
}

// scanner splits UCI text into statements by the rules of libuci's file.c: quotes may change within a word, a backslash
// escapes outside single quotes, values may span lines, '#' starts a comment anywhere outside quotes, ';' ends a
// statement, keywords may be cut to their first letter. What libuci refuses is refused; the few things it accepts but
// answers by dropping text are refused too.
type scanner struct {
	file string
	text string
	pos  int
	line int
	mid  bool // after a ';': the next statement is on the same line
}

// How a word ended.
type ending uint8

const (
	byWord      ending = iota // a word, possibly an empty one
	byLineEnd                 // nothing: line or text end, or a comment
	bySemicolon               // nothing: a ';' was taken
)

// scan returns all statements of text. file is for messages.
func scan(file, text string) ([]statement, error) {
	s := &scanner{file: file, text: text, line: 1}
	if len(text) > maxFileBytes {
		return nil, s.errorf(1, "the file is larger than %d bytes", maxFileBytes)
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return nil, s.errorf(1+strings.Count(text[:i], "\n"), "the file has a zero byte: it is damaged or not a text")
	}
	var out []statement
	for {
		st, ok, err := s.statement()
		if err != nil {
			return nil, err
		}
		if !ok {
			return out, nil
		}
		if st.word != "package" { // names the file, as in exports; the file's own name counts
			out = append(out, st)
		}
	}
}

// statement reads the next statement; ok is false at the end of the text.
func (s *scanner) statement() (st statement, ok bool, err error) {
	word, ok := s.keyword()
	if !ok {
		return st, false, nil
	}
	st.line = s.line
	switch word {
	case "c", "config":
		st.word = "config"
	case "o", "option":
		st.word = "option"
	case "l", "list":
		st.word = "list"
	case "p", "package":
		st.word = "package"
	default:
		return st, false, s.errorf(s.line, "%q is no command; a line starts with config, option or list", shorten(word))
	}
	if st.name, _, err = s.argument(); err != nil {
		return st, false, err
	}
	if st.name.text == "" {
		return st, false, s.errorf(st.line, "%s needs a name after it", st.word)
	}
	if st.word != "package" {
		if st.value, _, err = s.argument(); err != nil {
			return st, false, err
		}
	}
	if err = s.checkNames(st); err != nil {
		return st, false, err
	}
	return st, true, s.endOfStatement(st.word)
}

// keyword skips to the next statement and returns its first word, up to a space, a tab or the line's end.
func (s *scanner) keyword() (string, bool) {
	for {
		for s.pos < len(s.text) && isSpace(s.text[s.pos]) && (!s.mid || s.text[s.pos] == ' ' || s.text[s.pos] == '\t') {
			s.skip()
		}
		if s.pos == len(s.text) {
			return "", false
		}
		if s.text[s.pos] != '#' {
			break
		}
		s.comment()
		s.mid = false
	}
	start := s.pos
	for s.pos < len(s.text) && s.text[s.pos] != ' ' && s.text[s.pos] != '\t' && s.text[s.pos] != '\n' {
		s.pos++
	}
	return s.text[start:s.pos], true
}

// endOfStatement expects nothing more, a comment, or a ';'.
func (s *scanner) endOfStatement(word string) error {
	line := s.line
	extra, end, err := s.argument()
	switch {
	case err != nil:
		return err
	case end == byWord && extra.text == "":
		return s.errorf(line, "an empty word follows the end of this %s; remove it", word)
	case end == byWord:
		return s.errorf(line, "%q follows the end of this %s; a value with spaces needs quotes", shorten(extra.text), word)
	}
	s.mid = end == bySemicolon
	return nil
}

// argument reads one word. At the end of the statement it is empty and says how it ended.
func (s *scanner) argument() (token, ending, error) {
	for s.pos < len(s.text) && s.text[s.pos] != '\n' && isSpace(s.text[s.pos]) {
		s.pos++
	}
	t := token{line: s.line}
	switch {
	case s.pos == len(s.text) || s.text[s.pos] == '\n':
		return t, byLineEnd, nil
	case s.text[s.pos] == '#':
		s.comment()
		return t, byLineEnd, nil
	case s.text[s.pos] == ';':
		s.pos++
		return t, bySemicolon, nil
	}
	start := s.pos
	var word []byte
	for s.pos < len(s.text) && !isSpace(s.text[s.pos]) && s.text[s.pos] != '#' {
		var err error
		switch c := s.text[s.pos]; c {
		case '\'', '"':
			word, err = s.quoted(word, c)
		case '\\':
			word = s.escape(word)
		case ';':
			if len(word) == s.pos-start {
				return t, byWord, s.errorf(s.line, "';' follows an unquoted word, so uci drops the rest of the line; start a new line instead")
			}
			t.text = string(word)
			return t, byWord, nil
		default:
			word = append(word, c)
			s.pos++
		}
		if err != nil {
			return t, byWord, err
		}
	}
	t.text = string(word)
	return t, byWord, nil
}

// quoted appends the text up to the closing quote. Line breaks belong to it; a backslash escapes within '"' only.
func (s *scanner) quoted(word []byte, quote byte) ([]byte, error) {
	line := s.line
	s.pos++
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == quote:
			s.pos++
			return word, nil
		case c == '\\' && quote == '"':
			word = s.escape(word)
		default:
			word = append(word, c)
			s.skip()
		}
	}
	return nil, s.errorf(line, "the quote %c that opens here is never closed", quote)
}

// escape takes a backslash: the byte after it counts as it is, a line break after it is no break.
func (s *scanner) escape(word []byte) []byte {
	s.pos++
	rest := s.text[s.pos:]
	switch {
	case rest == "":
	case rest[0] == '\n':
		s.skip()
	case strings.HasPrefix(rest, "\r\n"):
		s.pos++
		s.skip()
	default:
		word = append(word, rest[0])
		s.pos++
	}
	return word
}

// comment skips to the end of the line.
func (s *scanner) comment() {
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		s.pos++
	}
}

// skip moves over one byte and counts lines.
func (s *scanner) skip() {
	if s.text[s.pos] == '\n' {
		s.line++
	}
	s.pos++
}

// checkNames holds names to what uci and go-uci both take.
func (s *scanner) checkNames(st statement) error {
	switch {
	case st.word == "package" || st.word == "config" && !isName(st.name.text, true):
		if !isName(st.name.text, true) {
			return s.errorf(st.line, "%q is no name of a %s; letters, digits, '_' and '-' are allowed", shorten(st.name.text), st.word)
		}
	case st.word == "config" && st.value.text != "" && !isName(st.value.text, false):
		return s.errorf(st.line, "section name %q: only letters, digits and '_' are allowed", shorten(st.value.text))
	case st.word != "config" && !isName(st.name.text, false):
		return s.errorf(st.line, "option name %q: only letters, digits and '_' are allowed", shorten(st.name.text))
	}
	return nil
}

func (s *scanner) errorf(line int, format string, args ...any) error {
	return &Error{Place: Place{File: s.file, Line: line}, Text: fmt.Sprintf(format, args...)}
}

// isSpace is C's isspace.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isName(text string, dash bool) bool {
	for i := range len(text) {
		c := text[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c != '-' || !dash) {
			return false
		}
	}
	return text != ""
}
