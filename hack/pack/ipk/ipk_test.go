package ipk

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mpproxy/hack/pack/pkg"
)

func sample() *pkg.Package {
	return &pkg.Package{
		Name: "sample", Version: "1.0-r1", Arch: "all", Title: "A sample", License: "MIT", Section: "net", Maintainer: "nobody <nobody@localhost>",
		Depends: []string{"ca-bundle", "zlib"}, Conffiles: []string{"/etc/config/sample"}, PostInst: "#!/bin/sh\necho installed\n",
		Files: []pkg.File{
			{Path: "/etc/config/sample", Mode: 0o600, Data: []byte("config x 'y'\n")},
			{Path: "/usr/bin/sample", Mode: 0o755, Data: []byte("program")},
		},
	}
}

const epoch = 1_700_000_000

// TestListing has GNU tar read the package, member by member.
func TestListing(t *testing.T) {
	file, err := Build(sample(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "p.ipk")
	if err := os.WriteFile(name, file, 0o644); err != nil {
		t.Fatal(err)
	}
	list := func(name string) string {
		cmd := exec.Command("tar", "--numeric-owner", "--utc", "--full-time", "-tvzf", name)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("tar: %v: %s", err, out)
		}
		return strings.Join(strings.Fields(strings.ReplaceAll(string(out), "2023-11-14 22:13:20", "T")), " ")
	}
	outer := list(name)
	if !strings.HasPrefix(outer, "-rw-r--r-- 0/0 4 T ./debian-binary -rw-r--r-- 0/0 ") || !strings.HasSuffix(outer, " T ./control.tar.gz") {
		t.Errorf("the package has %s", outer)
	}
	if out, err := exec.Command("tar", "-C", dir, "-xzf", name).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v: %s", err, out)
	}
	want := "drwxr-xr-x 0/0 0 T ./ drwxr-xr-x 0/0 0 T ./etc/ drwxr-xr-x 0/0 0 T ./etc/config/ -rw------- 0/0 13 T ./etc/config/sample " +
		"drwxr-xr-x 0/0 0 T ./usr/ drwxr-xr-x 0/0 0 T ./usr/bin/ -rwxr-xr-x 0/0 7 T ./usr/bin/sample"
	if got := list(filepath.Join(dir, "data.tar.gz")); got != want {
		t.Errorf("data has %s\nwant %s", got, want)
	}
	got := list(filepath.Join(dir, "control.tar.gz"))
	for _, part := range []string{"-rw-r--r-- 0/0 19 T ./conffiles", "-rwxr-xr-x 0/0 25 T ./postinst-pkg", " T ./postinst ", " T ./prerm"} {
		if !strings.Contains(got, part) {
			t.Errorf("control has %s, not %s", got, part)
		}
	}
	control, err := ReadControl(file)
	wantControl := "Package: sample\nVersion: 1.0-r1\nDepends: ca-bundle, zlib\nSource: mpproxy\nSourceName: mpproxy\nLicense: MIT\nSection: net\n" +
		"SourceDateEpoch: 1700000000\nMaintainer: nobody <nobody@localhost>\nArchitecture: all\nInstalled-Size: 5632\nDescription:  A sample\n"
	if err != nil || control != wantControl {
		t.Errorf("control is %q %v", control, err)
	}
}

// TestGolden holds the bytes of the data archive before they are compressed, which changes with Go's own version.
func TestGolden(t *testing.T) {
	data := newArchive(time.Unix(epoch, 0))
	data.tree(sample().Files)
	if err := data.tar.Close(); err != nil {
		t.Fatal(err)
	}
	const want = "3762d94cef15afd651c230b7e2fa44f6463e6d5fd84115e7f53e55dd817c6815"
	if got := fmt.Sprintf("%x", sha256.Sum256(data.buf.Bytes())); got != want {
		t.Errorf("%d bytes with sum %s, want %s", data.buf.Len(), got, want)
	}
}

func TestSameTwice(t *testing.T) {
	one, err1 := Build(sample(), epoch)
	two, err2 := Build(sample(), epoch)
	later, err3 := Build(sample(), epoch+1)
	if err1 != nil || err2 != nil || err3 != nil || !bytes.Equal(one, two) || bytes.Equal(one, later) {
		t.Error("not reproducible, or the time is not in it", err1, err2, err3)
	}
	bad := sample()
	bad.Conffiles = []string{"/etc/config"}
	if _, err := Build(bad, epoch); err == nil {
		t.Error("a folder is packed as a configuration file")
	}
}

func TestIndex(t *testing.T) {
	const control = "Package: p\nVersion: 1-r1\nDescription:  text\n"
	got := string(Index([]Entry{{control, "p_1-r1_all.ipk", []byte("abc")}, {control, "q", nil}}))
	want := "Package: p\nVersion: 1-r1\nFilename: p_1-r1_all.ipk\nSize: 3\nSHA256sum: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\nDescription:  text\n\n"
	if !strings.HasPrefix(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	// No length on which usign fails.
	for n := range 256 {
		if size := (64 + len(Index([]Entry{{control, strings.Repeat("x", n), nil}}))) % 128; size == 110 || size == 111 {
			t.Errorf("name of %d: length %d", n, size)
		}
	}
	if _, err := ReadControl([]byte("no package")); err == nil {
		t.Error("no package is read")
	}
}
