package contents

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"mpproxy/hack/pack/lmo"
	"mpproxy/hack/pack/pkg"
)

// luciPostInst makes LuCI forget what it knew of menus and modules.
const luciPostInst = `#!/bin/sh
[ -n "${IPKG_INSTROOT}" ] || {
	rm -f /tmp/luci-indexcache.*
	rm -rf /tmp/luci-modulecache/
	[ ! -x /etc/init.d/rpcd ] || /etc/init.d/rpcd reload >/dev/null 2>&1
}
true
`

// languages are the names that LuCI shows for the translations it may get.
var languages = map[string]string{"de": "German", "es": "Spanish", "fr": "French", "it": "Italian", "pl": "Polish", "ru": "Russian"}

// LuCI returns the package of the pages and one for each translation, or none if the checkout has no pages yet.
func LuCI(tree, version string) ([]*pkg.Package, error) {
	app := filepath.Join(tree, "luci-app-mpproxy")
	files, err := folder(filepath.Join(app, "htdocs"), "/www")
	if err != nil {
		return nil, err
	}
	root, err := folder(filepath.Join(app, "root"), "")
	if err != nil {
		return nil, err
	}
	files = append(files, root...)
	if len(files) == 0 {
		return nil, nil
	}
	pkg.SortFiles(files)
	depends, err := dependencies(filepath.Join(app, "Makefile"))
	if err != nil {
		return nil, err
	}
	list := []*pkg.Package{{
		Name: "luci-app-mpproxy", Version: version, Arch: "all", License: license, Section: "luci", Maintainer: maintainer,
		Title: "LuCI pages of mpproxy", Depends: depends, PostInst: luciPostInst, Files: files,
	}}
	translations, err := translations(filepath.Join(app, "po"), version)
	if err != nil {
		return nil, err
	}
	list = append(list, translations...)
	for _, p := range list {
		if err := p.Check(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// dependencies are what the package for OpenWrt's build system names.
func dependencies(makefile string) ([]string, error) {
	text, err := os.ReadFile(makefile)
	if err != nil {
		return nil, fmt.Errorf("find dependencies: %w", err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if list, found := strings.CutPrefix(line, "LUCI_DEPENDS:="); found {
			return strings.Fields(strings.ReplaceAll(list, "+", "")), nil
		}
	}
	return nil, fmt.Errorf("find dependencies: %s has no LUCI_DEPENDS", makefile)
}

func translations(po, version string) ([]*pkg.Package, error) {
	entries, err := os.ReadDir(po)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("collect translations: %w", err)
	}
	var list []*pkg.Package
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(po, e.Name(), "mpproxy.po"))
		if errors.Is(err, fs.ErrNotExist) || e.Name() == "templates" {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("collect translations: %w", err)
		}
		data := lmo.Convert(string(text))
		if data == nil {
			continue
		}
		// gettext writes pt_BR, LuCI pt-br.
		lang := strings.ToLower(strings.ReplaceAll(e.Name(), "_", "-"))
		name := languages[lang]
		if name == "" {
			name = lang
		}
		list = append(list, &pkg.Package{
			Name: "luci-i18n-mpproxy-" + lang, Version: version, Arch: "all", License: license, Section: "luci", Maintainer: maintainer,
			Title: "Translation for luci-app-mpproxy: " + name, Depends: []string{"luci-app-mpproxy"}, PostInst: luciPostInst,
			Files: []pkg.File{{Path: "/usr/lib/lua/luci/i18n/mpproxy." + lang + ".lmo", Mode: 0o644, Data: data}},
		})
	}
	return list, nil
}

// folder returns the files below dir as they go below to; none if there is no such folder. What is executable in the
// checkout, or a first-boot or init script, is so on the router.
func folder(dir, to string) ([]pkg.File, error) {
	var files []pkg.File
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != dir && noise(e.Name()):
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case e.IsDir():
			return nil
		case !e.Type().IsRegular():
			return fmt.Errorf("%s is not a regular file", name)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		files = append(files, pkg.File{Path: to + "/" + filepath.ToSlash(strings.TrimPrefix(name, dir+string(filepath.Separator))), Mode: mode, Data: data})
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("collect pages: %w", err)
	}
	return files, nil
}
