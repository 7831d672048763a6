package sign

import (
	"bytes"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func fixedUsign(t *testing.T) *Usign {
	t.Helper()
	k, err := NewUsign(bytes.NewReader(bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8}, 5)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestUsign: the texts, which usign and signify read.
func TestUsign(t *testing.T) {
	k := fixedUsign(t)
	const public = "untrusted comment: mpproxy feed public key 0102030405060708\nRWQBAgMEBQYHC"
	if got := string(k.Public()); !strings.HasPrefix(got, public) || k.ID() != "0102030405060708" {
		t.Errorf("public key %q of %s", got, k.ID())
	}
	again, err := ParseUsign(k.Private())
	if err != nil || !bytes.Equal(again.Sign([]byte("x")), k.Sign([]byte("x"))) {
		t.Errorf("the key read back signs otherwise: %v", err)
	}
	if bytes.Equal(k.Sign([]byte("x")), k.Sign([]byte("y"))) {
		t.Error("two texts have one signature")
	}
	for name, change := range map[string]func([]byte) []byte{
		"cut":      func(b []byte) []byte { return b[:len(b)-9] },
		"changed":  func(b []byte) []byte { b[len(b)-20] ^= 1; return b },
		"no text":  func([]byte) []byte { return nil },
		"public":   func([]byte) []byte { return k.Public() },
		"password": func(b []byte) []byte { return bytes.Replace(b, []byte("\nRWRCSwAAAA"), []byte("\nRWRCSwAAAB"), 1) },
	} {
		if _, err := ParseUsign(change(k.Private())); err == nil {
			t.Errorf("%s: a bad key is read", name)
		}
	}
}

// TestSignify has OpenBSD's program verify, and refuse what was changed.
func TestSignify(t *testing.T) {
	signify, err := exec.LookPath("signify-openbsd")
	if err != nil {
		t.Skip("no signify-openbsd here")
	}
	k, dir := fixedUsign(t), t.TempDir()
	write := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	message := write("m", []byte("Package: x\n"))
	verify := []string{"-V", "-p", write("p", k.Public()), "-x", write("s", k.Sign([]byte("Package: x\n"))), "-m", message}
	if out, err := exec.Command(signify, verify...).CombinedOutput(); err != nil {
		t.Errorf("signify: %v: %s", err, out)
	}
	write("m", []byte("Package: y\n"))
	if _, err := exec.Command(signify, verify...).CombinedOutput(); err == nil {
		t.Error("signify takes another text")
	}
	// It also signs with our secret key.
	if out, err := exec.Command(signify, "-S", "-s", write("k.sec", k.Private()), "-x", filepath.Join(dir, "s2"), "-m", message).CombinedOutput(); err != nil {
		t.Errorf("signify: %v: %s", err, out)
	}
}

// TestOpenSSL has OpenSSL verify what apk would.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	k := testApk(t)
	dir := t.TempDir()
	payload, err := k.Sign(0x676b6370, []byte("database"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha512.Sum512([]byte("database"))
	public, err := k.Public()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"message": append(append([]byte("pckg"), payload[:18]...), sum[:]...), "signature": payload[18:], "key": public} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(openssl, "dgst", "-sha512", "-verify", "key", "-signature", "signature", "message")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl: %v: %s", err, out)
	}
}

func testApk(t *testing.T) *Apk {
	t.Helper()
	keys, err := Open(filepath.Join(t.TempDir(), "keys"), ".", func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return keys.Apk
}

func TestApk(t *testing.T) {
	k := testApk(t)
	one, err1 := k.Sign(1, []byte("x"))
	two, err2 := k.Sign(1, []byte("x"))
	other, err3 := k.Sign(2, []byte("x"))
	if err1 != nil || err2 != nil || err3 != nil || !bytes.Equal(one, two) || bytes.Equal(one, other) {
		t.Error("signatures are not reproducible, or not of the schema")
	}
	text, err := k.Private()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseApk(text)
	if err != nil || again.id != k.id {
		t.Errorf("read back: %v", err)
	}
	public, err := k.Public()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(public)
	if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]byte{nil, public, []byte("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n")} {
		if _, err := ParseApk(bad); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestOpen(t *testing.T) {
	tree := t.TempDir()
	for _, dir := range []string{tree, filepath.Join(tree, "a"), filepath.Join(tree, "a", "b"), tree + "/x/../keys"} {
		if _, err := Open(dir, tree, func(string) {}); err == nil || !strings.Contains(err.Error(), "inside the project") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(tree, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(link, "keys"), tree, func(string) {}); err == nil {
		t.Error("a link into the project is not seen")
	}
	dir, made := filepath.Join(t.TempDir(), "deep", "keys"), 0
	one, err := Open(dir, tree, func(string) { made++ })
	if err != nil || made != 2 {
		t.Fatalf("%d made: %v", made, err)
	}
	two, err := Open(dir, tree, func(string) { made++ })
	if err != nil || made != 2 || one.Usign.ID() != two.Usign.ID() || one.Apk.id != two.Apk.id {
		t.Errorf("opened again: %d made, %v", made, err)
	}
	for _, name := range []string{usignFile, apkFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, apkFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, tree, func(string) {}); err == nil {
		t.Error("a broken key is replaced in silence")
	}
}
