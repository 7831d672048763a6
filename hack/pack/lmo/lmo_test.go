package lmo

import (
	"encoding/binary"
	"testing"
)

// TestHash: values that LuCI's own function gave.
func TestHash(t *testing.T) {
	for text, want := range map[string]uint32{
		"": 0, "a": 0x115ea782, "ab": 0x516b8b44, "abc": 0xd2be198a, "abcd": 0xdad8b8db, "Links": 0x084d8735, "Überall ö": 0x27be873e, "…": 0x37a9b79b,
	} {
		if got := Hash(text); got != want {
			t.Errorf("%q: %08x, want %08x", text, got, want)
		}
	}
}

const catalogue = `msgid ""
msgstr ""
"Language: de\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

#: a comment with "quotes"
msgid "Links"
msgstr "Anschlüsse"

msgid "%d link"
msgid_plural "%d links"
msgstr[0] "%d Anschluss"
msgstr[1] "%d Anschlüsse"

msgctxt "verb"
msgid "Set \"up\"\n"
msgstr ""
"Einrichten, "
"\"jetzt\""

msgid "not translated"
msgstr ""

msgid "same"
msgstr "same"
`

// lookup finds a text as LuCI does.
func lookup(file []byte, key uint32) (string, uint32, bool) {
	at := binary.BigEndian.Uint32(file[len(file)-4:])
	for index := file[at : len(file)-4]; len(index) > 0; index = index[16:] {
		if binary.BigEndian.Uint32(index) == key {
			from, size := binary.BigEndian.Uint32(index[8:]), binary.BigEndian.Uint32(index[12:])
			return string(file[from : from+size]), binary.BigEndian.Uint32(index[4:]), true
		}
	}
	return "", 0, false
}

func TestConvert(t *testing.T) {
	file := Convert(catalogue)
	for key, want := range map[string]string{
		"Links": "Anschlüsse", "%d link\x020": "%d Anschluss", "%d link\x021": "%d Anschlüsse",
		"verb\x01Set \"up\"\\n": `Einrichten, "jetzt"`,
	} {
		if got, _, ok := lookup(file, Hash(key)); !ok || got != want {
			t.Errorf("%q is %q, want %q", key, got, want)
		}
	}
	if forms, n, ok := lookup(file, 0); !ok || n != 0 || forms != "nplurals=2; plural=(n != 1);" {
		t.Errorf("plural forms: %q", forms)
	}
	if _, n, _ := lookup(file, Hash("%d link\x021")); n != 2 {
		t.Errorf("%d plural forms", n)
	}
	for _, key := range []string{"not translated", "same", "Set \"up\"\\n"} {
		if got, _, ok := lookup(file, Hash(key)); ok {
			t.Errorf("%q is %q", key, got)
		}
	}
	last := uint32(0)
	at := binary.BigEndian.Uint32(file[len(file)-4:])
	for index := file[at : len(file)-4]; len(index) > 0; index = index[16:] {
		if key := binary.BigEndian.Uint32(index); key < last {
			t.Error("the index is not sorted")
		} else {
			last = key
		}
	}
}

func TestNothingTranslated(t *testing.T) {
	if b := Convert("msgid \"a\"\nmsgstr \"\"\n"); b != nil {
		t.Errorf("%x", b)
	}
}

func FuzzConvert(f *testing.F) {
	f.Add(catalogue)
	f.Add("msgstr[9] \"x\"\nmsgid \"\\\"")
	f.Add("msgctxt \"a\nmsgstr[-1] \"b\"")
	f.Fuzz(func(t *testing.T, po string) {
		if b := Convert(po); b != nil && int(binary.BigEndian.Uint32(b[len(b)-4:])) > len(b) {
			t.Errorf("index at %d of %d", binary.BigEndian.Uint32(b[len(b)-4:]), len(b))
		}
	})
}
