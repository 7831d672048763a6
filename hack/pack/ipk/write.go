// Package ipk writes packages and indexes for opkg, as OpenWrt's ipkg-build does: gzipped GNU tar archives in a gzipped
// GNU tar archive, names that begin with ./, owners 0:0 by number, sorted, one time for all.
package ipk

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"path"
	"strings"
	"time"

	"mpproxy/hack/pack/pkg"
)

// FileName is the package's file name in a feed.
func FileName(p *pkg.Package) string { return fmt.Sprintf("%s_%s_%s.ipk", p.Name, p.Version, p.Arch) }

// Build returns the package. All times are epoch, seconds since 1970. The same input gives the same bytes.
func Build(p *pkg.Package, epoch int64) ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	at := time.Unix(epoch, 0)
	data := newArchive(at)
	data.tree(p.Files)
	packed, size, err := data.gzip(gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", p.Name, err)
	}
	control := newArchive(at)
	control.dir("./")
	control.file("./control", 0o644, []byte(Control(p, epoch, size)))
	if len(p.Conffiles) > 0 {
		control.file("./conffiles", 0o644, []byte(strings.Join(p.Conffiles, "\n")+"\n"))
	}
	for _, s := range p.OpkgScripts() {
		control.file("./"+s.Name, 0o755, []byte(s.Text))
	}
	meta, _, err := control.gzip(gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", p.Name, err)
	}
	outer := newArchive(at)
	outer.file("./debian-binary", 0o644, []byte("2.0\n"))
	outer.file("./data.tar.gz", 0o644, packed)
	outer.file("./control.tar.gz", 0o644, meta)
	file, _, err := outer.gzip(gzip.NoCompression) // what is in it is compressed
	return file, err
}

// Control is the package's control text; installed is the length of its uncompressed data archive, in bytes.
func Control(p *pkg.Package, epoch int64, installed int) string {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	field("Package", p.Name)
	field("Version", p.Version)
	field("Depends", strings.Join(p.Depends, ", "))
	field("Source", "mpproxy")
	field("SourceName", "mpproxy")
	field("License", p.License)
	field("Section", p.Section)
	field("SourceDateEpoch", fmt.Sprint(epoch))
	field("URL", p.URL)
	field("Maintainer", p.Maintainer)
	field("Architecture", p.Arch)
	field("Installed-Size", fmt.Sprint(installed))
	field("Description", " "+p.Title)
	return b.String()
}

// archive is a tar archive being written.
type archive struct {
	buf bytes.Buffer
	tar *tar.Writer
	at  time.Time
	err error
}

func newArchive(at time.Time) *archive {
	a := &archive{at: at}
	a.tar = tar.NewWriter(&a.buf)
	return a
}

func (a *archive) add(h tar.Header, data []byte) {
	h.ModTime, h.Format = a.at, tar.FormatGNU
	if a.err == nil {
		a.err = a.tar.WriteHeader(&h)
	}
	if a.err == nil && len(data) > 0 {
		_, a.err = a.tar.Write(data)
	}
}

func (a *archive) dir(name string) {
	a.add(tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}, nil)
}

func (a *archive) file(name string, mode int64, data []byte) {
	a.add(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(data))}, data)
}

// tree writes files with the directories above them, each before what is in it.
func (a *archive) tree(files []pkg.File) {
	a.dir("./")
	made := map[string]bool{"/": true}
	var above func(d string)
	above = func(d string) {
		if !made[d] {
			above(path.Dir(d))
			made[d] = true
			a.dir("." + d + "/")
		}
	}
	for _, f := range files {
		above(path.Dir(f.Path))
		a.file("."+f.Path, int64(f.Mode.Perm()), f.Data)
	}
}

// gzip ends the archive; it returns it compressed and the length it had.
func (a *archive) gzip(level int) ([]byte, int, error) {
	if a.err == nil {
		a.err = a.tar.Close()
	}
	if a.err != nil {
		return nil, 0, a.err
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, level)
	if err != nil {
		return nil, 0, err
	}
	if _, err := w.Write(a.buf.Bytes()); err != nil {
		return nil, 0, err
	}
	err = w.Close()
	return b.Bytes(), a.buf.Len(), err
}
