package verify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// ipkFile is an opened package for opkg.
type ipkFile struct {
	fields  map[string]string
	control string
	meta    tree // control archive
	data    tree
	dataTar []byte
}

// fields splits a control text; the order is that of OpenWrt's build system.
func fields(text string) (map[string]string, []string) {
	values, order := map[string]string{}, []string(nil)
	for line := range strings.SplitSeq(text, "\n") {
		name, value, found := strings.Cut(line, ": ")
		if found && !strings.HasPrefix(line, " ") {
			values[name] = value
			order = append(order, name)
		}
	}
	return values, order
}

// readIpk opens a package.
func readIpk(file []byte) (*ipkFile, error) {
	plain, err := gunzip(file)
	if err != nil {
		return nil, fmt.Errorf("outer gzip: %w", err)
	}
	outer, names, err := readTar(plain)
	if err != nil {
		return nil, fmt.Errorf("outer tar: %w", err)
	}
	if want := []string{"./debian-binary", "./data.tar.gz", "./control.tar.gz"}; !slices.Equal(names, want) {
		return nil, fmt.Errorf("has the members %q, not %q", names, want)
	}
	if v := string(outer["/debian-binary"].data); v != "2.0\n" {
		return nil, fmt.Errorf("is of version %q", v)
	}
	p := &ipkFile{}
	if p.dataTar, err = gunzip(outer["/data.tar.gz"].data); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if p.data, _, err = readTar(p.dataTar); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	control, err := gunzip(outer["/control.tar.gz"].data)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if p.meta, _, err = readTar(control); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	p.control = string(p.meta["/control"].data)
	p.fields, _ = fields(p.control)
	return p, nil
}

// ipk checks one package for opkg; arch is the folder that it lies in.
func (r *Report) ipk(what, arch string, file []byte) *ipkFile {
	p, err := readIpk(file)
	if !r.Err(err, "%s", what) {
		return nil
	}
	f := p.fields
	epoch, err := strconv.ParseInt(f["SourceDateEpoch"], 10, 64)
	r.Err(err, "%s: SourceDateEpoch", what)
	for _, name := range []string{"Package", "Version", "License", "Section", "Maintainer", "Architecture", "Description"} {
		r.Check(f[name] != "", "%s: has no field %s", what, name)
	}
	r.Check(f["Architecture"] == arch || f["Architecture"] == "all", "%s: is for %s", what, f["Architecture"])
	r.Check(f["Installed-Size"] == fmt.Sprint(len(p.dataTar)), "%s: Installed-Size is %s, not %d", what, f["Installed-Size"], len(p.dataTar))
	_, order := fields(p.control)
	r.Check(order[len(order)-1] == "Description", "%s: Description is not last", what)
	r.checkTree(what, p.data, "0:0", epoch)
	r.checkTree(what+" control", p.meta, "0:0", epoch)
	for _, c := range strings.Fields(string(p.meta["/conffiles"].data)) {
		n, ok := p.data[c]
		r.Check(ok && !n.dir, "%s: conffile %s is not a file of the package: opkg fails at the next upgrade", what, c)
	}
	for _, name := range slices.Sorted(maps.Keys(p.meta)) {
		script := !slices.Contains([]string{"/", "/control", "/conffiles"}, name)
		if script {
			r.Check(p.meta[name].mode == 0o755 && bytes.HasPrefix(p.meta[name].data, []byte("#!/bin/sh\n")), "%s: %s is no script", what, name)
		}
	}
	for name := range p.data {
		r.Check(!strings.HasPrefix(name, "/etc/uci-defaults/"), "%s: %s would commit what others have staged", what, name)
	}
	if program, ok := p.data["/usr/bin/mpproxy"]; ok {
		r.checkProgram(what, arch, program.data)
	}
	return p
}

// opkg checks a folder for opkg, and returns its packages.
func (r *Report) opkg(arch string, get func(string) ([]byte, error)) map[string]*ipkFile {
	what := "opkg/" + arch + "/"
	index, err1 := get(what + "Packages")
	packed, err2 := get(what + "Packages.gz")
	signature, err3 := get(what + "Packages.sig")
	public, err4 := get("keys/mpproxy-usign.pub")
	if !r.Err(firstError(err1, err2, err3, err4), "%s", what) {
		return nil
	}
	plain, err := gunzip(packed)
	r.Check(err == nil && bytes.Equal(plain, index), "%s: Packages.gz is not Packages", what)
	r.Err(verifyUsign(public, index, signature), "%sPackages.sig", what)
	if key, err := usignBytes(public, "Ed", 42); r.Err(err, "keys/mpproxy-usign.pub") {
		named, err := get("keys/" + hex.EncodeToString(key[2:10]))
		r.Check(err == nil && bytes.Equal(named, public), "keys: no copy under the fingerprint")
	}
	found := map[string]*ipkFile{}
	for stanza := range strings.SplitSeq(strings.TrimRight(string(index), "\n"), "\n\n") {
		f, _ := fields(stanza)
		name := what + f["Filename"]
		file, err := get(name)
		if !r.Err(err, "%s", name) {
			continue
		}
		r.Check(path.Base(name) == fmt.Sprintf("%s_%s_%s.ipk", f["Package"], f["Version"], f["Architecture"]), "%s: its name is not of its fields", name)
		r.Check(f["Size"] == fmt.Sprint(len(file)), "%s: Size is %s, not %d", name, f["Size"], len(file))
		r.Check(f["SHA256sum"] == fmt.Sprintf("%x", sha256.Sum256(file)), "%s: SHA256sum is of another file", name)
		p := r.ipk(name, arch, file)
		if p == nil {
			continue
		}
		for _, own := range []string{"Filename", "Size", "SHA256sum"} {
			delete(f, own)
		}
		r.Check(maps.Equal(f, p.fields), "%s: the index says %v, the package %v", name, f, p.fields)
		found[f["Package"]] = p
	}
	r.Check(found["mpproxy"] != nil, "%s: has no package mpproxy", what)
	return found
}

// usignBytes decodes a file of usign: a comment line, then base64.
func usignBytes(file []byte, algorithm string, size int) ([]byte, error) {
	head, line, _ := strings.Cut(string(file), "\n")
	b, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(line, "\n"))
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(head, "untrusted comment: ") || len(b) != size || string(b[:2]) != algorithm {
		return nil, fmt.Errorf("is no file of usign")
	}
	return b, nil
}

func verifyUsign(public, message, signature []byte) error {
	key, err := usignBytes(public, "Ed", 42)
	if err != nil {
		return err
	}
	sig, err := usignBytes(signature, "Ed", 74)
	if err != nil {
		return err
	}
	if !bytes.Equal(key[2:10], sig[2:10]) {
		return fmt.Errorf("is of another key")
	}
	if !ed25519.Verify(ed25519.PublicKey(key[10:]), message, sig[10:]) {
		return fmt.Errorf("does not fit")
	}
	return nil
}

func firstError(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}
