// Package contents says what the project's packages consist of, and reads it from the checkout.
package contents

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"mpproxy/hack/pack/pkg"
)

// What all packages say.
const (
	license    = "Apache-2.0"
	maintainer = "mpproxy maintainers <mpproxy@localhost>"
)

// installed is one file of files/ and where it goes.
type installed struct {
	from, to string
	mode     os.FileMode
}

// routerFiles is what the package for routers has beside the program.
var routerFiles = []installed{
	{"mpproxy.config", "/etc/config/mpproxy", 0o600}, // may get keys written into it
	{"mpproxy.init", "/etc/init.d/mpproxy", 0o755},
	{"mpproxy-guard.init", "/etc/init.d/mpproxy-guard", 0o755},
	{"mpproxy.proto", "/lib/netifd/proto/mpproxy.sh", 0o755},
	{"mpproxy.keep", "/lib/upgrade/keep.d/mpproxy", 0o644},
	{"mpproxy.sections", "/usr/share/mpproxy/sections", 0o755},
}

// Router returns the package for routers, for one architecture; tree is the checkout, program the built program.
func Router(tree string, arch pkg.Arch, version string, program []byte) (*pkg.Package, error) {
	p := &pkg.Package{
		Name: "mpproxy", Version: version, Arch: arch.Name, License: license, Section: "net", Maintainer: maintainer,
		Title:     "Makes several Internet connections one: the router's and the server's portal",
		Depends:   []string{"ca-bundle", "kmod-tun"},
		Conffiles: []string{"/etc/config/mpproxy"},
		Files:     []pkg.File{{Path: "/usr/bin/mpproxy", Mode: 0o755, Data: program}},
	}
	for _, f := range routerFiles {
		data, err := os.ReadFile(filepath.Join(tree, "files", f.from))
		if err != nil {
			return nil, fmt.Errorf("collect package: %w", err)
		}
		p.Files = append(p.Files, pkg.File{Path: f.to, Mode: f.mode, Data: data})
	}
	pkg.SortFiles(p.Files)
	for name, script := range map[string]*string{"postinst": &p.PostInst, "prerm": &p.PreRm, "postrm": &p.PostRm} {
		data, err := os.ReadFile(filepath.Join(tree, "files", "mpproxy."+name))
		if err != nil {
			return nil, fmt.Errorf("collect package: %w", err)
		}
		*script = string(data)
	}
	return p, p.Check()
}

var assignment = regexp.MustCompile(`(?m)^(PKG_VERSION|PKG_RELEASE):=(\S+)$`)

// Version is the packages' version as the feed's Makefile has it, the one place where it stands: 1.2.3-r1.
func Version(tree string) (string, error) {
	const name = "openwrt/mpproxy/Makefile"
	text, err := os.ReadFile(filepath.Join(tree, name))
	if err != nil {
		return "", fmt.Errorf("find version: %w", err)
	}
	values := map[string]string{}
	for _, m := range assignment.FindAllStringSubmatch(string(text), -1) {
		values[m[1]] = m[2]
	}
	version := values["PKG_VERSION"] + "-r" + values["PKG_RELEASE"]
	if !pkg.ValidVersion(version) {
		return "", fmt.Errorf("find version: %s has no PKG_VERSION and PKG_RELEASE that make one: %q", name, version)
	}
	return version, nil
}

// noise is what editors and systems leave in folders.
func noise(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".orig")
}
