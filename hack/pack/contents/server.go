package contents

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"mpproxy/hack/pack/pkg"
)

// UnitFile is the systemd unit of the server, below files/.
const UnitFile = "mpproxy.service"

// The scripts of the .deb. Set-up (mpproxy setup remote) writes the configuration and enables the service; the package
// only brings the program, the unit and the user, so that an upgrade never asks about a changed file.
const (
	debPostInst = `#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
if ! getent passwd mpproxy >/dev/null; then
	adduser --system --group --quiet --no-create-home --home /nonexistent mpproxy
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || true
	# An upgrade: the running portal takes the new program. Sessions survive a restart.
	[ -z "$2" ] || systemctl try-restart mpproxy.service || true
fi
[ -n "$2" ] || echo "mpproxy: now run: mpproxy setup remote"
`
	debPreRm = `#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl --quiet disable --now mpproxy.service 2>/dev/null || true
fi
`
	debPostRm = `#!/bin/sh
set -e
case "$1" in
remove | purge)
	[ ! -d /run/systemd/system ] || systemctl daemon-reload || true
	[ ! -d /etc/mpproxy ] || echo "mpproxy: keys and routers stay in /etc/mpproxy; delete it if you do not come back"
	;;
esac
`
	copyright = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: mpproxy

Files: *
Copyright: 2026 the mpproxy maintainers
License: Apache-2.0
 On Debian systems the text of the licence is in /usr/share/common-licenses/Apache-2.0.
`
	// A Go program is linked statically, and its help is in the program.
	overrides = "mpproxy: statically-linked-binary [usr/bin/mpproxy]\nmpproxy: no-manual-page [usr/bin/mpproxy]\n"
)

// Server returns the Debian package, for one of Debian's architectures. Without a systemd unit in the checkout it has none.
func Server(tree, arch, version string, program []byte, epoch int64) (*pkg.Package, error) {
	const doc = "/usr/share/doc/mpproxy/"
	log, err := changelog(version, epoch)
	if err != nil {
		return nil, err
	}
	sample, err := os.ReadFile(filepath.Join(tree, "files", "mpproxy-remote.config"))
	if err != nil {
		return nil, fmt.Errorf("collect package: %w", err)
	}
	p := &pkg.Package{
		Name: "mpproxy", Version: version, Arch: arch, License: license, Section: "net", Maintainer: maintainer,
		Title:    "Makes several Internet connections one (server side)\nThe server's portal of mpproxy, and mpproxy setup remote, which sets it up.\nRouters join it over all their Internet connections, and use them as one.",
		Depends:  []string{"adduser", "ca-certificates"},
		PostInst: debPostInst, PreRm: debPreRm, PostRm: debPostRm,
		Files: []pkg.File{
			{Path: "/usr/bin/mpproxy", Mode: 0o755, Data: program},
			{Path: doc + "changelog.Debian.gz", Mode: 0o644, Data: log},
			{Path: doc + "copyright", Mode: 0o644, Data: []byte(copyright)},
			{Path: doc + "examples/mpproxy", Mode: 0o644, Data: sample},
			{Path: "/usr/share/lintian/overrides/mpproxy", Mode: 0o644, Data: []byte(overrides)},
		},
	}
	unit, err := os.ReadFile(filepath.Join(tree, "files", UnitFile))
	if err == nil {
		p.Files = append(p.Files, pkg.File{Path: "/usr/lib/systemd/system/mpproxy.service", Mode: 0o644, Data: unit})
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("collect package: %w", err)
	}
	pkg.SortFiles(p.Files)
	return p, nil
}

// changelog is the one that Debian wants in each package.
func changelog(version string, epoch int64) ([]byte, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("write changelog: %w", err)
	}
	fmt.Fprintf(w, "mpproxy (%s) unstable; urgency=medium\n\n  * Version %s.\n\n -- %s  %s\n", pkg.DebianVersion(version), version,
		maintainer, time.Unix(epoch, 0).UTC().Format(time.RFC1123Z))
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write changelog: %w", err)
	}
	return b.Bytes(), nil
}
