package pkg

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestVersions(t *testing.T) {
	for v, debian := range map[string]string{"1.2.3-r1": "1.2.3-1", "1.2.3_rc1-r2": "1.2.3~rc1-2", "0.1.0_git20261121-r1": "0.1.0+git20261121-1", "2-r0": "2-0"} {
		if !ValidVersion(v) || DebianVersion(v) != debian {
			t.Errorf("%s: valid %v, Debian %s, want %s", v, ValidVersion(v), DebianVersion(v), debian)
		}
	}
	for _, v := range []string{"", "1.2.3", "1.2.3-rc1", "1.2.3-1", "v1.2-r1", "1.2.3-r1-abcdef", "1.2.3_x1-r1", "1..2-r1"} {
		if ValidVersion(v) {
			t.Errorf("%q is taken for a version", v)
		}
	}
}

// TestDebianOrder asks dpkg that pre-releases come before, and snapshots after.
func TestDebianOrder(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("no dpkg here")
	}
	order := []string{"1.0_alpha1-r1", "1.0_rc1-r1", "1.0_rc2-r1", "1.0-r1", "1.0-r2", "1.0_git20261121-r1", "1.0.1-r1"}
	for i, a := range order[1:] {
		if out, err := exec.Command(dpkg, "--compare-versions", DebianVersion(order[i]), "lt", DebianVersion(a)).CombinedOutput(); err != nil {
			t.Errorf("%s is not before %s: %s", order[i], a, out)
		}
	}
}

func TestCheck(t *testing.T) {
	good := func() *Package {
		return &Package{Name: "p", Version: "1-r1", Arch: "all", Title: "t", Conffiles: []string{"/etc/a"}, Files: []File{{"/etc/a", 0o644, nil}, {"/usr/b", 0o755, nil}}}
	}
	if err := good().Check(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, want string
		change     func(*Package)
	}{
		{"no name", "needed", func(p *Package) { p.Name = "" }},
		{"version", "is not like", func(p *Package) { p.Version = "1" }},
		{"relative", "bad path", func(p *Package) { p.Files[0].Path = "etc/a" }},
		{"upwards", "bad path", func(p *Package) { p.Files[0].Path = "/etc/../a" }},
		{"setuid", "bad path or mode", func(p *Package) { p.Files[1].Mode = 0o4755 }},
		{"order", "not in order", func(p *Package) { slices.Reverse(p.Files) }},
		{"twice", "not in order or twice", func(p *Package) { p.Files[1] = p.Files[0] }},
		{"folder as conffile", "not a file of the package", func(p *Package) { p.Conffiles = []string{"/etc"} }},
	}
	for _, tt := range tests {
		p := good()
		tt.change(p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestDatabase(t *testing.T) {
	p := &Package{Name: "p", Conffiles: []string{"/etc/a"}, Files: []File{{"/etc/a", 0o644, []byte("x")}, {"/usr/b", 0o755, nil}}}
	want := map[string]string{
		"/lib/apk/packages/p.list":             "/etc/a\n/usr/b\n",
		"/lib/apk/packages/p.conffiles":        "/etc/a\n",
		"/lib/apk/packages/p.conffiles_static": "/etc/a 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\n",
	}
	for _, f := range p.WithDatabase() {
		if text, ok := want[f.Path]; ok && text == string(f.Data) {
			delete(want, f.Path)
		}
	}
	if len(want) > 0 || len(p.Files) != 2 {
		t.Errorf("missing or wrong: %q", want)
	}
	if d := p.Dirs(); !slices.Equal(d, []string{"etc", "usr"}) {
		t.Errorf("directories %q", d)
	}
}

func TestScripts(t *testing.T) {
	p := &Package{Name: "p", PostInst: "#!/bin/sh\necho after\n", PostRm: "#!/bin/sh\necho gone\n"}
	texts := map[string]string{}
	for _, s := range append(p.OpkgScripts(), p.ApkScripts()...) {
		texts[s.Name] = s.Text
		if !strings.HasPrefix(s.Text, "#!/bin/sh\n") || strings.Count(s.Text, "#!") != 1 {
			t.Errorf("%s begins with %q", s.Name, s.Text[:12])
		}
	}
	for name, part := range map[string]string{
		"postinst": "default_postinst \"$0\" \"$@\"", "prerm": "default_prerm", "postinst-pkg": "echo after", "postrm": "echo gone",
		"post-install": "default_postinst\necho after\n", "post-upgrade": "export PKG_UPGRADE=1\n", "pre-deinstall": "pkgname=\"p\"", "post-deinstall": "echo gone",
	} {
		if !strings.Contains(texts[name], part) {
			t.Errorf("%s has no %q: %q", name, part, texts[name])
		}
	}
	if len(texts) != 8 {
		t.Errorf("%d scripts: %q", len(texts), texts)
	}
}

func TestArches(t *testing.T) {
	seen := map[string]bool{}
	for _, a := range Arches() {
		if seen[a.Name] {
			t.Errorf("%s comes twice", a.Name)
		}
		seen[a.Name] = true
	}
	if len(seen) != 30 {
		t.Errorf("%d architectures", len(seen))
	}
}
