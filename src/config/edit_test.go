package config

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const before = `# by hand
config portal 'main'
	option enabled '0' # off
	list lan 'lan'
	list lan 'guest'

config remote 'vps'
	option public_key 'old'
	#list endpoint 'x'
	list endpoint 'a:1'
	list endpoint 'b:2'
# the end
config link 'dsl'
	option interface 'wan'
`

func TestEdit(t *testing.T) {
	for name, c := range map[string]struct {
		changes []Change
		want    func(s string) string
	}{
		"nothing": {nil, func(s string) string { return s }},
		"an option that is there": {[]Change{{Kind: "portal", Name: "main", Options: []Setting{Set("enabled", "1")}}}, func(s string) string {
			return strings.Replace(strings.Replace(s, "\toption enabled '0' # off\n", "", 1), "'guest'\n", "'guest'\n\toption enabled '1'\n", 1)
		}},
		"a list": {[]Change{{Kind: "remote", Name: "vps", Options: []Setting{{Name: "endpoint", Values: []string{"c:3", "it's"}, List: true}}}}, func(s string) string {
			return strings.Replace(s, "\tlist endpoint 'a:1'\n\tlist endpoint 'b:2'\n", "\tlist endpoint 'c:3'\n\tlist endpoint 'it'\\''s'\n", 1)
		}},
		"away": {[]Change{{Kind: "portal", Name: "main", Options: []Setting{{Name: "lan"}}}}, func(s string) string {
			return strings.Replace(s, "\tlist lan 'lan'\n\tlist lan 'guest'\n", "", 1)
		}},
		"a new section": {[]Change{{Kind: "link", Name: "lte", Options: []Setting{Set("interface", "wwan")}}}, func(s string) string {
			return s + "\nconfig link 'lte'\n\toption interface 'wwan'\n"
		}},
		"an empty new section": {[]Change{{Kind: "link", Name: "lte"}}, func(s string) string { return s + "\nconfig link 'lte'\n" }},
		"a section away": {[]Change{{Kind: "remote", Name: "vps", Remove: true}}, func(s string) string {
			return strings.Replace(strings.Replace(strings.Replace(s, "config remote 'vps'\n", "", 1), "\toption public_key 'old'\n", "", 1),
				"\tlist endpoint 'a:1'\n\tlist endpoint 'b:2'\n", "", 1)
		}},
		"no such section away": {[]Change{{Kind: "remote", Name: "x", Remove: true}}, func(s string) string { return s }},
		"another name":         {[]Change{{Kind: "link", Name: "dsl", Rename: "fibre"}}, func(s string) string { return strings.Replace(s, "link 'dsl'", "link 'fibre'", 1) }},
		"two changes": {[]Change{{Kind: "link", Name: "a"}, {Kind: "link", Name: "a", Options: []Setting{Set("x", "1")}}}, func(s string) string {
			return s + "\nconfig link 'a'\n\toption x '1'\n"
		}},
	} {
		got, err := Edit("f", before, c.changes...)
		if want := c.want(before); err != nil || got != want {
			t.Errorf("%s: %v\n got %q\nwant %q", name, err, got, want)
		}
	}
}

