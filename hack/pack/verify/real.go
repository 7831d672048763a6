package verify

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Machine is what there is of OpenWrt's own programs to try the feed with.
type Machine struct {
	Feed, URL string // the feed's folder, and where it is served
	Scratch   string
	Rootfs    string // a real root file system of OpenWrt, or ""
	Opkg, Apk string // programs that run here, or "": looked for
	Checkout  string // of ours
	SDK       string // a build tree of OpenWrt with the feeds packages and luci, or ""
}

// arch is the architecture that is installed: this machine's, if the feed has it.
func (m Machine) arch() string {
	list := entries(filepath.Join(m.Feed, "opkg"))
	for _, a := range list {
		if a == ownArch() {
			return a
		}
	}
	return list[0]
}

func program(given, name string) string {
	if given != "" {
		return given
	}
	found, err := exec.LookPath(name)
	if err != nil {
		return ""
	}
	return found
}

// Real installs from the feed with the real package managers, where there are any, and counts what is missing.
func (r *Report) Real(m Machine) {
	if apk := program(m.Apk, "apk"); apk != "" {
		r.realApk(m, apk)
	} else {
		r.Skip("the real apk installs from the feed (APK=program)")
	}
	if opkg := program(m.Opkg, "opkg"); opkg != "" {
		r.realOpkg(m, opkg)
	} else {
		r.Skip("the real opkg installs from the feed (OPKG=program)")
	}
	if m.Rootfs != "" {
		r.realRoot(m)
	} else {
		r.Skip("installation in a real root file system of OpenWrt, and the services under its procd (OPENWRT_ROOT=folder)")
	}
	r.Skip("the handler under a real netifd, the zone under a real fw4: they need a running OpenWrt")
	if m.SDK != "" {
		r.realSDK(m)
	} else {
		r.Skip("the source packages of openwrt/ and luci-app-mpproxy/ in OpenWrt's build system (OPENWRT_TREE=folder)")
	}
}

func (r *Report) step(what, name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	r.Err(err, "%s: %s %s:\n%s", what, filepath.Base(name), strings.Join(args, " "), out)
	return string(out)
}

// realApk: trust the key, add the repository, install from it; without the key it must refuse.
func (r *Report) realApk(m Machine, apk string) {
	const what = "real apk"
	at := filepath.Join(m.Scratch, "apk")
	arch := m.arch()
	common := []string{"--root", at, "--arch", arch, "--no-scripts", "--repository", m.URL + "/apk/" + arch + "/packages.adb"}
	if err := os.MkdirAll(filepath.Join(at, "etc/apk/keys"), 0o755); !r.Err(err, what) {
		return
	}
	r.step(what, apk, "--root", at, "--arch", arch, "add", "--initdb")
	if out, err := exec.Command(apk, append(common, "add", "mpproxy")...).CombinedOutput(); true {
		r.Check(err != nil, "%s: installs although the key is not trusted: %s", what, out)
	}
	key, err := os.ReadFile(filepath.Join(m.Feed, "keys/mpproxy.pem"))
	if !r.Err(err, what) || !r.Err(os.WriteFile(filepath.Join(at, "etc/apk/keys/mpproxy.pem"), key, 0o644), what) {
		return
	}
	// What ours depends on is in OpenWrt's own feeds: stand-ins of it, as virtual packages.
	r.step(what, apk, append(common, "add", "--virtual", "ca-bundle")...)
	r.step(what, apk, append(common, "add", "--virtual", "kmod-tun")...)
	r.step(what, apk, append(common, "add", "mpproxy")...)
	out := r.step(what, apk, "--root", at, "info", "--contents", "mpproxy")
	r.Check(strings.Contains(out, "etc/init.d/mpproxy"), "%s: the package has %s", what, out)
	r.step(what, apk, "--root", at, "audit", "--system")
	r.step(what, apk, append(common, "del", "mpproxy")...)
	_, err = os.Stat(filepath.Join(at, "usr/bin/mpproxy"))
	r.Check(os.IsNotExist(err), "%s: removal leaves the program", what)
}

// standIn has opkg's status say that what ours depends on is installed: it is in OpenWrt's own feeds.
func standIn(status string) error {
	b, err := os.ReadFile(status)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for _, name := range []string{"ca-bundle", "kmod-tun"} {
		if !strings.Contains(string(b), "Package: "+name+"\n") {
			b = fmt.Appendf(b, "\nPackage: %s\nVersion: 1\nStatus: install ok installed\nArchitecture: all\n", name)
		}
	}
	return os.WriteFile(status, b, 0o644)
}

