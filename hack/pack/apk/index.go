package apk

import (
	"crypto/sha256"
	"slices"
	"strings"

	"mpproxy/hack/pack/adb"
	"mpproxy/hack/pack/pkg"
)

// An Entry is a package in an index: its description and the finished file.
type Entry struct {
	Package *pkg.Package
	File    []byte
}

// Index returns packages.adb for the packages of one directory, unsigned.
func Index(description string, entries []Entry) ([]byte, error) {
	b := builder{w: adb.NewWriter()}
	entries = slices.SortedFunc(slices.Values(entries), func(x, y Entry) int { return strings.Compare(x.Package.Name, y.Package.Name) })
	var list []adb.Value
	for _, e := range entries {
		plain, err := adb.Inflate(e.File)
		if err != nil {
			return nil, err
		}
		_, database, _, err := adb.First(plain)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(database)
		info := b.info(e.Package)
		info[infoHashes] = b.w.Blob(sum[:])
		info[infoInstalledSize] = b.w.Int(installedSize(e.Package))
		info[infoFileSize] = b.w.Int(uint64(len(e.File)))
		list = append(list, b.w.Object(info[1:]...))
	}
	database, err := b.w.Finish(b.w.Object(b.w.Text(description), b.w.Object(list...)))
	if err != nil {
		return nil, err
	}
	block, err := adb.Block(adb.BlockADB, database)
	if err != nil {
		return nil, err
	}
	return adb.Deflate(slices.Concat(adb.Header(adb.SchemaIndex), block))
}

func installedSize(p *pkg.Package) uint64 {
	var n uint64
	for _, f := range p.WithDatabase() {
		n += uint64(len(f.Data))
	}
	return max(n, 1)
}
