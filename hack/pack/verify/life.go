package verify

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"mpproxy/hack/pack/root"
)

// A life is a package's way through a root, for one package manager.
type life struct {
	r       *Report
	what    string
	m       *manager
	install func(upgrade bool)
	remove  func()
}

// stagedByOthers is what somebody has set and not committed; it must stay staged, and must not get into the file.
const stagedByOthers = "set lan.ipaddr=10.1.1.1/24\n"

// Lives takes the package through install, upgrade, removal and reinstallation, for opkg and for apk, each in a new root.
func (r *Report) Lives(p *ipkFile, a *apkFile, fresh func() (*root.Root, error)) {
	conf := strings.Fields(string(p.meta["/conffiles"].data))
	p, a = &ipkFile{fields: p.fields, control: p.control, meta: p.meta, data: pretend(p.data)}, &apkFile{info: a.info, data: pretend(a.data), scripts: a.scripts}
	for _, name := range []string{"opkg", "apk"} {
		at, err := fresh()
		if !r.Err(err, "%s", name) {
			return
		}
		l := life{r: r, what: name, m: &manager{name: name, root: at}}
		if name == "opkg" {
			l.install = func(upgrade bool) {
				if upgrade {
					l.m.opkgInstall("mpproxy", p, p)
				} else {
					l.m.opkgInstall("mpproxy", p, nil)
				}
			}
			l.remove = func() { l.m.opkgRemove("mpproxy", p) }
		} else {
			l.install = func(upgrade bool) {
				if upgrade {
					l.m.apkInstall(a, a, conf)
				} else {
					l.m.apkInstall(a, nil, conf)
				}
			}
			l.remove = func() { l.m.apkRemove(a, conf) }
		}
		l.live()
	}
}

func (l life) check(well bool, format string, args ...any) bool {
	return l.r.Check(well, "%s: "+format, append([]any{l.what}, args...)...)
}

func (l life) read(name string) string { return l.m.root.Read(name) }

func (l life) uci(args ...string) string {
	out, _ := l.m.root.Run(nil, append([]string{"/sbin/uci", "-q"}, args...)...)
	return strings.TrimSpace(out)
}

// scripts counts the scripts' mistakes since the last time.
func (l life) scripts(when string) {
	l.check(len(l.m.bad) == 0, "%s: %q", when, l.m.bad)
	l.m.bad = nil
}

// pretend puts a stand-in in place of the program, which may be for another processor.
func pretend(t tree) tree {
	t = maps.Clone(t)
	n := t["/usr/bin/mpproxy"]
	n.data = root.Stub()
	t["/usr/bin/mpproxy"] = n
	return t
}

// calls runs a shell line and returns what the stand-ins were told.
func (l life) calls(line string) []string {
	l.m.root.Calls()
	out, status := l.m.root.Sh(nil, line)
	l.check(status == 0 || strings.HasPrefix(line, "!"), "%s: status %d: %s", line, status, out)
	calls := l.m.root.Calls()
	l.check(!slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "lost ") }), "%s: procd would not get the service: %q", line, calls)
	return calls
}

func (l life) live() {
	at := l.m.root
	l.r.Err(at.Write("tmp/.uci/network", stagedByOthers, 0o600), "%s", l.what)
	before := at.Snapshot()

	l.install(false)
	l.scripts("install")
	l.installed()
	again := at.Snapshot()
	out, status := at.Run(nil, "/bin/sh", "/usr/share/mpproxy/sections", "add")
	l.check(status == 0 && len(differences(again, at.Snapshot())) == 0, "sections add twice changes something: %s", out)
	l.remove()
	l.scripts("removal")
	calls := at.Calls()
	for _, want := range []string{"nft delete table inet mpproxy_guard", "firewall reload", "network reload"} {
		l.check(slices.Contains(calls, want), "removal does not %s: %q", want, calls)
	}
	for _, d := range differences(before, at.Snapshot()) {
		l.check(false, "after removal: %s", d)
	}
	l.check(at.Read("tmp/.uci/network") == stagedByOthers, "removal touched what somebody has staged")

	l.install(false)
	l.scripts("reinstallation")
	l.installed()
	l.used()
	l.service()
	l.remove()
	l.scripts("removal after use")
	l.check(at.Read("etc/config/mpproxy") != "", "removal took a changed configuration")
	l.check(at.Read("etc/mpproxy/secrets/private_key") != "", "removal took the keys")
	l.check(strings.Contains(l.m.out, "/etc/mpproxy"), "removal does not say that the keys stay")
}

