// Package deb writes the servers' package for Debian and Ubuntu, with nfpm.
package deb

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/goreleaser/nfpm/v2"
	nfpmdeb "github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"

	"mpproxy/hack/pack/pkg"
)

// FileName is the package's file name.
func FileName(p *pkg.Package) string {
	return fmt.Sprintf("%s_%s_%s.deb", p.Name, pkg.DebianVersion(p.Version), p.Arch)
}

// Build returns the package. Arch is Debian's name. All times are epoch, seconds since 1970. Conffiles and scripts mean
// what they mean to dpkg: PostInst, PreRm and PostRm are the scripts themselves.
func Build(p *pkg.Package, epoch int64) ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mpproxy-deb-") // nfpm packs files, not bytes
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", p.Name, err)
	}
	defer os.RemoveAll(dir)
	info := &nfpm.Info{
		Name: p.Name, Arch: p.Arch, Platform: "linux", Version: pkg.DebianVersion(p.Version), VersionSchema: "none",
		Section: p.Section, Priority: "optional", Maintainer: p.Maintainer, Homepage: p.URL,
		Description: p.Title, License: p.License, MTime: time.Unix(epoch, 0),
	}
	info.Depends = p.Depends
	for i, f := range p.Files {
		source := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(source, f.Data, 0o600); err != nil {
			return nil, fmt.Errorf("pack %s: %w", p.Name, err)
		}
		info.Contents = append(info.Contents, &files.Content{
			Source: source, Destination: f.Path,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: f.Mode, MTime: time.Unix(epoch, 0)},
		})
	}
	script := func(name, text string) string {
		if text == "" || err != nil {
			return ""
		}
		path := filepath.Join(dir, name)
		err = os.WriteFile(path, []byte(text), 0o700)
		return path
	}
	info.Scripts.PostInstall = script("postinst", p.PostInst)
	info.Scripts.PreRemove = script("prerm", p.PreRm)
	info.Scripts.PostRemove = script("postrm", p.PostRm)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", p.Name, err)
	}
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return nil, fmt.Errorf("pack %s: %w", p.Name, err)
	}
	var b bytes.Buffer
	if err := nfpmdeb.Default.Package(info, &b); err != nil {
		return nil, fmt.Errorf("pack %s: %w", p.Name, err)
	}
	return b.Bytes(), nil
}
