package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// apkFile is an opened package for apk.
type apkFile struct {
	info    value
	data    tree
	scripts map[string]string
	hash    [32]byte // of its database
}

// The slots that are looked at: package, description, file, script.
const (
	ndxPackages = 2

	pkgInfo, pkgPaths, pkgScripts = 1, 2, 3

	piName, piVersion, piHashes, piArch, piInstalled, piSize, piDepends = 1, 2, 3, 5, 12, 13, 15

	dirName, dirACL, dirFiles                               = 1, 2, 3
	fileName, fileACL, fileSize, fileTime, fileHash, fileTo = 1, 2, 3, 4, 5, 6
)

var scriptNames = []string{"trigger", "pre-install", "post-install", "pre-deinstall", "post-deinstall", "pre-upgrade", "post-upgrade"}

// signedBy returns the database of a file whose signature fits the public key.
func (f *adbFile) signedBy(public []byte) ([]byte, error) {
	if len(f.blocks) < 2 || f.blocks[0].kind != 0 || f.blocks[1].kind != 1 {
		return nil, fmt.Errorf("is not signed")
	}
	p, _ := pem.Decode(public)
	if p == nil {
		return nil, fmt.Errorf("the public key is not PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(p.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the public key is not of ECDSA")
	}
	point, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	id, sig := sha512.Sum512(point), f.blocks[1].data
	if len(sig) < 18 || sig[0] != 0 || sig[1] != 4 || !bytes.Equal(sig[2:18], id[:16]) {
		return nil, fmt.Errorf("is signed by another key")
	}
	sum := sha512.Sum512(f.blocks[0].data)
	digest := sha512.Sum512(slices.Concat([]byte(f.schema), sig[:18], sum[:]))
	if !ecdsa.VerifyASN1(key, digest[:], sig[18:]) {
		return nil, fmt.Errorf("the signature does not fit")
	}
	return f.blocks[0].data, nil
}

func readApk(file, public []byte) (*apkFile, error) {
	f, err := readADB(file)
	if err != nil {
		return nil, err
	}
	if f.schema != "pckg" {
		return nil, fmt.Errorf("is no package: %q", f.schema)
	}
	db, err := f.signedBy(public)
	if err != nil {
		return nil, err
	}
	root, err := rootOf(db)
	if err != nil {
		return nil, err
	}
	p := &apkFile{info: root.slot(pkgInfo), data: tree{}, scripts: map[string]string{}, hash: sha256.Sum256(db)}
	for i, name := range scriptNames {
		if text := root.slot(pkgScripts).slot(i + 1).text(); text != "" {
			p.scripts[name] = text
		}
	}
	return p, p.files(root.slot(pkgPaths).slots(), f.blocks[2:])
}

// files reads directories and files with the blocks of their data, which come in the same order.
func (p *apkFile) files(dirs []value, blocks []block) error {
	last := ""
	for i, d := range dirs {
		name := path.Join("/", d.slot(dirName).text())
		if i > 0 && name <= last {
			return fmt.Errorf("directory %s is out of order", name)
		}
		last = name
		p.data[name] = node{mode: mode(d.slot(dirACL)), owner: owner(d.slot(dirACL)), dir: true}
		if parent, ok := p.data[path.Dir(name)]; !ok || !parent.dir {
			return fmt.Errorf("directory %s comes before the one it is in", name)
		}
		file := ""
		for j, f := range d.slot(dirFiles).slots() {
			base := f.slot(fileName).text()
			if base <= file || strings.Contains(base, "/") {
				return fmt.Errorf("file %q in %s is out of order", base, name)
			}
			file = base
			full := path.Join(name, base)
			size := f.slot(fileSize).number()
			var data []byte
			if size > 0 {
				if len(blocks) == 0 || blocks[0].kind != 2 || uint64(len(blocks[0].data)) != size+8 {
					return fmt.Errorf("file %s: its data is missing or of another length", full)
				}
				data = blocks[0].data[8:]
				if at := blocks[0].data; binary.LittleEndian.Uint32(at) != uint32(i+1) || binary.LittleEndian.Uint32(at[4:]) != uint32(j+1) {
					return fmt.Errorf("file %s: the data is of another file", full)
				}
				blocks = blocks[1:]
			}
			if sum := sha256.Sum256(data); !bytes.Equal(sum[:], f.slot(fileHash).blob()) {
				return fmt.Errorf("file %s: its hash is of other data", full)
			}
			if f.slot(fileTo).word != 0 {
				return fmt.Errorf("file %s is a link", full)
			}
			p.data[full] = node{mode(f.slot(fileACL)), owner(f.slot(fileACL)), int64(f.slot(fileTime).number()), data, false}
		}
	}
	if len(blocks) > 0 {
		return fmt.Errorf("has data of no file")
	}
	return nil
}

func mode(acl value) fs.FileMode { return fs.FileMode(acl.slot(1).number()) }
func owner(acl value) string     { return acl.slot(2).text() + ":" + acl.slot(3).text() }

