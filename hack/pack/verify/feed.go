package verify

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"mpproxy/hack/pack/root"
)

// mostBytes is what a program may have, as in hack/cross.sh: it lives in a router's flash.
const mostBytes = 8_000_000

// A Feed is a feed to check: the folder, and the address at which it is served.
type Feed struct {
	Dir, URL string
	// Dummy is for tests: the programs in the packages do not run.
	Dummy   bool
	fetched map[string]bool
}

// Get fetches a file over HTTP, as a router does.
func (f *Feed) Get(name string) ([]byte, error) {
	f.fetched[name] = true
	answer, err := http.Get(f.URL + "/" + name)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetch %s: %s", name, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// Feed does all that can be done without OpenWrt's own programs, in the roots that fresh makes.
func (r *Report) Feed(f *Feed, fresh func() (*root.Root, error)) {
	p, a := r.Read(f)
	machine := debMachine()
	for _, name := range entries(filepath.Join(f.Dir, "deb")) {
		at, err := fresh()
		if r.Err(err, "root for %s", name) {
			r.Deb(filepath.Join(f.Dir, "deb", name), machine, at)
		}
	}
	if p != nil && a != nil {
		r.Lives(p, a, fresh)
		r.Image(p, a, fresh)
	}
}

// Read reads the whole feed back, and returns the router's packages of one architecture.
func (r *Report) Read(f *Feed) (*ipkFile, *apkFile) {
	f.fetched = map[string]bool{}
	arches := entries(filepath.Join(f.Dir, "opkg"))
	r.Check(len(arches) > 0 && slices.Equal(arches, entries(filepath.Join(f.Dir, "apk"))), "opkg has %v, apk %v", arches, entries(filepath.Join(f.Dir, "apk")))
	var ipks map[string]*ipkFile
	var apks map[string]*apkFile
	for _, arch := range arches {
		ipks = r.opkg(arch, f.Get)
		if p := ipks["mpproxy"]; p != nil && !f.Dummy {
			binary := p.data["/usr/bin/mpproxy"].data
			r.Check(len(binary) <= mostBytes, "%s: the program has %d bytes", arch, len(binary))
			r.Check(bytes.Contains(binary, []byte(p.fields["Version"])), "%s: the program is of another version than its package, %s", arch, p.fields["Version"])
			if arch == ownArch() {
				r.own(f, p)
			}
		}
		apks = r.apkDir(arch, f.Get, ipks)
		r.signify(f, arch)
	}
	page, err := f.Get("index.html")
	r.Err(err, "index.html")
	for _, want := range append([]string{"opkg-key add", "/packages.adb", "mpproxy setup remote"}, arches...) {
		r.Check(strings.Contains(string(page), want), "index.html does not say %q", want)
	}
	for _, name := range entries(filepath.Join(f.Dir, "deb")) {
		_, err := f.Get("deb/" + name)
		r.Err(err, "deb/%s", name)
	}
	r.unnamed(f)
	return ipks["mpproxy"], apks["mpproxy"]
}

// own has the program for this machine judge the configuration that its package ships.
func (r *Report) own(f *Feed, p *ipkFile) {
	dir, err := os.MkdirTemp("", "mpproxy-own-")
	if !r.Err(err, "own program") {
		return
	}
	defer os.RemoveAll(dir)
	program, conf := filepath.Join(dir, "mpproxy"), filepath.Join(dir, "config")
	r.Err(os.WriteFile(program, p.data["/usr/bin/mpproxy"].data, 0o755), "own program")
	r.Err(os.WriteFile(conf, p.data["/etc/config/mpproxy"].data, 0o600), "own program")
	out, err := exec.Command(program, "check", conf).CombinedOutput()
	r.Err(err, "the shipped configuration is refused: %s", out)
	out, err = exec.Command(program, "version").CombinedOutput()
	right := strings.Contains(string(out), p.fields["Version"])
	r.Check(err == nil && right, "the program is %s, its package %s", strings.TrimSpace(string(out)), p.fields["Version"])
}

// unnamed looks for files that nothing in the feed leads to, and for keys.
func (r *Report) unnamed(f *Feed) {
	err := filepath.WalkDir(f.Dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(f.Dir, path)
		if err != nil {
			return err
		}
		r.Check(f.fetched[name], "%s: nothing leads to it", name)
		b, err := os.ReadFile(path)
		r.Check(!strings.Contains(string(b), "PRIVATE KEY") && !strings.Contains(string(b), "secret key"), "%s: a secret key lies in the feed", name)
		return err
	})
	r.Err(err, "feed")
}

// signify has OpenBSD's and OpenWrt's own programs verify opkg's index.
func (r *Report) signify(f *Feed, arch string) {
	at := func(name string) string { return filepath.Join(f.Dir, name) }
	for variable, name := range map[string]string{"SIGNIFY": "signify-openbsd", "USIGN": "usign"} {
		program := program(os.Getenv(variable), name)
		if program == "" {
			r.Skip("%s on opkg's indexes (%s=program)", name, variable)
			continue
		}
		out, err := exec.Command(program, "-V", "-p", at("keys/mpproxy-usign.pub"), "-x", at("opkg/"+arch+"/Packages.sig"), "-m", at("opkg/"+arch+"/Packages")).CombinedOutput()
		r.Err(err, "%s: %s: %s", arch, program, out)
	}
}

// ownArch is this machine's architecture by OpenWrt's name.
func ownArch() string {
	return map[string]string{"amd64": "x86_64", "arm64": "aarch64_generic", "riscv64": "riscv64_generic"}[runtime.GOARCH]
}

// debMachine is this machine's architecture by Debian's name.
func debMachine() string {
	out, err := exec.Command("dpkg", "--print-architecture").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
