package verify_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mpproxy/hack/pack/contents"
	"mpproxy/hack/pack/deb"
	"mpproxy/hack/pack/feed"
	"mpproxy/hack/pack/pkg"
	"mpproxy/hack/pack/root"
	"mpproxy/hack/pack/sign"
	"mpproxy/hack/pack/verify"
)

const (
	tree  = "../../.."
	epoch = 1_700_000_000
)

// smalluci is built once, for all roots.
var smalluci string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "smalluci-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	smalluci = filepath.Join(dir, "uci")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-o", smalluci, "../smalluci")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Printf("build smalluci: %v: %s", err, out)
		return 1
	}
	return m.Run()
}

// program is the smallest file that says which processor it is for.
func program(a pkg.Arch) []byte {
	head := []byte{0x7f, 'E', 'L', 'F', byte(a.Class), byte(a.Data), 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	var order binary.AppendByteOrder = binary.LittleEndian
	if a.Data == 2 {
		order = binary.BigEndian
	}
	head = order.AppendUint16(head, 2)
	head = order.AppendUint16(head, uint16(a.Machine))
	head = order.AppendUint32(head, 1)
	size := 52
	if a.Class == 2 {
		size = 64
	}
	return append(head, make([]byte, size-len(head))...)
}

// packages collects a feed of two architectures, with programs that only say what they are for.
func packages(t *testing.T) feed.Set {
	t.Helper()
	version, err := contents.Version(tree)
	if err != nil {
		t.Fatal(err)
	}
	s := feed.Set{Version: version, Epoch: epoch, Server: map[string][]byte{}}
	for _, a := range pkg.Arches() {
		if a.Name != "x86_64" && a.Name != "mips_24kc" {
			continue
		}
		binary := program(a)
		p, err := contents.Router(tree, a, version, binary)
		if err != nil {
			t.Fatal(err)
		}
		s.Router = append(s.Router, p)
		if a.Name == "x86_64" {
			server, err := contents.Server(tree, "amd64", version, binary, epoch)
			if err != nil {
				t.Fatal(err)
			}
			if s.Server[deb.FileName(server)], err = deb.Build(server, epoch); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s.All, err = contents.LuCI("testdata/luci", version); err != nil {
		t.Fatal(err)
	}
	return s
}

func write(t *testing.T, s feed.Set, keys *sign.Keys) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "feed")
	if err := feed.Write(out, s, keys); err != nil {
		t.Fatal(err)
	}
	return out
}

func newKeys(t *testing.T) *sign.Keys {
	t.Helper()
	keys, err := sign.Open(filepath.Join(t.TempDir(), "keys"), tree, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// read has a feed read back over HTTP; complaints are what failed.
func read(t *testing.T, dir string) (r *verify.Report, complaints string) {
	t.Helper()
	var b bytes.Buffer
	r = &verify.Report{Out: &b}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	r.Read(&verify.Feed{Dir: dir, URL: server.URL, Dummy: true})
	return r, b.String()
}

// contentOf is every file below dir, by path.
func contentOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		all[strings.TrimPrefix(name, dir)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFeedIsReproducible(t *testing.T) {
	keys := newKeys(t)
	one, two := contentOf(t, write(t, packages(t), keys)), contentOf(t, write(t, packages(t), keys))
	if len(one) != len(two) || len(one) < 15 {
		t.Fatalf("%d and %d files", len(one), len(two))
	}
	for name := range one {
		if one[name] != two[name] {
			t.Errorf("%s differs between two builds", name)
		}
	}
}

func TestFeedReadsBack(t *testing.T) {
	dir := write(t, packages(t), newKeys(t))
	r, complaints := read(t, dir)
	if r.Failed > 0 || r.Passed < 300 {
		t.Fatalf("%d passed, %d failed:\n%s", r.Passed, r.Failed, complaints)
	}
	// Every byte counts: a feed with one byte changed anywhere is refused.
	for name, text := range contentOf(t, dir) {
		if name == "/index.html" || strings.HasPrefix(name, "/deb/") {
			continue
		}
		at := len(text) / 2
		changed := text[:at] + string(text[at]^1) + text[at+1:]
		if err := os.WriteFile(dir+name, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
		if r, _ := read(t, dir); r.Failed == 0 {
			t.Errorf("%s: a changed byte is not seen", name)
		}
		if err := os.WriteFile(dir+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBadPackagesAreSeen seeds one mistake at a time into what is packed, or into the finished feed.
func TestBadPackagesAreSeen(t *testing.T) {
	keys := newKeys(t)
	change := func(p *pkg.Package, path string, f func(*pkg.File)) {
		for i := range p.Files {
			if p.Files[i].Path == path {
				f(&p.Files[i])
			}
		}
	}
	tests := []struct {
		name, want string
		packed     func(*feed.Set)
		finished   func(dir string) error
	}{
		{"program of another processor", "the program is for", func(s *feed.Set) {
			change(s.Router[1], "/usr/bin/mpproxy", func(f *pkg.File) { f.Data = program(pkg.Arches()[0]) })
		}, nil},
		{"script that nobody can run", "cannot be executed", func(s *feed.Set) {
			change(s.Router[0], "/etc/init.d/mpproxy", func(f *pkg.File) { f.Mode = 0o644 })
		}, nil},
		{"file that all may write", "has mode 666", func(s *feed.Set) {
			change(s.Router[0], "/etc/config/mpproxy", func(f *pkg.File) { f.Mode = 0o666 })
		}, nil},
		{"stock first-boot script", "what others have staged", func(s *feed.Set) {
			s.Router[0].Files = append(s.Router[0].Files, pkg.File{Path: "/etc/uci-defaults/80-mpproxy", Mode: 0o644})
			pkg.SortFiles(s.Router[0].Files)
		}, nil},
		{"no package of the program", "no package mpproxy", func(s *feed.Set) { s.Router[0].Name = "other" }, nil},
		{"missing file", "404", nil, func(dir string) error { return os.Remove(dir + "/apk/x86_64/packages.adb") }},
		{"forgotten file", "nothing leads to it", nil, func(dir string) error { return os.WriteFile(dir+"/opkg/x86_64/old.ipk", nil, 0o644) }},
		{"secret key", "a secret key lies", nil, func(dir string) error {
			return os.WriteFile(dir+"/keys/mpproxy-usign.sec", keys.Usign.Private(), 0o644)
		}},
		{"index of another architecture", "is for", nil, func(dir string) error {
			for _, name := range []string{"opkg", "apk"} {
				if err := os.RemoveAll(dir + "/" + name + "/x86_64"); err != nil {
					return err
				}
				if err := os.CopyFS(dir+"/"+name+"/x86_64", os.DirFS(dir+"/"+name+"/mips_24kc")); err != nil {
					return err
				}
			}
			return nil
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := packages(t)
			if tt.packed != nil {
				tt.packed(&s)
			}
			dir := write(t, s, keys)
			if tt.finished != nil {
				if err := tt.finished(dir); err != nil {
					t.Fatal(err)
				}
			}
			if r, complaints := read(t, dir); r.Failed == 0 || !strings.Contains(complaints, tt.want) {
				t.Errorf("%d failed, want one with %q:\n%s", r.Failed, tt.want, complaints)
			}
		})
	}
}

// rounds returns a maker of throw-away roots.
func roots(t *testing.T) func() (*root.Root, error) {
	t.Helper()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal("needs busybox (apt-get install busybox-static)")
	}
	dir, n := t.TempDir(), 0
	return func() (*root.Root, error) {
		n++
		return root.New(filepath.Join(dir, fmt.Sprint(n)), busybox, smalluci)
	}
}

// live takes the packages of a feed through their life on a router, or through an image builder.
func live(t *testing.T, s feed.Set, image bool) (*verify.Report, string) {
	t.Helper()
	dir := write(t, s, newKeys(t))
	var b bytes.Buffer
	r := &verify.Report{Out: io.Discard}
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer server.Close()
	p, a := r.Read(&verify.Feed{Dir: dir, URL: server.URL, Dummy: true})
	r = &verify.Report{Out: &b}
	if !image {
		r.Lives(p, a, roots(t))
	} else {
		r.Image(p, a, roots(t))
	}
	return r, b.String()
}

func TestLivesOfPackages(t *testing.T) {
	for _, image := range []bool{false, true} {
		r, complaints := live(t, packages(t), image)
		if r.Failed > 0 || r.Passed < 90 {
			t.Errorf("%d passed, %d failed:\n%s", r.Passed, r.Failed, complaints)
		}
	}
}

// TestBadScriptsAreSeen changes one line of a script at a time; the lives must fail.
func TestBadScriptsAreSeen(t *testing.T) {
	file := func(path, old, new string) func(*pkg.Package) {
		return func(p *pkg.Package) {
			for i, f := range p.Files {
				if f.Path == path {
					if !bytes.Contains(f.Data, []byte(old)) {
						panic(path + " has no " + old)
					}
					p.Files[i].Data = bytes.Replace(f.Data, []byte(old), []byte(new), 1)
				}
			}
		}
	}
	const sections, service, guard = "/usr/share/mpproxy/sections", "/etc/init.d/mpproxy", "/etc/init.d/mpproxy-guard"
	tests := []struct {
		name, want string
		change     func(*pkg.Package)
	}{
		{"zone stays", "after removal: /etc/config/firewall", file(sections, "mpproxy_fwd mpproxy_zone", "mpproxy_fwd")},
		{"commits for others", "what somebody has staged", file(sections, `uci -q -c "$dir" -t "$dir/staged" batch`, "sed s/edited/network/g | uci -q batch")},
		{"added at upgrades too", "brings back what the user has deleted", func(p *pkg.Package) {
			p.PostInst = strings.Replace(p.PostInst, `elif [ "$PKG_UPGRADE" != 1 ]; then`, "else", 1)
			p.PostInst = strings.Replace(p.PostInst, "elif /etc/init.d/mpproxy running", "fi; if /etc/init.d/mpproxy running", 1)
		}},
		{"guard forgotten", "delete table inet mpproxy_guard", func(p *pkg.Package) { p.PostRm = "#!/bin/sh\n" }},
		{"old program runs on", "does not restart", func(p *pkg.Package) { p.PostInst = strings.Replace(p.PostInst, "restart", "status", 1) }},
		{"killed at reload", "sends not one SIGHUP", file(service, "procd_send_signal mpproxy portal HUP", "restart")},
		{"runs though disabled", "although it is not enabled", file(service, `[ "$enabled" = 1 ] || return 0`, "true")},
		{"starts what is refused", `"instance"`, file(service, "|| acceptable || return 1", "|| acceptable")},
		{"token is left", `"instance join"`, file(service, "\tfirst_boot\n", "")},
		{"guard ends with the service", "guard down", file(guard, "return 0 # kept on purpose", `"$PROG" guard down`)},
		{"no poke", "does not poke", file("/lib/netifd/proto/mpproxy.sh", "ubus -t 2 call", "true")},
		{"image without sections", "first-boot scripts", func(p *pkg.Package) { p.PostInst = strings.Replace(p.PostInst, "image", "add", 1) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := packages(t)
			for _, p := range s.Router {
				tt.change(p)
			}
			if r, complaints := live(t, s, strings.HasPrefix(tt.name, "image")); r.Failed == 0 || !strings.Contains(complaints, tt.want) {
				t.Errorf("%d failed, want one with %q:\n%s", r.Failed, tt.want, complaints)
			}
		})
	}
}
