package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A password never shows, whatever the verb, alone or inside of something.
func TestPasswordsDoNotPrint(t *testing.T) {
	p := Password{"s3cret"}
	relay := struct {
		Name string
		Pass Password
	}{"r", p}
	text, err := json.Marshal(relay)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{p.String(), fmt.Sprint(p), fmt.Sprintf("%s %q %v %+v %#v %x %d", p, p, p, p, p, p, p), fmt.Sprintf("%+v %#v", relay, relay), string(text)} {
		if strings.Contains(got, "s3cret") || strings.Contains(got, "733363726574") || !strings.Contains(got, hidden) {
			t.Errorf("%q", got)
		}
	}
	if p.Text() != "s3cret" || p.IsZero() || !(Password{}).IsZero() {
		t.Error("the password itself")
	}
}

// Passwords are what RFC 1929 can carry: 1 to 255 bytes, one line.
func TestCheckPassword(t *testing.T) {
	for text, ok := range map[string]bool{
		"a": true, strings.Repeat("a", 255): true, "ä ö": true, "a\r\n": true, "~": true, " ": true,
		"": false, "\n": false, strings.Repeat("a", 256): false, "a\nb": false, "a\tb": false, "a\x7fb": false, "\x1f": false,
	} {
		if err := CheckPassword(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestServerAddressGetsItsPort(t *testing.T) {
	for text, want := range map[string]string{"vps.example.org": "vps.example.org:6779", "192.0.2.1:443": "192.0.2.1:443", "[2001:db8::1]:1": "[2001:db8::1]:1"} {
		if got, err := ParseHostPort(text); err != nil || got.String() != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "a:0", "a:65536", "a:b", ":1", "a b"} {
		if got, err := ParseHostPort(text); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

// Where the keys are is found out even if the rest of the configuration is wrong.
func TestSecretsDir(t *testing.T) {
	path := setup(t, localText("", "")+"config link 'bad'\n\toption nonsense '1'\n", nil)
	if got, err := SecretsDir(path); err != nil || got != filepath.Dir(path)+"/secrets" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := SecretsDir(setup(t, "config link 'dsl'\n\toption interface 'wan'\n", nil)); err == nil {
		t.Error("a file without a portal has a place for keys")
	}
	if _, err := SecretsDir(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there has one")
	}
}

// A file that is replaced keeps its mode, a new one gets the wanted; nothing is left beside it; what cannot be written stays.
func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c")
	mode := func() os.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if err := ReplaceFile(path, "one", 0o640); err != nil || mode() != 0o640 {
		t.Errorf("%v, mode %o", err, mode())
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(path, "two", 0o640); err != nil || mode() != 0o604 {
		t.Errorf("%v, mode %o", err, mode())
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "two" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(filepath.Join(dir, "d"), "x", 0o600); err == nil || !strings.HasPrefix(err.Error(), "write "+dir+"/d: ") {
		t.Errorf("a directory is replaced: %v", err)
	}
	if err := ReplaceFile(filepath.Join(dir, "none", "c"), "x", 0o600); err == nil {
		t.Error("a file in no directory is written")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.mpproxy-new")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Every limit names a section and an option that the schema has, and what can be used.
func TestLimitsNameWhatThereIs(t *testing.T) {
	for _, l := range Limits() {
		if l.Section == "" || l.Option == "" || l.Values == "" {
			t.Errorf("%+v", l)
		}
	}
	if len(Limits()) != len(notYet()) {
		t.Error("some are missing")
	}
}

// Two letters in the wrong order are one mistake, also at the beginning of a word.
func TestNearestKnowsSwappedLetters(t *testing.T) {
	for text, want := range map[string]string{"ilnk": "link", "likn": "link"} {
		if got := nearest(text, []string{"link", "unlike"}); got != want {
			t.Errorf("nearest to %q is %q", text, got)
		}
	}
	if d := distance("ab", "ba"); d != 1 {
		t.Errorf("two swapped letters are %d mistakes", d)
	}
}
