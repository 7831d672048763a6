package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// RFC 7748 section 6.1: Alice's keys.
const (
	alicePrivate = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="
	alicePublic  = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
)

func TestPublicKeyOfAPrivateKey(t *testing.T) {
	k, err := ParseSecretKey(" " + alicePrivate + "\r\n")
	if err != nil {
		t.Fatal(err)
	}
	public, err := k.Public()
	if err != nil || public.String() != alicePublic {
		t.Errorf("public key %v, %v; want %s", public, err, alicePublic)
	}
	if back, err := ParseKey(alicePublic); err != nil || back != public {
		t.Errorf("parsed as %v, %v", back, err)
	}
}

func TestNewPrivateKeyUsesTheRandomness(t *testing.T) {
	k, err := NewPrivateKey(bytes.NewReader(bytes.Repeat([]byte{0xff}, KeyBytes)))
	if err != nil || k[0] != 0xf8 || k[31] != 0x7f || k[15] != 0xff {
		t.Errorf("key %s, %v", k.Text(), err)
	}
	if _, err := NewPrivateKey(strings.NewReader("short")); err == nil {
		t.Error("a key of 5 random bytes")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	k := SecretKey{1, 2, 3}
	config := Config{Portal: Portal{PrivateKey: k}, Remotes: []Remote{{PresharedKey: k}}}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", config)
		fmt.Fprintf(&out, verb+"\n", &config)
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	text := out.String() + string(raw)
	for _, leak := range []string{"AQID", "010203", "1 2 3", "1, 2, 3", "0x1, 0x2", "1,2,3"} {
		if strings.Contains(text, leak) {
			t.Errorf("a secret prints as %q", leak)
		}
	}
	if !strings.Contains(text, hidden) {
		t.Error("secrets are not shown as hidden")
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, text := range []string{"", "abc", alicePublic[:43], alicePublic + "A", strings.Repeat("A", 43) + "=", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmp="} {
		if _, err := ParseKey(text); err == nil {
			t.Errorf("%q is taken for a key", text)
		} else if len(text) > 3 && strings.Contains(err.Error(), text) {
			t.Errorf("the error shows the text: %v", err)
		}
	}
}

func TestWithKeyMakesAKeyOnce(t *testing.T) {
	path := setup(t, localText("", ""), nil)
	c, _, err := Load(path)
	if err != nil || !c.Portal.PrivateKey.IsZero() {
		t.Fatal(err)
	}
	with, made, err := c.WithKey()
	if err != nil || !made || with.Portal.PrivateKey.IsZero() || !c.Portal.PrivateKey.IsZero() {
		t.Fatal(made, err)
	}
	file := filepath.Join(c.Portal.SecretsDir, "private_key")
	for name, want := range map[string]os.FileMode{file: 0o600, c.Portal.SecretsDir: 0o700} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %o", name, info.Mode(), err, want)
		}
	}
	if entries, err := os.ReadDir(c.Portal.SecretsDir); err != nil || len(entries) != 1 {
		t.Errorf("files left in the secrets directory: %v", entries)
	}
	again, _, err := Load(path)
	if err != nil || again.Portal.PrivateKey != with.Portal.PrivateKey {
		t.Errorf("the key kept is another one: %v", err)
	}
	if same, made, err := again.WithKey(); err != nil || made || same != again {
		t.Errorf("made a second key: %v, %v", made, err)
	}
}

func TestWithKeySaysWhereItFailed(t *testing.T) {
	dir := t.TempDir()
	block := filepath.Join(dir, "secrets")
	if err := os.WriteFile(block, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Config{Portal: Portal{SecretsDir: block}}
	if _, _, err := c.WithKey(); err == nil || !strings.Contains(err.Error(), block) {
		t.Errorf("error %v, want one that names %s", err, block)
	}
}

func TestSecretsWarnAndClash(t *testing.T) {
	path := setup(t, remoteText("\toption private_key '"+key(5)+"'", ""), map[string]string{
		"secrets/private_key": key(6), "secrets/peer.home.psk": "nonsense", "peers.d/.keep": ""})
	for name, mode := range map[string]os.FileMode{"c": 0o644, "secrets/private_key": 0o604} {
		if err := os.Chmod(filepath.Join(filepath.Dir(path), name), mode); err != nil {
			t.Fatal(err)
		}
	}
	_, warnings, err := Load(path)
	errs, warned := told(path, warnings, err)
	wantErrors := []string{
		"c:6: portal 'main', option private_key: differs from the key in secrets/private_key; remove one of the two",
		"secrets/peer.home.psk: must be a key: 44 characters of base64, as genkey prints them",
	}
	wantWarnings := []string{
		"c:6: portal 'main', option private_key: can be read by everybody on this machine; run: chmod 600 c",
		"secrets/private_key: can be read by everybody on this machine; run: chmod 600 secrets/private_key",
	}
	if strings.Join(errs, "\n") != strings.Join(wantErrors, "\n") {
		t.Errorf("errors\n%s", strings.Join(errs, "\n"))
	}
	if strings.Join(warned, "\n") != strings.Join(wantWarnings, "\n") {
		t.Errorf("warnings\n%s", strings.Join(warned, "\n"))
	}
}

func TestOwnKeyIsNoPeersKey(t *testing.T) {
	path := setup(t, strings.Replace(remoteText("", ""), key(2), alicePublic, 1), map[string]string{"secrets/private_key": alicePrivate, "peers.d/.keep": ""})
	_, warnings, err := Load(path)
	errs, _ := told(path, warnings, err)
	if len(errs) != 1 || !strings.HasSuffix(errs[0], "is this portal's own key; the other side's belongs here") {
		t.Errorf("errors %v", errs)
	}
}
