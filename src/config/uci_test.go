package config

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// export writes sections as `uci export` does, without its heading.
func export(sections []*section) string {
	quote := func(v string) string { return "'" + strings.ReplaceAll(v, "'", `'\''`) + "'" }
	var out strings.Builder
	for _, s := range sections {
		fmt.Fprintf(&out, "\nconfig %s", s.kind)
		if !s.anonymous {
			out.WriteString(" " + quote(s.name))
		}
		out.WriteByte('\n')
		for _, o := range s.options {
			word := "option"
			if o.list {
				word = "list"
			}
			for _, v := range o.values {
				fmt.Fprintf(&out, "\t%s %s %s\n", word, o.name, quote(v.text))
			}
		}
	}
	out.WriteByte('\n')
	return out.String()
}

// samples are texts with what uci makes of them as an export; no export: it, or we, must refuse. Those marked strict are
// ones that uci takes and we refuse on purpose, because it drops text silently.
var samples = []struct {
	name, text, want string
	strict           bool
}{
	{name: "plain", text: "config link 'dsl'\n\toption metric '3'\n", want: "config link 'dsl'\n\toption metric '3'\n"},
	{name: "unquoted", text: "config link dsl\n option metric 3\n", want: "config link 'dsl'\n\toption metric '3'\n"},
	{name: "comment after a value", text: "config a 'x' # one\n\toption v 'b' # two\n # three\n", want: "config a 'x'\n\toption v 'b'\n"},
	{name: "comment within a word", text: "config a x\noption v b#c\n", want: "config a 'x'\n\toption v 'b'\n"},
	{name: "hash in quotes", text: "config a 'x'\n\toption v 'b#c'\n", want: "config a 'x'\n\toption v 'b#c'\n"},
	{name: "lists", text: "config a 'x'\n\tlist v 'b'\n\tlist v 'c d'\n", want: "config a 'x'\n\tlist v 'b'\n\tlist v 'c d'\n"},
	{name: "list with a value twice", text: "config a 'x'\n\tlist v 'b'\n\tlist v 'b'\n", want: "config a 'x'\n\tlist v 'b'\n\tlist v 'b'\n"},
	{name: "list with an empty value", text: "config a 'x'\n\tlist v ''\n\tlist v 'b'\n", want: "config a 'x'\n\tlist v ''\n\tlist v 'b'\n"},
	{name: "option, then list", text: "config a 'x'\n\toption v 'b'\n\tlist v 'c'\n", want: "config a 'x'\n\tlist v 'b'\n\tlist v 'c'\n"},
	{name: "list, then option", text: "config a 'x'\n\tlist v 'b'\n\tlist v 'c'\n\toption v 'd'\n", want: "config a 'x'\n\toption v 'd'\n"},
	{name: "option twice", text: "config a 'x'\n\toption v 'b'\n\toption w 'c'\n\toption v 'd'\n", want: "config a 'x'\n\toption v 'd'\n\toption w 'c'\n"},
	{name: "section twice", text: "config a 'x'\n\toption v 'b'\nconfig a 'y'\nconfig a 'x'\n\toption w 'c'\n", want: "config a 'x'\n\toption v 'b'\n\toption w 'c'\n\nconfig a 'y'\n"},
	{name: "section twice with two types", text: "config a 'x'\nconfig b 'x'\n"},
	{name: "anonymous", text: "config a\n\toption v 'b'\nconfig a\n\toption v 'c'\n", want: "config a\n\toption v 'b'\n\nconfig a\n\toption v 'c'\n"},
	{name: "anonymous by empty name", text: "config a ''\n\toption v 'b'\n", want: "config a\n\toption v 'b'\n"},
	{name: "UTF-8", text: "config a 'x'\n\toption v 'Küche ✓'\n", want: "config a 'x'\n\toption v 'Küche ✓'\n"},
	{name: "no final newline", text: "config a 'x'\n\toption v 'b'", want: "config a 'x'\n\toption v 'b'\n"},
	{name: "trailing spaces", text: "config a 'x'  \t\n\toption v 'b' \n  \n", want: "config a 'x'\n\toption v 'b'\n"},
	{name: "empty option", text: "config a 'x'\n\toption v ''\n", want: "config a 'x'\n"},
	{name: "option without value", text: "config a 'x'\n\toption v\n\toption w 'b'\n", want: "config a 'x'\n\toption w 'b'\n"},
	{name: "option with a space for value", text: "config a 'x'\n\toption v \n\toption w 'b'\n", want: "config a 'x'\n\toption w 'b'\n"},
	{name: "empty after value", text: "config a 'x'\n\toption v 'b'\n\toption v ''\n", want: "config a 'x'\n\toption v 'b'\n"},
	{name: "apostrophe", text: "config a 'x'\n\toption v 'it'\\''s'\n", want: "config a 'x'\n\toption v 'it'\\''s'\n"},
	{name: "backslash last", text: "config a 'x'\n\toption v 'C:\\'\n", want: "config a 'x'\n\toption v 'C:\\'\n"},
	{name: "newline in quotes", text: "config a 'x'\n\toption v 'b\nc'\n\toption w \"d\n\ne\"\n", want: "config a 'x'\n\toption v 'b\nc'\n\toption w 'd\n\ne'\n"},
	{name: "quoted type and names", text: "config 'a' 'x'\n\toption 'v' 'b'\n\tlist \"w\" c\n", want: "config a 'x'\n\toption v 'b'\n\tlist w 'c'\n"},
	{name: "CRLF", text: "config a 'x'\r\n\toption v 'b'\r\n\r\n\toption w c\r\n", want: "config a 'x'\n\toption v 'b'\n\toption w 'c'\n"},
	{name: "one line", text: "config a 'x'; option v 'b';option w 'c' # d\n", want: "config a 'x'\n\toption v 'b'\n\toption w 'c'\n"},
	{name: "one line with spaces", text: "config a x ; option v b ; option w c\n", want: "config a 'x'\n\toption v 'b'\n\toption w 'c'\n"},
	{name: "one line unquoted", text: "config a x; option v 'b'\n", strict: true, want: "config a 'x'\n"},
	{name: "semicolon at the end", text: "config a 'x';\n"},
	{name: "semicolon and comment", text: "config a 'x'; # b\n\toption v 'b'\n", want: "config a 'x'\n\toption v 'b'\n"},
	{name: "mixed quotes", text: "config a 'x'\n\toption v 'a'\"b\"c\n", want: "config a 'x'\n\toption v 'abc'\n"},
	{name: "escapes in double quotes", text: "config a 'x'\n\toption v \"say \\\"hi\\\" \\\\ \\n\"\n", want: "config a 'x'\n\toption v 'say \"hi\" \\ n'\n"},
	{name: "escapes outside quotes", text: "config a 'x'\n\toption v a\\ b\\'c\\#d\\;e\n", want: "config a 'x'\n\toption v 'a b'\\''c#d;e'\n"},
	{name: "line continued", text: "config a 'x'\n\toption v ab\\\ncd\n\toption w \"e\\\nf\"\n", want: "config a 'x'\n\toption v 'abcd'\n\toption w 'ef'\n"},
	{name: "backslash at the end", text: "config a 'x'\n\toption v b\\", want: "config a 'x'\n\toption v 'b'\n"},
	{name: "continued after the value", text: "config a 'x'\n\toption v 'b' \\\n\toption w 'c'\n", strict: true, want: "config a 'x'\n\toption v 'b'\n\toption w 'c'\n"},
	{name: "short keywords", text: "c a 'x'\no v 'b'\nl w 'c'\n", want: "config a 'x'\n\toption v 'b'\n\tlist w 'c'\n"},
	{name: "package", text: "package pkg\n\nconfig a 'x'\n", want: "config a 'x'\n"},
	{name: "nothing", text: " \n# only a comment\n", want: ""},
	{name: "unclosed quote", text: "config a 'x'\n\toption v 'b\n"},
	{name: "unknown keyword", text: "config a 'x'\n\toptions v 'b'\n"},
	{name: "quoted keyword", text: "'config' a 'x'\n"},
	{name: "two values", text: "config a 'x'\n\toption v b c\n"},
	{name: "empty word after the value", text: "config a 'x'\n\toption v 'b' ''\n", strict: true, want: "config a 'x'\n\toption v 'b'\n"},
	{name: "bad section name", text: "config a 'x-y'\n"},
	{name: "bad option name", text: "config a 'x'\n\toption v-w 'b'\n"},
	{name: "odd type", text: "config a.b 'x'\n", strict: true, want: "config a.b 'x'\n"},
	{name: "option before a section", text: "option v 'b'\n"},
	{name: "anonymous name taken over", text: "config a\n\toption v 'b'\nconfig a 'cfg01b606'\n\toption w 'c'\n", want: "config a\n\toption v 'b'\n\toption w 'c'\n"},
	{name: "control characters", text: "config a 'x'\n\toption v 'b\x01\x7f\tc'\n", want: "config a 'x'\n\toption v 'b\x01\x7f\tc'\n"},
	{name: "form feed as space", text: "config a 'x'\f\n\toption v\v'b'\n", want: "config a 'x'\n\toption v 'b'\n"},
	{name: "keyword and form feed", text: "config a 'x'\n\toption\fv 'b'\n"},
}