// realOpkg installs from the feed into an offline root.
func (r *Report) realOpkg(m Machine, opkg string) {
	const what = "real opkg"
	at, arch := filepath.Join(m.Scratch, "opkg"), m.arch()
	for _, d := range []string{"etc/opkg", "usr/lib/opkg", "tmp", "var/lock"} {
		if !r.Err(os.MkdirAll(filepath.Join(at, d), 0o755), what) {
			return
		}
	}
	conf := fmt.Sprintf("dest root /\nlists_dir ext /lists\narch all 1\narch noarch 1\narch %s 10\nsrc/gz mpproxy %s/opkg/%s\n", arch, m.URL, arch)
	file := filepath.Join(m.Scratch, "opkg.conf")
	if !r.Err(os.WriteFile(file, []byte(conf), 0o644), what) {
		return
	}
	if !r.Err(standIn(filepath.Join(at, "usr/lib/opkg/status")), what) {
		return
	}
	common := []string{"--offline-root", at, "--conf", file}
	r.step(what, opkg, append(common, "update")...)
	r.step(what, opkg, append(common, "install", "mpproxy")...)
	out := r.step(what, opkg, append(common, "files", "mpproxy")...)
	r.Check(strings.Contains(out, "/etc/init.d/mpproxy"), "%s: the package has %s", what, out)
	out = r.step(what, opkg, append(common, "list-installed")...)
	r.Check(strings.Contains(out, "mpproxy - "), "%s: installed: %s", what, out)
	r.step(what, opkg, append(common, "remove", "mpproxy")...)
	_, err := os.Stat(filepath.Join(at, "usr/bin/mpproxy"))
	r.Check(os.IsNotExist(err), "%s: removal leaves the program", what)
}

// realRoot copies a root file system and has its own package manager install the package's file in it, and remove it.
func (r *Report) realRoot(m Machine) {
	what := "OPENWRT_ROOT"
	at := filepath.Join(m.Scratch, "openwrt")
	r.step(what, "cp", "-a", m.Rootfs, at)
	var install, remove []string
	name := "*.ipk"
	switch {
	case exists(at, "bin/opkg"):
		r.Err(standIn(filepath.Join(at, "usr/lib/opkg/status")), what)
		install, remove = []string{"/bin/opkg", "install"}, []string{"/bin/opkg", "remove", "mpproxy"}
	case exists(at, "usr/bin/apk"):
		name = "*.apk"
		install, remove = []string{"/usr/bin/apk", "add", "--allow-untrusted"}, []string{"/usr/bin/apk", "del", "mpproxy"}
		r.step(what, "chroot", at, "/usr/bin/apk", "add", "--virtual", "kmod-tun")
	default:
		r.Check(false, "%s: has neither opkg nor apk", what)
		return
	}
	arch := m.arch()
	if text, err := os.ReadFile(filepath.Join(at, "etc/openwrt_release")); err == nil {
		if _, own, found := strings.Cut(string(text), "DISTRIB_ARCH='"); found {
			arch, _, _ = strings.Cut(own, "'")
		}
	}
	found, err := filepath.Glob(filepath.Join(m.Feed, "*", arch, "mpproxy"+name))
	if !r.Check(err == nil && len(found) == 1, "%s: one package %s: %v", what, name, found) {
		return
	}
	r.step(what, "cp", found[0], filepath.Join(at, "tmp", filepath.Base(found[0])))
	before, err := os.ReadFile(filepath.Join(at, "etc/config/firewall"))
	r.Err(err, what)
	in := func(argv ...string) string { return r.step(what, "chroot", append([]string{at}, argv...)...) }
	in(append(install, "/tmp/"+filepath.Base(found[0]))...)
	r.Check(strings.TrimSpace(in("/sbin/uci", "get", "firewall.mpproxy_zone.name")) == "mpproxy", "%s: no zone after installation", what)
	in("/bin/sh", "/usr/share/mpproxy/sections", "add")
	in(remove...)
	after, err := os.ReadFile(filepath.Join(at, "etc/config/firewall"))
	r.Check(err == nil && string(after) == string(before), "%s: the firewall's configuration is another after removal", what)
	r.live(at, strings.Join(append(install, "/tmp/"+filepath.Base(found[0])), " "))
}

// realSDK compares the source packages with the prebuilt one.
func (r *Report) realSDK(m Machine) {
	found, err := filepath.Glob(filepath.Join(m.Feed, "opkg", m.arch(), "mpproxy_*.ipk"))
	if !r.Check(err == nil && len(found) == 1, "OPENWRT_TREE: no package to compare with: %q", found) {
		return
	}
	file, err := os.ReadFile(found[0])
	if !r.Err(err, "OPENWRT_TREE") {
		return
	}
	p, err := readIpk(file)
	if r.Err(err, "OPENWRT_TREE") {
		r.Sources(m.SDK, m.Checkout, m.Scratch, p)
	}
}

func exists(parts ...string) bool {
	_, err := os.Lstat(filepath.Join(parts...))
	return err == nil
}
