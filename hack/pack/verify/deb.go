package verify

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"mpproxy/hack/pack/root"
)

// readAr returns the members of an ar archive with their names, in order.
func readAr(b []byte) (names []string, parts [][]byte, err error) {
	const head = 60
	rest, found := bytes.CutPrefix(b, []byte("!<arch>\n"))
	if !found {
		return nil, nil, fmt.Errorf("is no ar archive")
	}
	for len(rest) > 0 {
		if len(rest) < head || string(rest[58:60]) != "`\n" {
			return nil, nil, fmt.Errorf("a member's head is broken")
		}
		size, err := strconv.Atoi(strings.TrimSpace(string(rest[48:58])))
		if err != nil || size < 0 || head+size > len(rest) {
			return nil, nil, fmt.Errorf("a member is cut")
		}
		names = append(names, strings.TrimRight(string(rest[:16]), " /"))
		parts = append(parts, rest[head:head+size])
		rest = rest[min(len(rest), head+size+size%2):]
	}
	return names, parts, nil
}

// Deb checks a server's package by dpkg-deb and by reading it, and has dpkg install, upgrade, remove and purge it in a
// throw-away root. machine is this machine's Debian architecture.
func (r *Report) Deb(file, machine string, r2 *root.Root) {
	what := "deb/" + filepath.Base(file)
	b, err := os.ReadFile(file)
	if !r.Err(err, "%s", what) {
		return
	}
	names, parts, err := readAr(b)
	if !r.Err(err, "%s", what) {
		return
	}
	r.Check(slices.Equal(names, []string{"debian-binary", "control.tar.gz", "data.tar.gz"}) && string(parts[0]) == "2.0\n", "%s: has the members %q", what, names)
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		r.Skip("%s: dpkg-deb and dpkg, which are not here", what)
		return
	}
	listing, err := exec.Command("dpkg-deb", "--contents", file).CombinedOutput()
	r.Err(err, "%s: dpkg-deb --contents: %s", what, listing)
	for line := range strings.SplitSeq(strings.TrimSpace(string(listing)), "\n") {
		words := strings.Fields(line)
		if !r.Check(len(words) >= 6, "%s: what is %q", what, line) {
			continue
		}
		modes := []string{"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x"}
		r.Check(slices.Contains(modes, words[0]) && words[1] == "root/root", "%s: %s", what, line)
	}
	for field, want := range map[string]string{"Package": "mpproxy", "Section": "net", "Priority": "optional"} {
		out, err := exec.Command("dpkg-deb", "--field", file, field).CombinedOutput()
		r.Check(err == nil && strings.TrimSpace(string(out)) == want, "%s: %s is %s", what, field, out)
	}
	r.lintian(what, file)
	if strings.HasSuffix(what, "_"+machine+".deb") {
		r.dpkg(what, file, r2)
	}
}

// lintian runs Debian's checker, if it is here.
func (r *Report) lintian(what, file string) {
	if _, err := exec.LookPath("lintian"); err != nil {
		r.Skip("%s: lintian, which is not here", what)
		return
	}
	// Not uploaded to Debian: no bug to close, no person's address.
	cmd := exec.Command("lintian", "--allow-root", "--fail-on", "error", "--suppress-tags",
		"initial-upload-closes-no-bugs,bogus-mail-host,bogus-mail-host-in-debian-changelog,maintainer-address-malformed,unknown-section", file)
	out, err := cmd.CombinedOutput()
	r.Err(err, "%s: lintian:\n%s", what, out)
}

// dpkg has the real dpkg work in a root of its own.
func (r *Report) dpkg(what, file string, at *root.Root) {
	if _, err := exec.LookPath("dpkg"); err != nil || os.Getuid() != 0 {
		r.Skip("%s: dpkg in a throw-away root: needs dpkg and root", what)
		return
	}
	db := at.At("var/lib/dpkg")
	for _, d := range []string{"info", "updates", "triggers"} {
		if !r.Err(os.MkdirAll(filepath.Join(db, d), 0o755), "%s", what) {
			return
		}
	}
	r.Err(os.WriteFile(filepath.Join(db, "status"), nil, 0o644), "%s", what)
	dpkg := func(args ...string) string {
		cmd := exec.Command("dpkg", append([]string{"--root=" + at.Dir, "--force-depends", "--force-not-root", "--log=/dev/null"}, args...)...)
		cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
		out, err := cmd.CombinedOutput()
		r.Err(err, "%s: dpkg %s:\n%s", what, args, out)
		return string(out)
	}
	before := at.Snapshot()
	r.Err(os.MkdirAll(at.At("run/systemd/system"), 0o755), "%s", what)
	dpkg("-i", file)
	out, status := at.Run(nil, "/usr/bin/mpproxy", "version")
	r.Check(status == 0, "%s: the installed program does not run: %s", what, out)
	r.Check(slices.ContainsFunc(at.Calls(), func(c string) bool { return strings.HasPrefix(c, "adduser --system") }), "%s: no user was made", what)
	r.Err(at.Write("etc/mpproxy/mpproxy", "config portal 'main'\n", 0o600), "%s", what)
	dpkg("-i", file)
	calls := at.Calls()
	r.Check(slices.Contains(calls, "systemctl try-restart mpproxy.service"), "%s: an upgrade does not restart the service: %q", what, calls)
	dpkg("-r", "mpproxy")
	r.Check(slices.ContainsFunc(at.Calls(), func(c string) bool { return strings.Contains(c, "disable --now mpproxy.service") }), "%s: removal does not stop the service", what)
	dpkg("-P", "mpproxy")
	r.Check(at.Read("etc/mpproxy/mpproxy") != "", "%s: purge took the keys", what)
	r.Err(os.RemoveAll(at.At("etc/mpproxy")), "%s", what)
	r.Err(os.RemoveAll(at.At("run")), "%s", what)
	for _, line := range differences(before, at.Snapshot()) {
		r.Check(strings.Contains(line, "/var/lib/dpkg"), "%s: after purge: %s", what, line)
	}
}

// differences are the paths in which two snapshots differ.
func differences(before, after map[string]string) []string {
	var list []string
	for name, was := range before {
		if is, ok := after[name]; !ok {
			list = append(list, name+" is gone")
		} else if is != was {
			list = append(list, name+" is changed")
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			list = append(list, name+" is new")
		}
	}
	slices.Sort(list)
	return list
}
