package pairing

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func sample(endpoints ...string) Token {
	t := Token{ID: ID{1, 2, 3, 4, 5, 6, 7, 8}, Endpoints: endpoints}
	for i := range t.Server {
		t.Server[i] = byte(0x40 + i)
	}
	for i := range t.Secret {
		t.Secret[i] = byte(0xf0 - i)
	}
	return t
}

func text(t *testing.T, k Token) string {
	t.Helper()
	s, err := k.Text()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTokenText pins the format: programs of different versions and the browser must agree.
func TestTokenText(t *testing.T) {
	const want = "mpp1:AUVAQUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVpbXF1eXwECAwQFBgcI8O_u7ezr6uno5-bl5OPi4QTLAHEJGnsJXP4Y"
	got := text(t, sample("203.0.113.9:6779"))
	if got != want {
		t.Errorf("token\n got %s\nwant %s", got, want)
	}
}

func TestTokenSurvivesThePost(t *testing.T) {
	for _, endpoints := range [][]string{
		{"203.0.113.9:6779"}, {"[2001:db8::1]:443"}, {"vps.example.org:6779"},
		{"vps.example.org:6779", "203.0.113.9:6779", "[2001:db8::1]:6779"}, {"a:1"}, {strings.Repeat("n", 70) + ".org:65535"},
	} {
		want := sample(endpoints...)
		s := text(t, want)
		if len(s) > MaxTextBytes {
			t.Errorf("%v: %d characters", endpoints, len(s))
		}
		for name, pasted := range map[string]string{
			"as it is": s, "a line end": s + "\r\n", "in a sentence": "Paste this: " + s + " (good for 24 h)", "upper case prefix": "MPP1:" + s[5:],
			"wrapped": s[:30] + "\n" + s[30:60] + " \r\n\t" + s[60:], "quoted mail": "> " + s[:40] + "\n> " + s[40:], "a full stop": s + ".",
			"the program's name before it": "mpproxy pair: " + s, "in quotes": "\"" + s + "\"", "wrapped in the prefix' tail": "mpp1:\n" + s[5:],
		} {
			got, err := Parse(pasted)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%v, %s: %+v, %v", endpoints, name, got, err)
			}
		}
	}
}

func TestWhatIsWrongWithAToken(t *testing.T) {
	s := text(t, sample("203.0.113.9:6779"))
	other := []byte(s)
	other[50]++
	for pasted, want := range map[string]string{
		"":                  errNone.Error(),
		"mpproxy":           errNone.Error(),
		"hello mpp mpp9":    errNone.Error(),
		"mpp2:" + s[5:]:     errNewer.Error(),
		s[:len(s)-12]:       "this token is cut off: 12 characters are missing",
		s[:len(s)-1]:        "this token is cut off: 1 character is missing",
		s[:40] + ", and so": "this token is cut off: 57 characters are missing",
		"mpp1:":             "this token is cut off: more than 83 characters are missing",
		"mpp1:AUV":          "this token is cut off: more than 80 characters are missing",
		s + "x":             "this token has 1 character too many at its end",
		s + "abc more":      "this token has 3 characters too many at its end",
		string(other):       errAltered.Error(),
		"mpp1:AQAA" + s:     errAltered.Error(),
		"mpp1:AkV" + s[8:]:  errNewer.Error(),
	} {
		if _, err := Parse(pasted); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", pasted, err, want)
		}
	}
}

// TestEveryAlterationIsSeen changes, swaps and leaves out characters.
func TestEveryAlterationIsSeen(t *testing.T) {
	s := text(t, sample("vps.example.org:6779", "203.0.113.9:6779"))
	rng := rand.New(rand.NewPCG(1, 2))
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	try := func(what string, b []byte) {
		if string(b) == s {
			return
		}
		if _, err := Parse(string(b)); err == nil {
			t.Errorf("%s: %s is taken for a token", what, b)
		}
	}
	for i := len(prefix); i < len(s); i++ {
		b := []byte(s)
		b[i] = letters[rng.IntN(len(letters))]
		try("changed", b)
		if i+1 < len(s) {
			b = []byte(s)
			b[i], b[i+1] = b[i+1], b[i]
			try("swapped", b)
		}
		try("left out", []byte(s[:i]+s[i+1:]))
		try("cut", []byte(s[:i]))
	}
}

func TestTokensThatCannotBe(t *testing.T) {
	for _, endpoints := range [][]string{
		nil, {""}, {"host"}, {"host:0"}, {"host:65536"}, {"ho st:1"}, {"-a:1"}, {":1"}, {"[fe80::1%eth0]:1"}, {strings.Repeat("n", 90) + ":1"},
		{strings.Repeat("a", 60) + ":1", strings.Repeat("b", 60) + ":1"},
	} {
		if s, err := sample(endpoints...).Text(); err == nil {
			t.Errorf("%v gives %s", endpoints, s)
		}
	}
}

// seal makes a text of bytes as Text does, whatever they mean.
func seal(body []byte) string {
	body = append([]byte{version, byte(2 + len(body) + sumBytes)}, body...)
	body = binary.BigEndian.AppendUint32(body, crc32.ChecksumIEEE(body))
	return prefix + base64.RawURLEncoding.EncodeToString(body)
}

func TestRightSumAndNoSense(t *testing.T) {
	head := make([]byte, headBytes-2)
	for name, tail := range map[string][]byte{
		"no endpoint": {}, "unknown kind": {9, 1, 2, 3, 4, 0, 1}, "short address": {4, 1, 2, 3}, "port 0": {4, 1, 2, 3, 4, 0, 0},
		"empty name": {1, 0, 0, 1}, "name with a space": {1, 3, 'a', ' ', 'b', 0, 1}, "only a kind": {1},
	} {
		if got, err := Parse(seal(append(head, tail...))); err != errAltered {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// FuzzParse: whatever is pasted, Parse answers; and what it takes for a token, printed and parsed again, is the same.
func FuzzParse(f *testing.F) {
	s, _ := sample("vps.example.org:6779").Text()
	f.Add(s)
	f.Add(s[:50] + "\n> " + s[50:])
	f.Add("mpp1:AUVA")
	f.Add("mpp2:")
	f.Add(seal(append(make([]byte, headBytes-2), 4, 1, 2, 3, 4, 0, 1)))
	f.Fuzz(func(t *testing.T, pasted string) {
		k, err := Parse(pasted)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		s, err := k.Text()
		if err != nil {
			t.Fatalf("%+v cannot be printed: %v", k, err)
		}
		if again, err := Parse(s); err != nil || !reflect.DeepEqual(again, k) {
			t.Fatalf("%+v became %+v, %v", k, again, err)
		}
	})
}