func TestReadGivesWhatUCIGives(t *testing.T) {
	for _, c := range samples {
		t.Run(c.name, func(t *testing.T) {
			got, err := readUCI("f", c.text)
			refuse := c.strict || c.want == "" && c.name != "nothing"
			if refuse {
				if err == nil {
					t.Fatalf("read as %q, want an error", export(got))
				}
				if !strings.HasPrefix(err.Error(), "f:") {
					t.Errorf("error without file and line: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := "\n" + c.want + "\n"
			if c.want == "" {
				want = "\n"
			}
			if export(got) != want {
				t.Errorf("read as %q, want %q", export(got), want)
			}
		})
	}
}

// realUCI asks the real uci program for its export of text; ok is false if it refuses the text.
func realUCI(t *testing.T, text string) (out string, ok bool) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pkg"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	raw, err := exec.Command("uci", "-q", "-c", dir, "-P", filepath.Join(dir, "delta"), "export", "pkg").Output()
	if err != nil {
		return "", false
	}
	return strings.TrimPrefix(string(raw), "package pkg\n"), true
}

func needUCI(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("uci"); err != nil {
		t.Skip("no uci program here to compare with (OpenWrt has it)")
	}
}

func TestReadAgainstRealUCI(t *testing.T) {
	needUCI(t)
	for _, c := range samples {
		want, ok := realUCI(t, c.text)
		if ok != (c.want != "" || c.name == "nothing") {
			t.Errorf("%s: uci accepts it: %v, the table says otherwise", c.name, ok)
			continue
		}
		if ok && strings.Trim(want, "\n") != strings.Trim(c.want, "\n") {
			t.Errorf("%s: uci reads %q, the table says %q", c.name, want, c.want)
		}
	}
}

// TestRandomTextsAgainstRealUCI holds generated texts, full of awkward bytes, against the real program: what we read
// must be what it reads; we may refuse more, never accept more.
func TestRandomTextsAgainstRealUCI(t *testing.T) {
	needUCI(t)
	rng := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"config", "option", "list", " ", " ", " ", "\t", "\n", "\n", "\r\n", "'", "'", "\"", "\\", ";", " ; ", "#", "a", "b", "x", "'y'", "v", "package",
		"\nconfig a 'x'\n", "\n\toption v ", "\n\tlist v ", "\noption w 'b'", "''", "\f", "\\\n"}
	agreed, refused := 0, 0
	for range 1500 {
		text := "config a\n"
		for range 1 + rng.IntN(14) {
			text += pieces[rng.IntN(len(pieces))]
		}
		got, err := readUCI("f", text)
		want, ok := realUCI(t, text)
		switch {
		case err != nil:
			refused++
		case !ok:
			t.Fatalf("%q: uci refuses it, we read %q", text, export(got))
		case export(got) != want:
			t.Fatalf("%q: uci reads %q, we read %q", text, want, export(got))
		default:
			agreed++
		}
	}
	if agreed < 100 {
		t.Errorf("only %d of %d texts were accepted by both", agreed, agreed+refused)
	}
}

func TestReadErrorsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"config a 'x'\n\n\toptoin v 'b'\n":           `f:3: "optoin" is no command; a line starts with config, option or list`,
		"config a 'x'\n\toption v 'b\n\n":            "f:2: the quote ' that opens here is never closed",
		"config a 'x'\n\toption v 'b\nc' d\n":        `f:3: "d" follows the end of this option; a value with spaces needs quotes`,
		"config a 'x'\n\nconfig b 'x'\n":             "f:3: the name 'x' of this b is already that of the a in line 1",
		"\n\nlist v 'b'\n":                           "f:3: this list stands before the first config line",
		"config a 'x'\n\toption v b; option w 'c'\n": "f:2: ';' follows an unquoted word, so uci drops the rest of the line; start a new line instead",
		"config a 'x'\n\x00":                         "f:2: the file has a zero byte: it is damaged or not a text",
		"config\n":                                   "f:1: config needs a name after it",
	} {
		_, err := readUCI("f", text)
		if err == nil || err.Error() != want {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
	if _, err := readUCI("f", strings.Repeat("#", maxFileBytes+1)); err == nil {
		t.Error("a huge file is read")
	}
}

// TestCrossCheckSeesADifference: a parser that finds other sections or values than uci's rules say is not believed.
func TestCrossCheckSeesADifference(t *testing.T) {
	statements, err := scan("f", "config a 'x'\n\toption v 'b'\n\tlist w 'c'\n\tlist w 'd'\n")
	if err != nil {
		t.Fatal(err)
	}
	for wrong, want := range map[string]string{
		"config a 'y'\n\toption v 'v0'\n\tlist w 'v1'\n\tlist w 'v2'\n":   "sections",
		"config a 'x'\nconfig a 'z'\n":                                    "sections",
		"config a 'x'\n\toption v 'v0'\n\tlist w 'v1'\n":                  "1 values of w where 2 stand",
		"config a 'x'\n\tlist w 'v1'\n\tlist w 'v2'\n":                    "0 values of v where 1 stand",
		"config a 'x'\n\toption v 'v0'\n\tlist w 'v2'\n\tlist w 'v1'\n":   "mixed up the values of w",
		"config a 'x'\n\toption v 'text'\n\tlist w 'v1'\n\tlist w 'v2'\n": "mixed up the values of v",
		render(statements) + "\toption v 'v9'\n":                          "mixed up the values of v",
		render(statements):                                                "",
	} {
		sections, values, err := outline("f", statements)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := loadTree(wrong)
		if err != nil {
			t.Fatal(err)
		}
		if err = fill(tree, sections, values); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", wrong, err, want)
		}
	}
	if _, err := loadTree("nonsense"); err == nil {
		t.Error("nonsense parses")
	}
}