func TestEditStrangeTexts(t *testing.T) {
	set := Change{Kind: "link", Name: "a", Options: []Setting{Set("x", "1"), Set("y", "2")}}
	for text, want := range map[string]string{
		"":              "config link 'a'\n\toption x '1'\n\toption y '2'\n",
		"# only this":   "# only this\n\nconfig link 'a'\n\toption x '1'\n\toption y '2'\n",
		"config link a": "config link a\n\toption x '1'\n\toption y '2'",
		"config link a\n option x 'two\nlines'\n":                                           "config link a\n\toption x '1'\n\toption y '2'\n",
		"config link a\noption x 0\nconfig link b\noption x 0\nconfig link a\noption x 3\n": "config link a\n\toption x '1'\n\toption y '2'\nconfig link b\noption x 0\nconfig link a\n",
	} {
		got, err := Edit("f", text, set)
		if err != nil || got != want {
			t.Errorf("%q: %v\n got %q\nwant %q", text, err, got, want)
		}
	}
	for name, c := range map[string]Change{
		"a bad name": {Kind: "link", Name: "a-b"}, "another kind's name": {Kind: "remote", Name: "dsl"}, "a bad option": {Kind: "link", Name: "a", Options: []Setting{Set("a b", "1")}},
		"a line end": {Kind: "link", Name: "a", Options: []Setting{Set("a", "1\n2")}}, "two values": {Kind: "link", Name: "a", Options: []Setting{{Name: "a", Values: []string{"1", "2"}}}},
		"no value": {Kind: "link", Name: "a", Options: []Setting{Set("a", "")}}, "a bad new name": {Kind: "link", Name: "dsl", Rename: "a b"},
	} {
		if got, err := Edit("f", before, c); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	if _, err := Edit("f", "config", set); err == nil {
		t.Error("a broken file was edited")
	}
}

// TestEditLeavesTheRest: in files of random statements, an edit changes what it should and nothing else, as the reader sees it.
func TestEditLeavesTheRest(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	pieces := []string{"config link 'a'\n", "config link b\n", "\toption x '1'\n", "\tlist l 'p'; list l q\n", " option y \"it's\" # c\n", "# c\n", "\n", "option z 'a\nb'\n", "\toption x 2"}
	values := func(text string) map[string]string {
		list, err := readUCI("f", text)
		if err != nil {
			return nil
		}
		out := map[string]string{}
		for _, s := range list {
			for _, o := range s.options {
				for _, v := range o.values {
					out[s.kind+" "+s.name+" "+o.name] += v.text + ","
				}
			}
		}
		return out
	}
	for range 3000 {
		var text strings.Builder
		text.WriteString("config link 'a'\n")
		for range rng.IntN(12) {
			text.WriteString(pieces[rng.IntN(len(pieces))])
		}
		was := values(text.String())
		if was == nil {
			continue
		}
		out, err := Edit("f", text.String(), Change{Kind: "link", Name: "a", Options: []Setting{Set("x", "new"), {Name: "l"}}})
		if err != nil {
			t.Fatalf("%q: %v", text.String(), err)
		}
		is := values(out)
		was["link a x"] = "new,"
		delete(was, "link a l")
		if len(is) != len(was) {
			t.Fatalf("%q became %q: %v, want %v", text.String(), out, is, was)
		}
		for k, v := range was {
			if is[k] != v {
				t.Fatalf("%q became %q: %s is %q, want %q", text.String(), out, k, is[k], v)
			}
		}
	}
}

func TestReplaceFileKeepsTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, mode := range []os.FileMode{0o640, 0o600} {
		if err := ReplaceFile(path, "one", mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
	if err := ReplaceFile(path, "two", 0); err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(path); string(text) != "two" {
		t.Errorf("text %q", text)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := ReplaceFile(filepath.Join(path, "x"), "", 0o600); err == nil {
		t.Error("a file within a file")
	}
}

func TestReadPeers(t *testing.T) {
	peers, err := ReadPeers("f", "config peer 'a'\n\toption public_key '"+(Key{1}).String()+"'\n\toption address '10.99.0.2'\n", Portal{Role: RoleRemote})
	if err != nil || len(peers) != 1 || peers[0].Name != "a" || peers[0].MaxLinks != 8 {
		t.Errorf("%+v, %v", peers, err)
	}
	for _, text := range []string{"config link 'a'\n", "config peer 'a'\n", "config"} {
		if _, err := ReadPeers("f", text, Portal{Role: RoleRemote}); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestSame(t *testing.T) {
	for text, want := range map[string]bool{
		"config link a\n option x 1\n list l p\n list l q\n": true, "config link 'a'\n\tlist l 'p'; list l q # c\n\toption 'x' \"1\"\n": true,
		"config link a\n option x 2\n list l p\n list l q\n": false, "config link a\n option x 1\n list l p\n": false, "config link b\n": false, "": false,
	} {
		if got, err := Same("f", "config link a\n option x 1\n list l p\n list l q\n", text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := Same("f", "", "x"); err == nil {
		t.Error("a broken text is compared")
	}
}
