package apk

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"mpproxy/hack/pack/adb"
	"mpproxy/hack/pack/pkg"
)

func sample() *pkg.Package {
	return &pkg.Package{
		Name: "sample", Version: "1.0-r1", Arch: "all", Title: "A sample", License: "MIT", Maintainer: "nobody <nobody@localhost>",
		Depends: []string{"zlib", "ca-bundle"}, Conffiles: []string{"/etc/config/sample"}, PostInst: "#!/bin/sh\necho installed\n",
		Files: []pkg.File{
			{Path: "/etc/config/sample", Mode: 0o600, Data: []byte("config x 'y'\n")},
			{Path: "/usr/bin/sample", Mode: 0o755, Data: bytes.Repeat([]byte("0123456789"), 30)},
			{Path: "/usr/share/sample/empty", Mode: 0o644},
		},
	}
}

const epoch = 1_700_000_000

// TestGolden: the bytes (before they are deflated) that "apk mkpkg --compression none" of apk-tools 3.0.6 wrote for the
// same files, information and scripts.
func TestGolden(t *testing.T) {
	const want = "3bd4d7a0e845a98905f7f30f00455f9d2781f0142cad672715edb491711dda80"
	file, err := Build(sample(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := adb.Inflate(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(plain)); got != want {
		t.Errorf("%d bytes with sum %s, want %s", len(plain), got, want)
	}
}

func TestSameTwice(t *testing.T) {
	one, err1 := Build(sample(), epoch)
	two, err2 := Build(sample(), epoch)
	later, err3 := Build(sample(), epoch+1)
	if err1 != nil || err2 != nil || err3 != nil || !bytes.Equal(one, two) || bytes.Equal(one, later) {
		t.Error("not reproducible, or the time is not in it", err1, err2, err3)
	}
}

func TestRefusals(t *testing.T) {
	bad := sample()
	bad.Version = "1.0"
	if _, err := Build(bad, epoch); err == nil || !strings.Contains(err.Error(), "version") {
		t.Error("a version that apk does not know is packed:", err)
	}
	file, err := Build(sample(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(uint32, []byte) ([]byte, error) { return []byte("signature"), nil }
	if _, err := Sign(file, adb.SchemaIndex, sign); err == nil {
		t.Error("a package is signed as an index")
	}
	if _, err := Sign([]byte("ADBd"), adb.SchemaPackage, sign); err == nil {
		t.Error("nothing is signed")
	}
	if _, err := Index("x", []Entry{{sample(), []byte("no package")}}); err == nil {
		t.Error("no package is in an index")
	}
}
