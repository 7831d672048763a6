// Package pkg describes an OpenWrt package as a value: what is in it, independent of the format it is written in.
package pkg

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// A File is a regular file of a package, owned by root.
type File struct {
	Path string      // absolute, clean
	Mode fs.FileMode // permission bits only
	Data []byte
}

// A Package is one package for one architecture. Files are sorted by path; directories are implied, 0755 and root's.
type Package struct {
	Name, Version string // Version is apk's grammar with a release: 1.2.3-r1
	Arch          string // OpenWrt's name, or "all"
	Title         string // one line; further lines are the long description, for Debian
	Depends       []string
	License       string
	Section       string
	Maintainer    string
	URL           string
	Conffiles     []string // regular files of the package that the user may change; never directories
	// Bodies of scripts, each a shell script with its first line, or empty: they run beside what OpenWrt's packages do.
	PostInst, PreRm, PostRm string
	Files                   []File
}

// Dirs returns every directory above a file, sorted, without the root, without leading slashes.
func (p *Package) Dirs() []string {
	var dirs []string
	for _, f := range p.Files {
		for d := path.Dir(f.Path); d != "/"; d = path.Dir(d) {
			dirs = append(dirs, d[1:])
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// Find returns the file with that path.
func (p *Package) Find(name string) (File, bool) {
	i := slices.IndexFunc(p.Files, func(f File) bool { return f.Path == name })
	if i < 0 {
		return File{}, false
	}
	return p.Files[i], true
}

// Check says what would make a bad package of any format.
func (p *Package) Check() error {
	if p.Name == "" || p.Arch == "" || p.Title == "" {
		return fmt.Errorf("check package %q: name, architecture and title are needed", p.Name)
	}
	if !ValidVersion(p.Version) {
		return fmt.Errorf("check package %s: version %q is not like 1.2.3-r1 or 1.2.3_rc1-r1", p.Name, p.Version)
	}
	for i, f := range p.Files {
		if path.Clean(f.Path) != f.Path || !path.IsAbs(f.Path) || f.Path == "/" || f.Mode&^0o777 != 0 {
			return fmt.Errorf("check package %s: bad path or mode: %s %o", p.Name, f.Path, f.Mode)
		}
		if i > 0 && p.Files[i-1].Path >= f.Path {
			return fmt.Errorf("check package %s: %s is not in order or twice", p.Name, f.Path)
		}
	}
	for _, c := range p.Conffiles {
		if _, ok := p.Find(c); !ok {
			return fmt.Errorf("check package %s: conffile %s is not a file of the package", p.Name, c)
		}
	}
	return nil
}

// WithDatabase returns the files with those that OpenWrt's scripts look for on systems with apk: the list of all files,
// and the configuration files with what was shipped.
func (p *Package) WithDatabase() []File {
	const dir = "/lib/apk/packages/"
	var list, conf, static strings.Builder
	for _, f := range p.Files {
		fmt.Fprintln(&list, f.Path)
	}
	files := append(slices.Clone(p.Files), File{Path: dir + p.Name + ".list", Mode: 0o644, Data: []byte(list.String())})
	if len(p.Conffiles) > 0 {
		for _, c := range p.Conffiles {
			f, _ := p.Find(c)
			fmt.Fprintln(&conf, c)
			fmt.Fprintf(&static, "%s %x\n", c, sha256.Sum256(f.Data))
		}
		files = append(files,
			File{Path: dir + p.Name + ".conffiles", Mode: 0o644, Data: []byte(conf.String())},
			File{Path: dir + p.Name + ".conffiles_static", Mode: 0o644, Data: []byte(static.String())})
	}
	SortFiles(files)
	return files
}

// SortFiles sorts by path.
func SortFiles(files []File) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
}