func TestReadKeepsLines(t *testing.T) {
	sections, err := readUCI("f", "\nconfig a 'x'\n\toption v 'b\nc'\n\tlist w 'd'\n\tlist w 'e'\nconfig a 'x'\n")
	if err != nil {
		t.Fatal(err)
	}
	s := sections[0]
	if s.line != 2 || len(s.again) != 1 || s.again[0] != 7 {
		t.Errorf("section lines %d, %v; want 2, [7]", s.line, s.again)
	}
	if v, w := s.find("v"), s.find("w"); v.line != 3 || w.line != 5 || w.values[1].line != 6 {
		t.Errorf("option lines %d, %d, %d; want 3, 5, 6", v.line, w.line, w.values[1].line)
	}
}

// FuzzRead: no text makes the reader panic, and what it reads, exported and read again, is the same.
func FuzzRead(f *testing.F) {
	for _, c := range samples {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sections, err := readUCI("f", text)
		if err != nil {
			return
		}
		again, err := readUCI("f", export(sections))
		if err != nil {
			t.Fatalf("the export of %q does not read: %v", text, err)
		}
		if a, b := export(sections), export(again); a != b {
			t.Fatalf("%q reads as %q, then as %q", text, a, b)
		}
	})
}

// FuzzQuotedValue: a value quoted as uci's export quotes it is read back as it was.
func FuzzQuotedValue(f *testing.F) {
	for _, v := range []string{"plain", "it's", "C:\\", "a\nb", "'", "\\'", "a'b'c", "#;\"", "v0", "", "ü\xff\x01"} {
		f.Add(v, v)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		if strings.ContainsRune(one+two, 0) {
			return
		}
		quote := func(v string) string { return "'" + strings.ReplaceAll(v, "'", `'\''`) + "'" }
		text := fmt.Sprintf("config a 'x'\n\toption v %s\n\tlist w %s\n\tlist w %s\n\tlist w %s\n", quote(one), quote(one), quote(two), quote(one))
		sections, err := readUCI("f", text)
		if err != nil {
			t.Fatal(err)
		}
		if v := sections[0].find("v"); one == "" && v != nil || one != "" && v.values[0].text != one {
			t.Fatalf("option %q is read as %v", one, v)
		}
		w := sections[0].find("w")
		if len(w.values) != 3 || w.values[0].text != one || w.values[1].text != two || w.values[2].text != one {
			t.Fatalf("list %q %q %q is read as %v", one, two, one, w.values)
		}
	})
}