// apkDir checks a folder for apk beside the same architecture's packages for opkg, and returns its packages.
func (r *Report) apkDir(arch string, get func(string) ([]byte, error), opkg map[string]*ipkFile) map[string]*apkFile {
	what := "apk/" + arch + "/"
	file, err1 := get(what + "packages.adb")
	public, err2 := get("keys/mpproxy.pem")
	if !r.Err(firstError(err1, err2), "%s", what) {
		return nil
	}
	index, err := readADB(file)
	if !r.Err(err, "%spackages.adb", what) {
		return nil
	}
	r.Check(index.schema == "indx", "%spackages.adb: is no index", what)
	db, err := index.signedBy(public)
	if !r.Err(err, "%spackages.adb", what) {
		return nil
	}
	root, err := rootOf(db)
	if !r.Err(err, "%spackages.adb", what) {
		return nil
	}
	found := map[string]*apkFile{}
	last := ""
	for _, e := range root.slot(ndxPackages).slots() {
		name := e.slot(piName).text()
		r.Check(name > last, "%spackages.adb: %s is out of order", what, name)
		last = name
		full := what + name + "-" + e.slot(piVersion).text() + ".apk"
		file, err := get(full)
		if !r.Err(err, "%s", full) {
			continue
		}
		r.Check(e.slot(piSize).number() == uint64(len(file)), "%s: the index says another length", full)
		p, err := readApk(file, public)
		if !r.Err(err, "%s", full) {
			continue
		}
		r.Check(bytes.Equal(e.slot(piHashes).blob(), p.hash[:]), "%s: the index has the hash of another package", full)
		for _, slot := range []int{piName, piVersion, piArch} {
			r.Check(e.slot(slot).text() == p.info.slot(slot).text(), "%s: the index says %q, the package %q", full, e.slot(slot).text(), p.info.slot(slot).text())
		}
		found[name] = p
		r.apk(full, arch, p, opkg[name])
	}
	r.Check(len(found) == len(opkg), "%s: has %d packages, opkg %d", what, len(found), len(opkg))
	return found
}

// apk checks one package beside its twin for opkg.
func (r *Report) apk(what, arch string, p *apkFile, twin *ipkFile) {
	if !r.Check(twin != nil, "%s: opkg has no such package", what) {
		return
	}
	name := p.info.slot(piName).text()
	got := p.info.slot(piArch).text()
	r.Check(got == arch || got == "noarch", "%s: is for %s", what, got)
	r.Check(p.info.slot(piVersion).text() == twin.fields["Version"], "%s: another version than for opkg", what)
	var depends []string
	for _, d := range p.info.slot(piDepends).slots() {
		depends = append(depends, d.slot(1).text())
	}
	r.Check(slices.IsSorted(depends) && strings.Join(depends, ", ") == sorted(twin.fields["Depends"]), "%s: other dependencies than for opkg: %v", what, depends)
	epoch, err := strconv.ParseInt(twin.fields["SourceDateEpoch"], 10, 64)
	r.Err(err, "%s: SourceDateEpoch of its twin", what)
	r.checkTree(what, p.data, "root:root", epoch)
	const own = "/lib/apk"
	var installed uint64
	var list []string
	for _, path := range slices.Sorted(maps.Keys(p.data)) {
		n := p.data[path]
		installed += uint64(len(n.data))
		if path == own || path == "/lib" || strings.HasPrefix(path, own+"/") {
			continue
		}
		t, ok := twin.data[path]
		r.Check(ok && t.mode == n.mode && bytes.Equal(t.data, n.data), "%s: %s is not what opkg's package has", what, path)
		if !n.dir {
			list = append(list, path)
		}
	}
	r.Check(p.info.slot(piInstalled).number() == installed, "%s: installed-size is %d, not %d", what, p.info.slot(piInstalled).number(), installed)
	for path := range twin.data {
		_, ok := p.data[path]
		r.Check(ok, "%s: %s of opkg's package is missing", what, path)
	}
	r.Check(string(p.data[own+"/packages/"+name+".list"].data) == strings.Join(list, "\n")+"\n", "%s: its .list is not its files", what)
	static := ""
	for _, c := range strings.Fields(string(twin.meta["/conffiles"].data)) {
		static += fmt.Sprintf("%s %x\n", c, sha256.Sum256(p.data[c].data))
	}
	r.Check(string(p.data[own+"/packages/"+name+".conffiles"].data) == string(twin.meta["/conffiles"].data), "%s: other conffiles than for opkg", what)
	r.Check(string(p.data[own+"/packages/"+name+".conffiles_static"].data) == static, "%s: wrong .conffiles_static", what)
	for _, s := range []string{"post-install", "post-upgrade", "pre-deinstall"} {
		r.Check(strings.HasPrefix(p.scripts[s], "#!/bin/sh\n"), "%s: no script %s", what, s)
	}
	r.Check(strings.Contains(p.scripts["post-upgrade"], "export PKG_UPGRADE=1\n"), "%s: post-upgrade does not say that it is one", what)
}

func sorted(list string) string {
	words := strings.Split(list, ", ")
	slices.Sort(words)
	return strings.Join(words, ", ")
}
