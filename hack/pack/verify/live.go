package verify

import (
	"os/exec"
	"path/filepath"
	"strings"
)

// liveScript is the life of the service under a real procd, in namespaces of its own. $1 is the package manager's way to
// install. Every line that it prints as "is WHAT VALUE" is compared.
const liveScript = `export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /var/run/ubus /var/lock /var/run
ubusd & procd -S >/tmp/procd.log 2>&1 &
for n in 1 2 3 4 5 6 7 8 9 10; do ubus list service >/dev/null 2>&1 && break; sleep 0.3; done
$1 >&2
pid() { ubus -S call service list '{"name":"mpproxy"}' | sed -n 's/.*"running":true,"pid":\([0-9]*\).*/\1/p'; }
change() { ubus call service event '{"type":"config.change","data":{"package":"mpproxy"}}'; sleep 3; }
echo is off "$([ -n "$(pid)" ] || echo yes)"
mkdir -p /etc/mpproxy/secrets
(umask 077; mpproxy genkey >/etc/mpproxy/secrets/private_key)
uci batch >/dev/null <<END
set mpproxy.main.enabled=1
add_list mpproxy.main.lan=br-lan
set mpproxy.vps=remote
set mpproxy.vps.enabled=1
set mpproxy.vps.public_key=$(mpproxy genkey 2>/dev/null | mpproxy pubkey)
add_list mpproxy.vps.endpoint=192.0.2.1:6779
set mpproxy.wan=link
set mpproxy.wan.enabled=1
set mpproxy.wan.interface=eth1
commit mpproxy
END
mpproxy check /etc/config/mpproxy >&2
change; p=$(pid)
echo is on "$([ -n "$p" ] && mpproxy status >/dev/null && echo yes)"
uci set mpproxy.main.log_level=debug; uci commit mpproxy; change
echo is reloaded "$([ "$(pid)" = "$p" ] && echo same)"
/etc/init.d/mpproxy restart; sleep 2
echo is restarted "$([ -n "$(pid)" ] && [ "$(pid)" != "$p" ] && echo new)"
p=$(pid); kill -9 "$p"; sleep 7
echo is respawned "$([ -n "$(pid)" ] && [ "$(pid)" != "$p" ] && echo new)"
uci set mpproxy.main.mtu=7; uci commit mpproxy; p=$(pid); change
echo is kept "$([ "$(pid)" = "$p" ] && echo same)"
uci delete mpproxy.main.mtu; uci set mpproxy.main.enabled=0; uci commit mpproxy; change
echo is off "$([ -n "$(pid)" ] || echo yes)"
if [ -e /lib/netifd/netifd-proto.sh ]; then
	cd /lib/netifd/proto
	case $(./mpproxy.sh '' dump) in *'"name": "mpproxy"'*'"no-device": true'*) echo is handler well ;; *) echo is handler broken ;; esac
fi
`

// live runs the service under the root's own procd and ubus. install is a shell line that installs the package there.
func (r *Report) live(at, install string) {
	const what = "OPENWRT_ROOT: procd"
	for _, name := range []string{"sbin/procd", "sbin/ubusd"} {
		if !exists(at, name) {
			r.Skip("the services under a real procd: the root file system has no /%s", name)
			return
		}
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c",
		`mount --make-rprivate / && mount -t proc proc "$1/proc" && exec chroot "$1" /bin/sh -c "$2" sh "$3"`, "sh", filepath.Clean(at), liveScript, install)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	r.Err(err, "%s: %s", what, errors.String())
	said := " " + strings.ReplaceAll(string(out), "\n", " \n ")
	for _, want := range []string{" is off yes \n", " is on yes \n", " is reloaded same \n", " is restarted new \n", " is respawned new \n", " is kept same \n", " is handler well \n"} {
		r.Check(strings.Contains(said, want), "%s: no %q in\n%s%s", what, strings.TrimSpace(want), out, errors.String())
	}
	r.Check(strings.Count(said, " is off yes \n") == 2, "%s: it runs although it is off:\n%s", what, out)
}
