// Package apk writes packages and indexes for apk-tools 3, in its own format (ADB v3). The older container, which apk 3
// also installs, was not taken: its signatures are RSA over SHA-1 of names, while an ADB file carries the signature that
// OpenWrt's own keys (P-256) make, and installs without --allow-untrusted once the key is on the router.
package apk

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"mpproxy/hack/pack/adb"
	"mpproxy/hack/pack/pkg"
)

// identityBytes is the length of a package's unique id, the beginning of the hash of its database.
const identityBytes = 20

// FileName is what apk asks a repository for.
func FileName(p *pkg.Package) string { return p.Name + "-" + p.Version + ".apk" }

// Build returns the package, unsigned. All times are epoch, seconds since 1970. The same input gives the same bytes.
func Build(p *pkg.Package, epoch int64) ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	b := builder{w: adb.NewWriter(), epoch: uint64(epoch)}
	info := b.info(p)
	paths, data, size, err := b.tree(p.WithDatabase(), p.Dirs())
	if err != nil {
		return nil, err
	}
	info[infoInstalledSize] = b.w.Int(max(size, 1))
	identity, at := b.w.Reserve(identityBytes)
	info[infoHashes] = identity
	pkgInfo := b.w.Object(info[1:]...)
	database, err := b.w.Finish(b.w.Object(pkgInfo, b.w.Object(paths...), b.scripts(p)))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(database)
	b.w.Patch(at, sum[:identityBytes])
	block, err := adb.Block(adb.BlockADB, database)
	if err != nil {
		return nil, err
	}
	return adb.Deflate(slices.Concat(adb.Header(adb.SchemaPackage), block, data))
}

// The slots of a package's description.
const (
	infoName = iota + 1
	infoVersion
	infoHashes
	infoDescription
	infoArch
	infoLicense
	infoOrigin
	infoMaintainer
	infoURL
	_ // the commit
	_ // the time of building
	infoInstalledSize
	infoFileSize
	_ // the priority of what it provides
	infoDepends
	infoSlots
)

// The slots of the scripts, by apk's names.
var scriptSlots = []string{"", "trigger", "pre-install", "post-install", "pre-deinstall", "post-deinstall", "pre-upgrade", "post-upgrade"}

type builder struct {
	w     *adb.Writer
	epoch uint64
}

func (b builder) info(p *pkg.Package) []adb.Value {
	arch := p.Arch
	if arch == "all" {
		arch = "noarch"
	}
	info := make([]adb.Value, infoSlots)
	texts := []struct {
		slot int
		text string
	}{
		{infoName, p.Name}, {infoVersion, p.Version}, {infoDescription, p.Title}, {infoArch, arch}, {infoLicense, p.License},
		{infoOrigin, p.Name}, {infoMaintainer, p.Maintainer}, {infoURL, p.URL},
	}
	for _, t := range texts {
		info[t.slot] = b.w.Text(t.text)
	}
	info[infoDepends] = b.dependencies(p.Depends)
	return info
}

// dependencies are names only, in the order in which apk searches them.
func (b builder) dependencies(names []string) adb.Value {
	byName := map[string]adb.Value{}
	for _, n := range names {
		byName[n] = b.w.Object(b.w.Text(n))
	}
	var list []adb.Value
	for _, n := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, byName[n])
	}
	return b.w.Object(list...)
}

// tree writes all directories with their files, and returns them with the blocks of the files' data.
func (b builder) tree(files []pkg.File, dirs []string) (paths []adb.Value, data []byte, size uint64, err error) {
	in := map[string][]pkg.File{}
	all := append([]string{""}, dirs...)
	for _, f := range files {
		d := path.Dir(f.Path)[1:]
		in[d] = append(in[d], f)
		for ; d != "." && d != ""; d = path.Dir(d) {
			all = append(all, d)
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for i, d := range all {
		slices.SortFunc(in[d], func(x, y pkg.File) int { return strings.Compare(path.Base(x.Path), path.Base(y.Path)) })
		var members []adb.Value
		for j, f := range in[d] {
			members = append(members, b.file(f))
			size += uint64(len(f.Data))
			if len(f.Data) == 0 {
				continue
			}
			place := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, uint32(i+1)), uint32(j+1))
			block, err := adb.Block(adb.BlockData, place, f.Data)
			if err != nil {
				return nil, nil, 0, fmt.Errorf("pack %s: %w", f.Path, err)
			}
			data = append(data, block...)
		}
		name := b.w.Text(d)
		acl := b.acl(0o755)
		paths = append(paths, b.w.Object(name, acl, b.w.Object(members...)))
	}
	return paths, data, size, nil
}

func (b builder) file(f pkg.File) adb.Value {
	sum := sha256.Sum256(f.Data)
	name := b.w.Text(path.Base(f.Path))
	hash := b.w.Blob(sum[:])
	mtime := b.w.Int(b.epoch)
	length := b.w.Int(uint64(len(f.Data)))
	return b.w.Object(name, b.acl(uint64(f.Mode.Perm())), length, mtime, hash)
}

func (b builder) acl(mode uint64) adb.Value {
	root := b.w.Text("root")
	return b.w.Object(b.w.Int(mode), root, root)
}

func (b builder) scripts(p *pkg.Package) adb.Value {
	slots := make([]adb.Value, len(scriptSlots))
	scripts := p.ApkScripts()
	for i, name := range scriptSlots {
		if j := slices.IndexFunc(scripts, func(s pkg.Script) bool { return s.Name == name }); j >= 0 {
			slots[i] = b.w.Text(scripts[j].Text)
		}
	}
	return b.w.Object(slots[1:]...)
}

// Sign returns the package or index with the signature of key added before its data.
func Sign(file []byte, schema uint32, sign func(schema uint32, database []byte) ([]byte, error)) ([]byte, error) {
	plain, err := adb.Inflate(file)
	if err != nil {
		return nil, err
	}
	head, database, rest, err := adb.First(plain)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(head[:8], adb.Header(schema)) {
		return nil, fmt.Errorf("sign apk: is another kind of file")
	}
	signature, err := sign(schema, database)
	if err != nil {
		return nil, err
	}
	block, err := adb.Block(adb.BlockSig, signature)
	if err != nil {
		return nil, err
	}
	return adb.Deflate(slices.Concat(head, block, rest))
}
