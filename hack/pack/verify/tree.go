package verify

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"mpproxy/hack/pack/pkg"
)

// A node is a file or directory of a package.
type node struct {
	mode  fs.FileMode
	owner string
	mtime int64
	data  []byte
	dir   bool
}

// tree is what a package puts on the system, by absolute path.
type tree map[string]node

// gunzip returns the content of a gzip file; it has one member, no name and no time in its head.
func gunzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if z.Name != "" || !z.ModTime.IsZero() {
		return nil, fmt.Errorf("names a file or a time")
	}
	return io.ReadAll(z)
}

// readTar reads an archive of members ./name, in the order of the archive.
func readTar(b []byte) (tree, []string, error) {
	t, names := tree{}, []string(nil)
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return t, names, nil
		} else if err != nil {
			return nil, nil, err
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, nil, err
		}
		name := path.Clean("/" + h.Name)
		_, twice := t[name]
		switch {
		case !strings.HasPrefix(h.Name, "./") || strings.Contains(h.Name, ".."):
			return nil, nil, fmt.Errorf("member %q does not begin with ./", h.Name)
		case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir:
			return nil, nil, fmt.Errorf("member %s is neither file nor directory", h.Name)
		case h.Format != tar.FormatGNU && h.Format != tar.FormatUSTAR|tar.FormatGNU && h.Format != tar.FormatUnknown:
			return nil, nil, fmt.Errorf("member %s is not GNU tar: %s", h.Name, h.Format)
		case twice:
			return nil, nil, fmt.Errorf("member %s comes twice", h.Name)
		case path.Dir(name) != "/" && !t[path.Dir(name)].dir:
			return nil, nil, fmt.Errorf("member %s comes before its directory", h.Name)
		}
		t[name] = node{fs.FileMode(h.Mode), fmt.Sprintf("%d:%d%s%s", h.Uid, h.Gid, h.Uname, h.Gname), h.ModTime.Unix(), data, h.Typeflag == tar.TypeDir}
		names = append(names, h.Name)
	}
}

// checkTree holds a package's files to what every router expects of them.
func (r *Report) checkTree(what string, t tree, owner string, epoch int64) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		n := t[name]
		want := []fs.FileMode{0o644, 0o755, 0o600}
		if n.dir {
			want = []fs.FileMode{0o755}
		}
		r.Check(slices.Contains(want, n.mode), "%s: %s has mode %o", what, name, n.mode)
		r.Check(n.owner == owner, "%s: %s belongs to %s", what, name, n.owner)
		r.Check(n.dir && n.mtime == 0 || n.mtime == epoch, "%s: %s is of another time: %d", what, name, n.mtime)
		script := strings.HasPrefix(name, "/etc/init.d/") || strings.HasPrefix(name, "/lib/netifd/proto/") || strings.HasPrefix(name, "/usr/bin/")
		r.Check(n.dir || !script || n.mode == 0o755, "%s: %s cannot be executed: %o", what, name, n.mode)
	}
}

// checkProgram holds the program to its architecture.
func (r *Report) checkProgram(what, arch string, program []byte) {
	i := slices.IndexFunc(pkg.Arches(), func(a pkg.Arch) bool { return a.Name == arch })
	if !r.Check(i >= 0, "%s: unknown architecture %s", what, arch) {
		return
	}
	a := pkg.Arches()[i]
	f, err := elf.NewFile(bytes.NewReader(program))
	if !r.Err(err, "%s: the program is no ELF file", what) {
		return
	}
	r.Check(f.Machine == a.Machine && f.Class == a.Class && f.Data == a.Data, "%s: the program is for %s %s %s", what, f.Machine, f.Class, f.Data)
	static := !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
	r.Check(static, "%s: the program is not linked statically", what)
	r.Check(f.Section(".symtab") == nil && f.Section(".debug_info") == nil, "%s: the program is not stripped", what)
}
