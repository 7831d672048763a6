package main

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mpproxy/hack/pack/apk"
	"mpproxy/hack/pack/contents"
	"mpproxy/hack/pack/deb"
	"mpproxy/hack/pack/feed"
	"mpproxy/hack/pack/ipk"
	"mpproxy/hack/pack/pkg"
	"mpproxy/hack/pack/sign"
)

func treeVersion(tree string) (string, error) { return contents.Version(tree) }

// collect reads everything that goes into packages.
func collect(o options) (feed.Set, error) {
	s := feed.Set{Version: o.version, Epoch: o.epoch, Base: o.base, Server: map[string][]byte{}}
	chosen, err := chooseArches(o.arches)
	if err != nil {
		return s, err
	}
	for _, a := range chosen {
		program, err := o.read(a.Target)
		if err != nil {
			return s, err
		}
		p, err := contents.Router(o.tree, a, o.version, program)
		if err != nil {
			return s, err
		}
		s.Router = append(s.Router, p)
	}
	if s.All, err = contents.LuCI(o.tree, o.version); err != nil {
		return s, err
	}
	for _, a := range pkg.DebArches() {
		if len(o.arches) > 0 && !slices.ContainsFunc(chosen, func(c pkg.Arch) bool { return c.Target == a.Target }) {
			continue
		}
		program, err := o.read(a.Target)
		if err != nil {
			return s, err
		}
		p, err := contents.Server(o.tree, a.Name, o.version, program, o.epoch)
		if err != nil {
			return s, err
		}
		if s.Server[deb.FileName(p)], err = deb.Build(p, o.epoch); err != nil {
			return s, err
		}
	}
	return s, nil
}

// chooseArches returns the named architectures, or all.
func chooseArches(names []string) ([]pkg.Arch, error) {
	all := pkg.Arches()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []pkg.Arch
	for _, n := range names {
		i := slices.IndexFunc(all, func(a pkg.Arch) bool { return a.Name == n })
		if i < 0 {
			return nil, fmt.Errorf("no architecture of OpenWrt that we build for: %s", n)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// printTargets prints the programs that are needed, for hack/cross.sh.
func printTargets(o options) error {
	chosen, err := chooseArches(o.arches)
	if err != nil {
		return err
	}
	var targets []string
	for _, a := range chosen {
		targets = append(targets, a.Target)
	}
	slices.Sort(targets)
	fmt.Println(strings.Join(slices.Compact(targets), "|"))
	return nil
}

// read returns the program for a target of hack/cross.sh.
func (o options) read(target string) ([]byte, error) {
	name := o.program
	if name == "" {
		name = filepath.Join(o.programs, "mpproxy-"+target)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read program (make cross builds it): %w", err)
	}
	return b, nil
}

// writePackages writes each package in each format, and the sums of all.
func writePackages(o options) error {
	s, err := collect(o)
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for name, file := range s.Server {
		files[filepath.Join("deb", name)] = file
	}
	for _, p := range append(s.Router, s.All...) {
		file, err := ipk.Build(p, o.epoch)
		if err != nil {
			return err
		}
		files[filepath.Join(p.Arch, ipk.FileName(p))] = file
		if file, err = apk.Build(p, o.epoch); err != nil {
			return err
		}
		files[filepath.Join(p.Arch, apk.FileName(p))] = file
	}
	var sums []byte
	for _, name := range slices.Sorted(maps.Keys(files)) {
		full := filepath.Join(o.out, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return fmt.Errorf("write package: %w", err)
		}
		if err := os.WriteFile(full, files[name], 0o644); err != nil {
			return fmt.Errorf("write package: %w", err)
		}
		sums = fmt.Appendf(sums, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	if err := os.WriteFile(filepath.Join(o.out, "SHA256SUMS"), sums, 0o644); err != nil {
		return fmt.Errorf("write sums: %w", err)
	}
	fmt.Printf("%d packages of mpproxy %s in %s\n", len(files), o.version, o.out)
	return nil
}

// writeFeed writes the signed tree.
func writeFeed(o options) error {
	if o.out == "" || o.keys == "" {
		return fmt.Errorf("feed needs -out and -keys")
	}
	keys, err := sign.Open(o.keys, o.tree, func(name string) { fmt.Println("made key", name, "- keep it: routers trust it") })
	if err != nil {
		return err
	}
	s, err := collect(o)
	if err != nil {
		return err
	}
	if err := feed.Write(o.out, s, keys); err != nil {
		return err
	}
	fmt.Printf("feed of mpproxy %s for %d architectures in %s; signed by %s\n", o.version, len(s.Router), o.out, keys.Usign.ID())
	return nil
}