// installed is what must be true after an installation that nobody has used yet.
func (l life) installed() {
	for path, want := range map[string]string{
		"network.mpproxy": "interface", "network.mpproxy.proto": "mpproxy", "network.mpproxy.peerdns": "0",
		"firewall.mpproxy_zone": "zone", "firewall.mpproxy_zone.name": "mpproxy", "firewall.mpproxy_zone.network": "mpproxy",
		"firewall.mpproxy_zone.device": "mpp0", "firewall.mpproxy_zone.input": "REJECT", "firewall.mpproxy_zone.forward": "REJECT",
		"firewall.mpproxy_zone.output": "ACCEPT", "firewall.mpproxy_zone.masq": "", "firewall.mpproxy_zone.mtu_fix": "1",
		"firewall.mpproxy_fwd": "forwarding", "firewall.mpproxy_fwd.src": "home", "firewall.mpproxy_fwd.dest": "mpproxy",
		"mpproxy.main.enabled": "0", "mpproxy.main": "portal",
	} {
		got := l.uci("get", path)
		l.check(got == want, "%s is %q, not %q", path, got, want)
	}
	l.check(l.read("tmp/.uci/network") == stagedByOthers, "what somebody has staged is gone: %q", l.read("tmp/.uci/network"))
	l.check(strings.Contains(l.read("etc/config/network"), "192.168.1.1/24"), "what somebody has staged is committed")
	l.check(len(entries(l.m.root.At("etc/uci-defaults"))) == 0, "a first-boot script is left")
	for _, link := range []string{"S90mpproxy", "K85mpproxy", "S18mpproxy-guard"} {
		to, err := os.Readlink(l.m.root.At("etc/rc.d/" + link))
		l.check(err == nil && to == "../init.d/"+link[3:], "service link %s: %s", link, to)
	}
	l.check(len(entries(l.m.root.At("etc/rc.d"))) == 3, "service links: %q", entries(l.m.root.At("etc/rc.d")))
	calls := l.m.root.Calls()
	l.check(slices.Contains(calls, "open mpproxy"), "the service was not started: %q", calls)
	l.check(!slices.ContainsFunc(calls, func(c string) bool {
		return strings.HasPrefix(c, "instance") || strings.HasPrefix(c, "mpproxy guard up")
	}),
		"something runs although it is not enabled: %q", calls)
	leftovers := slices.DeleteFunc(entries(l.m.root.At("tmp")), func(n string) bool { return !strings.HasPrefix(n, "mpproxy.") })
	l.check(len(leftovers) == 0, "left in /tmp: %q", leftovers)
}

// used has the user change things, and upgrades.
func (l life) used() {
	at := l.m.root
	l.r.Err(at.Write("etc/mpproxy/secrets/private_key", "k\n", 0o600), "%s", l.what)
	_, status := at.Sh(nil, "uci set firewall.mpproxy_zone.input=ACCEPT && uci commit firewall && uci delete network.mpproxy.peerdns && uci set mpproxy.main.enabled=1 && uci commit mpproxy && rm /tmp/.uci/* && /etc/init.d/mpproxy start")
	l.check(status == 0, "the user could not change the configuration")
	before := at.Snapshot()
	at.Calls()
	l.install(true)
	l.scripts("upgrade")
	calls := at.Calls()
	l.check(slices.Contains(calls, "kill mpproxy") && slices.Contains(calls, "instance portal") && at.Read("tmp/running.mpproxy") == "" && l.running(),
		"an upgrade does not restart the program: %q", calls)
	for _, d := range differences(before, at.Snapshot()) {
		l.check(false, "after an upgrade: %s", d)
	}
	at.Sh(nil, "uci delete firewall.mpproxy_fwd; uci commit firewall")
	l.install(true)
	l.check(l.uci("get", "firewall.mpproxy_fwd") == "", "an upgrade brings back what the user has deleted")
	l.scripts("second upgrade")
	at.Calls()
}

func (l life) running() bool {
	_, err := os.Stat(l.m.root.At("tmp/running.mpproxy"))
	return err == nil
}

// Image has the package's scripts run as an image builder does, on this machine with IPKG_INSTROOT, and then boots it.
func (r *Report) Image(p *ipkFile, a *apkFile, fresh func() (*root.Root, error)) {
	for _, shell := range []string{"bash", "busybox ash", "dash"} {
		words := strings.Fields(shell)
		program, err := exec.LookPath(words[0])
		if err != nil {
			r.Skip("image builder's shell %s, which is not here", shell)
			continue
		}
		for _, name := range []string{"opkg", "apk"} {
			at, err := fresh()
			if !r.Err(err, "image") {
				return
			}
			l := life{r: r, what: "image by " + shell + " and " + name, m: &manager{root: at}}
			script := at.At(opkgInfo + "mpproxy.postinst")
			if name == "opkg" {
				l.m.unpack(p.data, nil)
				l.m.database("mpproxy", p)
			} else {
				l.m.unpack(a.data, nil)
				script = filepath.Join(at.At("tmp"), "post-install")
				r.Err(os.WriteFile(script, []byte(a.scripts["post-install"]), 0o755), "image")
			}
			cmd := exec.Command(program, append(words[1:], script, "configure")...)
			cmd.Env = append(os.Environ(), "IPKG_INSTROOT="+at.Dir)
			out, err := cmd.CombinedOutput()
			r.Err(err, "%s: %s", l.what, out)
			l.image()
		}
	}
}

func (l life) image() {
	at := l.m.root
	l.check(slices.Equal(entries(at.At("etc/uci-defaults")), []string{"80-mpproxy"}), "first-boot scripts: %q", entries(at.At("etc/uci-defaults")))
	l.check(!strings.Contains(at.Read("etc/config/network"), "mpproxy"), "the image's configuration was changed on the builder's machine")
	l.check(len(entries(at.At("etc/rc.d"))) == 3, "service links: %q", entries(at.At("etc/rc.d")))
	l.r.Err(at.Write("usr/bin/mpproxy", string(root.Stub()), 0o755), "%s", l.what)
	l.r.Err(at.Write("tmp/.uci/network", stagedByOthers, 0o600), "%s", l.what)
	out, status := at.Sh(nil, `cd /etc/uci-defaults && for file in *; do ( . "./$file" ) && rm -f "$file"; done; /etc/init.d/mpproxy start`)
	l.check(status == 0, "first boot: %s", out)
	l.installed()
}
