package verify

import (
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"mpproxy/hack/pack/root"
)

// A manager does in a root what opkg or apk does with our packages, script by script as they were seen to.
type manager struct {
	name string
	root *root.Root
	out  string // of the last script
	bad  []string
}

// run runs a script of the package database.
func (m *manager) run(env []string, script string, args ...string) {
	if m.root.Read(script) == "" {
		return
	}
	out, status := m.root.Run(env, append([]string{"/bin/sh", "/" + script}, args...)...)
	m.out += out
	if status != 0 || strings.Contains(out, "not found") {
		m.bad = append(m.bad, fmt.Sprintf("%s %v: status %d: %s", script, args, status, out))
	}
}

// unpack writes a package's files; a configuration file that is there stays.
func (m *manager) unpack(t tree, conffiles []string) {
	for name, n := range t {
		if n.dir {
			if err := os.MkdirAll(m.root.At(name), n.mode); err != nil {
				m.bad = append(m.bad, err.Error())
			}
		}
	}
	for name, n := range t {
		if n.dir || slices.Contains(conffiles, name) && m.root.Read(name) != "" {
			continue
		}
		if err := m.root.Write(name, string(n.data), n.mode); err != nil {
			m.bad = append(m.bad, err.Error())
		}
	}
}

// erase removes a package's files and the directories that are empty then; a changed configuration file stays.
func (m *manager) erase(t tree, conffiles []string, keepConf bool) {
	var dirs []string
	for name, n := range t {
		switch {
		case n.dir:
			dirs = append(dirs, name)
		case slices.Contains(conffiles, name) && (keepConf || m.root.Read(name) != string(n.data)):
		default:
			if err := os.Remove(m.root.At(name)); err != nil {
				m.bad = append(m.bad, err.Error())
			}
		}
	}
	slices.SortFunc(dirs, func(a, b string) int { return len(b) - len(a) })
	for _, d := range dirs {
		_ = os.Remove(m.root.At(d)) // fails where something else is in it, as it should
	}
}

const opkgInfo = "usr/lib/opkg/info/"

// opkgInstall is also opkg's upgrade, if old is a package.
func (m *manager) opkgInstall(name string, p, old *ipkFile) {
	env := []string{"PKG_UPGRADE=0"}
	conf := strings.Fields(string(p.meta["/conffiles"].data))
	if old != nil {
		env = []string{"PKG_UPGRADE=1"}
		m.run(env, opkgInfo+name+".prerm", "upgrade", "9")
		m.run(env, opkgInfo+name+".postrm", "upgrade", "9")
		m.erase(old.data, conf, true)
	}
	m.unpack(p.data, conf)
	m.database(name, p)
	m.run(env, opkgInfo+name+".postinst", "configure")
}

// database writes what opkg keeps of a package.
func (m *manager) database(name string, p *ipkFile) {
	list := ""
	for _, file := range slices.Sorted(maps.Keys(p.data)) {
		if !p.data[file].dir {
			list += file + "\n"
		}
	}
	err := m.root.Write(opkgInfo+name+".list", list, 0o644)
	for file, n := range p.meta {
		if file != "/" && err == nil {
			err = m.root.Write(opkgInfo+name+"."+path.Base(file), string(n.data), n.mode)
		}
	}
	if err != nil {
		m.bad = append(m.bad, err.Error())
	}
}

func (m *manager) opkgRemove(name string, p *ipkFile) {
	env := []string{"PKG_UPGRADE=0"}
	m.run(env, opkgInfo+name+".prerm", "remove")
	m.erase(p.data, strings.Fields(string(p.meta["/conffiles"].data)), false)
	m.run(env, opkgInfo+name+".postrm", "remove")
	for _, e := range entries(m.root.At(opkgInfo)) {
		if strings.HasPrefix(e, name+".") {
			if err := os.Remove(m.root.At(opkgInfo + e)); err != nil {
				m.bad = append(m.bad, err.Error())
			}
		}
	}
}

// apkRun runs a script of an apk package, as apk does: from its archive, with nothing about an upgrade around it.
func (m *manager) apkRun(p *apkFile, script string, args ...string) {
	if p.scripts[script] == "" {
		return
	}
	if err := m.root.Write("tmp/apk-script", p.scripts[script], 0o755); err != nil {
		m.bad = append(m.bad, err.Error())
		return
	}
	m.run([]string{"APK_PACKAGE=mpproxy", "APK_SCRIPT=" + script}, "tmp/apk-script", args...)
}

func (m *manager) apkInstall(p, old *apkFile, conf []string) {
	if old != nil {
		m.apkRun(p, "pre-upgrade", "9", "1")
		m.erase(old.data, conf, true)
	}
	m.unpack(p.data, conf)
	if old != nil {
		m.apkRun(p, "post-upgrade", "9", "1")
		return
	}
	m.apkRun(p, "post-install", "1")
}

func (m *manager) apkRemove(p *apkFile, conf []string) {
	m.apkRun(p, "pre-deinstall", "1")
	m.erase(p.data, conf, false)
	m.apkRun(p, "post-deinstall", "1")
}

func entries(dir string) (names []string) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}
