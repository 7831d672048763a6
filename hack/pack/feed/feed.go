// Package feed lays out a complete static tree that routers install from: for opkg and for apk one folder per
// architecture with the packages, an index and its signature; the servers' packages; the public keys; a page that says
// what to type.
package feed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"mpproxy/hack/pack/adb"
	"mpproxy/hack/pack/apk"
	"mpproxy/hack/pack/ipk"
	"mpproxy/hack/pack/pkg"
	"mpproxy/hack/pack/sign"
)

// A Set is what a feed is made of.
type Set struct {
	Version string
	Epoch   int64             // of the packages, seconds since 1970
	Router  []*pkg.Package    // one for each architecture
	All     []*pkg.Package    // for every architecture
	Server  map[string][]byte // finished .deb by file name
	Base    string            // the address of the feed, without a slash at its end; empty: the page asks the browser
}

// The names of the public keys' files.
const (
	UsignKey = "mpproxy-usign.pub"
	ApkKey   = "mpproxy.pem"
)

// Write lays the feed out in out, which must be empty or missing, or an earlier feed, which is replaced.
func Write(out string, s Set, keys *sign.Keys) error {
	if err := clear(out); err != nil {
		return err
	}
	w := writer{out: out}
	for i, p := range s.Router {
		w.arch(p.Arch, append([]*pkg.Package{p}, s.All...), s.Epoch, keys)
		if w.err != nil {
			return fmt.Errorf("write feed of %s: %w", s.Router[i].Arch, w.err)
		}
	}
	for name, file := range s.Server {
		w.put(filepath.Join("deb", name), file)
	}
	public, err := keys.Apk.Public()
	if err != nil {
		return err
	}
	w.put(filepath.Join("keys", ApkKey), public)
	w.put(filepath.Join("keys", UsignKey), keys.Usign.Public())
	w.put(filepath.Join("keys", keys.Usign.ID()), keys.Usign.Public()) // the name that opkg wants in /etc/opkg/keys
	page, err := Page(s)
	if err != nil {
		return err
	}
	w.put("index.html", page)
	return w.err
}

// clear removes an earlier feed, and refuses to remove anything else.
func clear(out string) error {
	entries, err := os.ReadDir(out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write feed: %w", err)
	}
	ours := []string{"opkg", "apk", "deb", "keys", "index.html"}
	for _, e := range entries {
		if !slices.Contains(ours, e.Name()) {
			return fmt.Errorf("write feed: %s has %s in it, which is not of a feed; choose another folder with OUT=", out, e.Name())
		}
	}
	for _, name := range ours {
		if err := os.RemoveAll(filepath.Join(out, name)); err != nil {
			return fmt.Errorf("write feed: %w", err)
		}
	}
	return nil
}

// writer writes files below out until the first error.
type writer struct {
	out string
	err error
}

func (w *writer) put(name string, data []byte) {
	if w.err != nil {
		return
	}
	full := filepath.Join(w.out, name)
	if w.err = os.MkdirAll(filepath.Dir(full), 0o755); w.err == nil {
		w.err = os.WriteFile(full, data, 0o644)
	}
}

// arch writes both folders of an architecture.
func (w *writer) arch(name string, packages []*pkg.Package, epoch int64, keys *sign.Keys) {
	var ipks []ipk.Entry
	var apks []apk.Entry
	for _, p := range packages {
		file, err := ipk.Build(p, epoch)
		if err == nil {
			var control string
			if control, err = ipk.ReadControl(file); err == nil {
				ipks = append(ipks, ipk.Entry{Control: control, Name: ipk.FileName(p), File: file})
				w.put(filepath.Join("opkg", name, ipk.FileName(p)), file)
			}
		}
		if err == nil {
			if file, err = apk.Build(p, epoch); err == nil {
				if file, err = apk.Sign(file, adb.SchemaPackage, keys.Apk.Sign); err == nil {
					apks = append(apks, apk.Entry{Package: p, File: file})
					w.put(filepath.Join("apk", name, apk.FileName(p)), file)
				}
			}
		}
		if err != nil {
			w.err = errors.Join(w.err, err)
			return
		}
	}
	w.indexes(name, ipks, apks, keys)
}

func (w *writer) indexes(name string, ipks []ipk.Entry, apks []apk.Entry, keys *sign.Keys) {
	index := ipk.Index(ipks)
	packed, err := ipk.Gzip(index)
	if err != nil {
		w.err = errors.Join(w.err, err)
		return
	}
	w.put(filepath.Join("opkg", name, "Packages"), index)
	w.put(filepath.Join("opkg", name, "Packages.gz"), packed)
	w.put(filepath.Join("opkg", name, "Packages.sig"), keys.Usign.Sign(index))
	database, err := apk.Index("mpproxy for "+name, apks)
	if err == nil {
		database, err = apk.Sign(database, adb.SchemaIndex, keys.Apk.Sign)
	}
	if err != nil {
		w.err = errors.Join(w.err, err)
		return
	}
	w.put(filepath.Join("apk", name, "packages.adb"), database)
}
