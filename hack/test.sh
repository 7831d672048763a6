#!/bin/bash
# Everything `make test` does, in stages; goes on after a failed stage, ends with a verdict and the counts.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
out=build/test
rm -rf $out
mkdir -p $out build/tools
started=$SECONDS
passed=0 failed=0 skipped=0
report=()

# stage NAME COMMAND...: runs the command; it may leave "passed failed skipped" in $COUNT, else it counts as one.
stage() {
	local name=$1 status=0 begin=$SECONDS p f s word=ok
	shift
	printf '\n== %s\n' "$name"
	export COUNT=$out/count
	rm -f "$COUNT"
	"$@" </dev/null || status=$?
	if [ -s "$COUNT" ]; then
		read -r p f s <"$COUNT"
	else
		p=1 f=0 s=0
		[ $status -eq 0 ] || p=0 f=1
	fi
	[ $status -eq 0 ] || word=FAILED
	[ $status -ne 0 ] && [ "$f" -eq 0 ] && f=1
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	report+=("$(printf '%-22s %-7s %4d s  %5d passed %3d failed %3d skipped' "$name" $word $((SECONDS - begin)) "$p" "$f" "$s")")
	printf -- '-- %s: %s (%d s)\n' "$name" "$word" $((SECONDS - begin))
}

# tests LABEL ARGUMENTS...: go test with the result tallied.
tests() {
	go test -json -count=1 -shuffle=on -timeout "${LIMIT:-400s}" "$@" 2>&1 | build/tools/tally -count "$COUNT" -skips hack/skips.txt
}

# Rooms without goroutines: the race detector can find nothing there.
pure='^mpproxy/src/(engine|mpp|linksim|stats)(/|$)'
pure_rooms() {
	local list
	list=$(go list ./src/... | grep -E "$pure") || return 1
	# shellcheck disable=SC2086 # a list of packages
	tests $list
}
live_rooms() {
	local list race=-race
	list=$(go list ./src/... ./hack/... | grep -vE "$pure|/hack/lab\$") || return 1
	if ! command -v gcc >/dev/null; then
		echo 'no C compiler: running without the race detector'
		race=
	fi
	# shellcheck disable=SC2086 # a list of packages
	tests $race -exec "$PWD/hack/innetns.sh" $list
}
# The packers are a module of their own. Two architectures are built, read back, and taken through the life of a package.
packages() {
	hack/need.sh busybox=busybox-static signify-openbsd=signify-openbsd openssl=openssl tar=tar dpkg=dpkg || return 1
	go -C hack/pack vet ./... || return 1
	CGO_ENABLED=0 go -C hack/pack test -json -count=1 -shuffle=on -timeout 300s ./... 2>&1 | build/tools/tally -count "$COUNT" -skips hack/skips.txt
}
lab() { LUCI='' LIMIT=1200s MPPROXY_PROGRAM=$PWD/build/mpproxy tests -p 1 -exec "$PWD/hack/innetns.sh" ./hack/lab; }
namespaces() {
	hack/innetns.sh sh -c "ip netns add mpptest$$ && ip netns del mpptest$$ && : <>/dev/net/tun" && return
	echo 'Here we can make no network namespaces, or not open /dev/net/tun (its owner and mode: below), neither as root'
	echo 'nor in a user namespace. The tests on real packets cannot run and count as failed.'
	ls -l /dev/net/tun
	return 1
}

stage 'tools' hack/need.sh go=golang git=git ip=iproute2 nft=nftables iptables=iptables ufw=ufw firewalld=firewalld dbus-daemon=dbus-daemon shellcheck=shellcheck gcc=gcc unshare=util-linux
stage 'build' make --no-print-directory build/mpproxy
go build -o build/tools/tally ./hack/tally || exit 1
stage 'check' hack/check.sh
stage 'pure rooms' pure_rooms
stage 'live rooms (race)' live_rooms
stage 'packages' packages
stage 'namespaces' namespaces
stage 'lab' lab
stage 'LuCI pages' hack/luci.sh
stage 'big endian, 32 bit' env ONLY=mips-soft hack/cross.sh

printf '\n'
printf '%s\n' "${report[@]}"
if [ $failed -eq 0 ]; then verdict='all well'; else verdict='FAILED'; fi
printf '\nverdict: %s, in %d s\n' "$verdict" $((SECONDS - started))
printf '%d passed, %d failed, %d skipped\n' $passed $failed $skipped
[ $failed -eq 0 ]
