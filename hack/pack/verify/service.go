package verify

import (
	"os"
	"slices"
	"strings"
)

// service drives the init scripts and netifd's handler. The program is a stand-in, the service is enabled and runs.
func (l life) service() {
	at := l.m.root
	has := func(calls []string, want string) {
		l.check(slices.Contains(calls, want), "no %q in %q", want, calls)
	}
	hasNot := func(calls []string, part string) {
		l.check(!slices.ContainsFunc(calls, func(c string) bool { return strings.Contains(c, part) }), "%q in %q", part, calls)
	}
	l.calls("/etc/init.d/mpproxy stop")
	calls := l.calls("/etc/init.d/mpproxy start")
	for _, want := range []string{
		"mpproxy check /etc/config/mpproxy", "instance portal", "param command /usr/bin/mpproxy run --config /etc/config/mpproxy",
		"param env GOMEMLIMIT=30MiB", "param respawn 3600 5 0", "param reload_signal HUP", "param stderr 1",
		"trigger config mpproxy", "trigger interface.*.up wan /etc/init.d/mpproxy reload", "validation validate_portal",
		"nft list chain inet fw4 forward_mpproxy",
	} {
		has(calls, want)
	}
	hasNot(calls, "changed firewall") // the stand-in says that fw4 has the zone
	hasNot(calls, "wwan")             // that link is not enabled

	calls = l.calls("/etc/init.d/mpproxy reload")
	l.check(count(calls, "signal mpproxy portal HUP") == 1, "a reload sends not one SIGHUP: %q", calls)
	hasNot(calls, "kill mpproxy")
	hasNot(calls, "mpproxy check") // the running program judges, and keeps the old one

	calls = l.calls(": >/tmp/fails.nft; uci set mpproxy.main.memory_limit=48; uci commit mpproxy; /etc/init.d/mpproxy restart; rm /tmp/fails.nft")
	has(calls, "changed firewall")
	has(calls, "param env GOMEMLIMIT=48MiB")
	for kilobytes, want := range map[string]string{"30000": "16", "512000": "64"} {
		l.r.Err(at.Write("proc/meminfo", "MemTotal: "+kilobytes+" kB\n", 0o444), "%s", l.what)
		has(l.calls("uci set mpproxy.main.memory_limit=x; uci commit mpproxy; /etc/init.d/mpproxy restart"), "param env GOMEMLIMIT="+want+"MiB")
	}

	calls = l.calls("/etc/init.d/mpproxy stop; : >/tmp/fails.mpproxy; ! /etc/init.d/mpproxy start; rm /tmp/fails.mpproxy")
	hasNot(calls, "instance")
	l.check(slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "logger") && strings.Contains(c, "not started") }), "a refused configuration is not logged: %q", calls)
	calls = l.calls("/etc/init.d/mpproxy reload") // repaired: the trigger starts it
	has(calls, "instance portal")
	hasNot(calls, "signal mpproxy")
	calls = l.calls("uci set mpproxy.main.enabled=0; uci commit mpproxy; /etc/init.d/mpproxy reload")
	hasNot(calls, "instance")
	hasNot(calls, "signal mpproxy")

	l.firstBoot(has, hasNot)
	l.guard(has, hasNot)
	l.handler()
}

// firstBoot: a token that a vendor left is used, with the service off and with it on; without one nothing is.
func (l life) firstBoot(has, hasNot func([]string, string)) {
	const token = "etc/mpproxy/join.token"
	join := []string{"instance join", "param command /usr/bin/mpproxy join --wait --file /etc/mpproxy/join.token", "param stderr 1"}
	hasNot(l.calls("/etc/init.d/mpproxy start"), "join")
	l.r.Err(l.m.root.Write(token, "", 0o600), "%s", l.what)
	hasNot(l.calls("/etc/init.d/mpproxy start"), "join")
	l.r.Err(l.m.root.Write(token, "mpp1:x\n", 0o600), "%s", l.what)
	calls := l.calls("/etc/init.d/mpproxy start")
	for _, want := range join {
		has(calls, want)
	}
	hasNot(calls, "instance portal")
	hasNot(calls, "respawn") // procd would start it again after success
	calls = l.calls("uci set mpproxy.main.enabled=1; uci commit mpproxy; /etc/init.d/mpproxy reload")
	for _, want := range append(join, "instance portal", "mpproxy check /etc/config/mpproxy") {
		has(calls, want)
	}
	hasNot(calls, "signal mpproxy") // the portal did not run yet, whatever the joining does
	has(l.calls("/etc/init.d/mpproxy reload"), "signal mpproxy portal HUP")
	l.r.Err(os.Remove(l.m.root.At(token)), "%s", l.what)
	hasNot(l.calls("/etc/init.d/mpproxy reload; uci set mpproxy.main.enabled=0; uci commit mpproxy; /etc/init.d/mpproxy stop"), "join")
}

func (l life) guard(has, hasNot func([]string, string)) {
	calls := l.calls("uci set mpproxy.main.kill_switch=1; uci commit mpproxy; : >/tmp/fails.nft; /etc/init.d/mpproxy-guard start; rm /tmp/fails.nft")
	hasNot(calls, "mpproxy guard") // not enabled, and no table
	calls = l.calls("uci set mpproxy.main.enabled=1; uci commit mpproxy; /etc/init.d/mpproxy-guard reload")
	has(calls, "mpproxy guard up")
	has(calls, "trigger config mpproxy network")
	calls = l.calls("/etc/init.d/mpproxy-guard stop; /etc/init.d/mpproxy stop")
	hasNot(calls, "guard down")
	hasNot(calls, "delete table")
	calls = l.calls("uci set mpproxy.main.kill_switch=0; uci commit mpproxy; /etc/init.d/mpproxy-guard reload")
	has(calls, "mpproxy guard down")
}

func (l life) handler() {
	out, status := l.m.root.Sh(nil, "cd /lib/netifd/proto && sh ./mpproxy.sh mpproxy setup mpproxy '{}'")
	want := "defaults\nno_device=1 available=1 no_proto_task=1 l3=1\n"
	l.check(status == 0 && out == want, "the protocol handler: %d %q", status, out)
	calls := l.m.root.Calls()
	l.check(count(calls, `ubus -t 2 call service signal {"name":"mpproxy","instance":"portal","signal":1}`) == 1, "the handler does not poke the daemon: %q", calls)
	out, status = l.m.root.Sh(nil, "cd /lib/netifd/proto && INCLUDE_ONLY=1 && . ./mpproxy.sh && type proto_mpproxy_setup")
	l.check(status == 0, "the handler cannot be included: %s", out)
}

func count(list []string, want string) (n int) {
	for _, s := range list {
		if s == want {
			n++
		}
	}
	return n
}
