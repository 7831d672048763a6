package verify

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// tryMake is put around the package's Makefile: OpenWrt's recipes for the sources and for the files, without its toolchain.
const tryMake = `include Makefile
try:
	mkdir -p $(GO_PKG_BUILD_BIN_DIR)
	cp $(TRY_PROGRAM) $(GO_PKG_BUILD_BIN_DIR)/mpproxy
	$(call Build/Prepare)
	$(call Package/mpproxy/install,$(TRY_INTO))
`

// Sources has OpenWrt's own makefiles (a build tree or SDK whose feeds packages and luci are in place) evaluate our source
// packages: they must come out as the prebuilt ones. checkout is ours, p the prebuilt package.
func (r *Report) Sources(sdk, checkout, scratch string, p *ipkFile) {
	const what = "OPENWRT_TREE"
	sdk, err := filepath.Abs(sdk)
	if !r.Err(err, what) {
		return
	}
	for _, name := range []string{"rules.mk", "feeds/packages/lang/golang/golang-package.mk", "feeds/luci/luci.mk"} {
		if !r.Check(exists(sdk, name), "%s: %s has no %s: scripts/feeds update packages luci", what, sdk, name) {
			return
		}
	}
	daemon := r.dump(sdk, filepath.Join(checkout, "openwrt/mpproxy"))["mpproxy"]
	want := map[string]string{
		"Version": p.fields["Version"], "Section": p.fields["Section"], "License": p.fields["License"], "Maintainer": p.fields["Maintainer"],
		"Title": strings.TrimSpace(p.fields["Description"]), "Type": "ipkg",
	}
	for field, value := range want {
		got := daemon[field]
		well := got == value || field == "Title" && strings.HasPrefix(value, got)
		r.Check(well, "%s: mpproxy: %s is %q, the prebuilt package's %q", what, field, got, value)
	}
	r.Check(slices.Equal(dependencies(daemon["Depends"]), dependencies(p.fields["Depends"])), "%s: depends on %q, the prebuilt package on %q", what, daemon["Depends"], p.fields["Depends"])
	app := r.dump(sdk, filepath.Join(checkout, "luci-app-mpproxy"))
	r.Check(app["luci-app-mpproxy"]["Version"] == p.fields["Version"], "%s: the pages are version %q", what, app["luci-app-mpproxy"]["Version"])
	r.Check(slices.Contains(dependencies(app["luci-app-mpproxy"]["Depends"]), "mpproxy"), "%s: the pages depend on %q", what, app["luci-app-mpproxy"]["Depends"])
	r.Check(app["luci-i18n-mpproxy-de"] != nil, "%s: no German package", what)
	r.layOut(sdk, checkout, scratch, p)
}

// dependencies are the names alone, sorted, without the C library, which only OpenWrt's build adds.
func dependencies(list string) (names []string) {
	for _, word := range strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ',' }) {
		if name := strings.TrimPrefix(word, "+"); name != "libc" && !strings.HasPrefix(name, "@") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// make runs make in a folder of a package, as OpenWrt's build does.
func (r *Report) make(sdk, folder string, args ...string) string {
	cmd := exec.Command("make", append([]string{"-r", "-s", "--no-print-directory", "-C", folder, "TOPDIR=" + sdk, "HOST_OS=Linux", "HOST_ARCH=x86_64", "INCLUDE_DIR=" + sdk + "/include"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GOBIN=")
	cmd.Env = slices.DeleteFunc(cmd.Env, func(s string) bool { return strings.HasPrefix(s, "MAKE") || strings.HasPrefix(s, "MFLAGS") })
	out, err := cmd.CombinedOutput()
	r.Err(err, "make in %s: %s", folder, out)
	return string(out)
}

// dump is what OpenWrt's scan of its feeds finds in a folder: each package's fields.
func (r *Report) dump(sdk, folder string) map[string]map[string]string {
	all := map[string]map[string]string{}
	var at map[string]string
	for line := range strings.SplitSeq(r.make(sdk, folder, "DUMP=1"), "\n") {
		field, value, found := strings.Cut(line, ":")
		if value = strings.TrimSpace(value); field == "Package" {
			at = map[string]string{}
			all[value] = at
		}
		if found && at != nil {
			at[field] = value
		}
	}
	return all
}

// layOut has the recipes lay out the sources and, with the prebuilt program, the files.
func (r *Report) layOut(sdk, checkout, scratch string, p *ipkFile) {
	const what = "OPENWRT_TREE"
	into, build, program, file := filepath.Join(scratch, "source-root"), filepath.Join(scratch, "source-build"), filepath.Join(scratch, "program"), filepath.Join(scratch, "try.mk")
	if !r.Err(os.WriteFile(program, p.data["/usr/bin/mpproxy"].data, 0o755), what) || !r.Err(os.WriteFile(file, []byte(tryMake), 0o644), what) || !r.Err(os.MkdirAll(into, 0o755), what) {
		return
	}
	r.make(sdk, filepath.Join(checkout, "openwrt/mpproxy"), "-f", file, "BUILD_DIR="+build, "TRY_INTO="+into, "TRY_PROGRAM="+program, "try")
	sources, err := filepath.Glob(filepath.Join(build, "mpproxy-*"))
	if r.Check(err == nil && len(sources) == 1, "%s: the sources are in %q", what, sources) {
		for _, name := range []string{"go.mod", "go.sum", "LICENSE", "src/cmd/mpproxy/main.go", "src/cmd/mpproxy/mpproxy.service"} {
			r.Check(exists(sources[0], name), "%s: the sources lack %s", what, name)
		}
	}
	for name, n := range p.data {
		if n.dir || strings.HasPrefix(name, "/lib/apk/") {
			continue
		}
		at := filepath.Join(into, name)
		info, err := os.Stat(at)
		if !r.Err(err, "%s: the build does not install %s", what, name) {
			continue
		}
		b, err := os.ReadFile(at)
		r.Check(err == nil && string(b) == string(n.data), "%s: the build's %s is another", what, name)
		r.Check(info.Mode().Perm() == n.mode.Perm(), "%s: the build's %s has mode %o, ours %o", what, name, info.Mode().Perm(), n.mode.Perm())
	}
	err = filepath.WalkDir(into, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			name := strings.TrimPrefix(path, into)
			_, known := p.data[name]
			r.Check(known, "%s: the build installs %s, we do not", what, name)
		}
		return err
	})
	r.Err(err, what)
}
