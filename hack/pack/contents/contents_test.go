package contents

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mpproxy/hack/pack/pkg"
)

const tree = "../../.."

// TestSourcePackage holds the package that OpenWrt's build system makes to the prebuilt one: the same scripts, files and
// dependencies.
func TestSourcePackage(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(tree, "openwrt/mpproxy/Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	makefile := string(raw)
	p, err := Router(tree, pkg.Arches()[0], "1-r1", []byte("program"))
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{"postinst": p.PostInst, "prerm": p.PreRm, "postrm": p.PostRm} {
		want := "define Package/mpproxy/" + name + "\n" + strings.ReplaceAll(script, "$", "$$") + "endef\n"
		if !strings.Contains(makefile, want) {
			t.Errorf("the Makefile's %s is not files/mpproxy.%s", name, name)
		}
	}
	for _, f := range routerFiles {
		pattern := regexp.MustCompile(`(?m)^\t\$\((INSTALL_\w+)\) \$\(MPPROXY_TREE\)/files/` + regexp.QuoteMeta(f.from) + ` \$\(1\)` + regexp.QuoteMeta(f.to) + `$`)
		m := pattern.FindStringSubmatch(makefile)
		want := map[os.FileMode]string{0o600: "INSTALL_CONF", 0o755: "INSTALL_BIN", 0o644: "INSTALL_DATA"}[f.mode]
		if m == nil || m[1] != want {
			t.Errorf("the Makefile does not install %s with %s as %s", f.from, want, f.to)
		}
	}
	for _, d := range p.Depends {
		if !strings.Contains(makefile, " +"+d) {
			t.Errorf("the Makefile does not depend on %s", d)
		}
	}
	if want := "define Package/mpproxy/conffiles\n" + strings.Join(p.Conffiles, "\n") + "\nendef\n"; !strings.Contains(makefile, want) {
		t.Errorf("the Makefile has other configuration files than %q", p.Conffiles)
	}
}

func TestVersion(t *testing.T) {
	if v, err := Version(tree); err != nil || !pkg.ValidVersion(v) {
		t.Errorf("%q %v", v, err)
	}
	if _, err := Version(t.TempDir()); err == nil {
		t.Error("a version out of nothing")
	}
}

func TestShipped(t *testing.T) {
	p, err := Router(tree, pkg.Arches()[0], "1-r1", []byte("program"))
	if err != nil {
		t.Fatal(err)
	}
	conf, ok := p.Find("/etc/config/mpproxy")
	if !ok || conf.Mode != 0o600 || !strings.Contains(string(conf.Data), "option enabled '0'") {
		t.Error("the shipped configuration is readable by all, or enabled")
	}
	keep, ok := p.Find("/lib/upgrade/keep.d/mpproxy")
	if !ok || string(keep.Data) != "/etc/mpproxy/\n" {
		t.Errorf("kept over a system upgrade: %q", keep.Data)
	}
	if !slices.Equal(p.Depends, []string{"ca-bundle", "kmod-tun"}) {
		t.Errorf("depends on %q", p.Depends)
	}
}

func TestLuCI(t *testing.T) {
	if list, err := LuCI(t.TempDir(), "1-r1"); err != nil || list != nil {
		t.Errorf("without pages: %v %v", list, err)
	}
	list, err := LuCI("../verify/testdata/luci", "1-r1")
	if err != nil || len(list) != 2 {
		t.Fatalf("%v %v", list, err)
	}
	if _, ok := list[0].Find("/www/luci-static/resources/view/mpproxy/overview.js"); !ok {
		t.Errorf("pages: %v", list[0].Files)
	}
	if _, ok := list[0].Find("/usr/share/luci/menu.d/luci-app-mpproxy.json"); !ok {
		t.Errorf("menu: %v", list[0].Files)
	}
	if list[1].Name != "luci-i18n-mpproxy-de" || list[1].Files[0].Path != "/usr/lib/lua/luci/i18n/mpproxy.de.lmo" {
		t.Errorf("translation: %s %v", list[1].Name, list[1].Files)
	}
	dir := t.TempDir()
	pages := filepath.Join(dir, "luci-app-mpproxy/htdocs")
	if err := os.MkdirAll(pages, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "luci-app-mpproxy/Makefile"), []byte("LUCI_DEPENDS:=+luci-base +mpproxy\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.js", "a.js~", ".swp"} {
		if err := os.WriteFile(filepath.Join(pages, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := LuCI(dir, "1-r1"); err != nil || len(list[0].Files) != 1 {
		t.Errorf("an editor's files are packed: %v %v", list, err)
	}
	if err := os.Symlink("/etc/shadow", filepath.Join(pages, "b.js")); err != nil {
		t.Fatal(err)
	}
	if _, err := LuCI(dir, "1-r1"); err == nil {
		t.Error("a link is packed")
	}
}

// TestLuCIDependencies: what the plugin imports is on the router once the package is.
func TestLuCIDependencies(t *testing.T) {
	depends, err := dependencies(filepath.Join(tree, "luci-app-mpproxy/Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	plugins, err := filepath.Glob(filepath.Join(tree, "luci-app-mpproxy/root/usr/share/rpcd/ucode/*"))
	if err != nil {
		t.Fatal(err)
	}
	imports := regexp.MustCompile(`(?m)^import .* from '(\w+)';`)
	for _, name := range plugins {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range imports.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(depends, "ucode-mod-"+m[1]) {
				t.Errorf("%s imports %s, but ucode-mod-%s is no dependency", filepath.Base(name), m[1], m[1])
			}
		}
		if !slices.Contains(depends, "rpcd-mod-ucode") {
			t.Error("rpcd-mod-ucode is no dependency")
		}
	}
}

func TestServer(t *testing.T) {
	p, err := Server(tree, "amd64", "1.0_rc1-r1", []byte("program"), 1_700_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Conffiles) != 0 {
		t.Errorf("dpkg would ask about %q", p.Conffiles)
	}
	_, unit := p.Find("/usr/lib/systemd/system/mpproxy.service")
	_, err = os.Stat(filepath.Join(tree, "files", UnitFile))
	if unit != (err == nil) {
		t.Errorf("unit in the package: %v, in the checkout: %v", unit, err)
	}
}
