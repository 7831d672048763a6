package lmo

import (
	"strconv"
	"strings"
)

// message is one entry of a catalogue. Escapes other than \" and \\ are kept as they are written.
type message struct {
	context, id, plural string
	texts               map[int]string
}

// parse reads a catalogue. Lines that it does not know are left out, as po2lmo does.
func parse(po string) []message {
	var (
		list []message
		m    message
		add  func(string)
	)
	flush := func() {
		if m.texts != nil {
			list = append(list, m)
			m = message{}
		}
	}
	for line := range strings.SplitSeq(po, "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		switch {
		case strings.HasPrefix(line, `msgctxt "`):
			flush()
			m.context = ""
			add = func(s string) { m.context += s }
		case strings.HasPrefix(line, `msgid "`):
			flush()
			m.id = ""
			add = func(s string) { m.id += s }
		case strings.HasPrefix(line, `msgid_plural "`):
			add = func(s string) { m.plural += s }
		case strings.HasPrefix(line, `msgstr "`), strings.HasPrefix(line, `msgstr[`):
			n := form(line)
			if m.texts == nil {
				m.texts = map[int]string{}
			}
			add = func(s string) { m.texts[n] += s }
		}
		if s, ok := quoted(line); ok && add != nil {
			add(s)
		}
	}
	flush()
	return list
}

// form is the number in msgstr[2].
func form(line string) int {
	number, _, _ := strings.Cut(strings.TrimPrefix(line, "msgstr["), "]")
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0
	}
	return n
}

// quoted is the text in quotes of a line.
func quoted(line string) (string, bool) {
	_, rest, found := strings.Cut(line, `"`)
	if !found {
		return "", false
	}
	var b strings.Builder
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '"':
			return b.String(), true
		case c == '\\' && i+1 < len(rest):
			i++
			if rest[i] != '"' && rest[i] != '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(rest[i])
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}
