#!/bin/bash
# make.sh packages|feed|check: what the Makefile's targets packages, feed and feed-check do. All settings are environment
# variables: OUT, KEYS, URL, ARCHES (names, separated by spaces), FEED (check this one), SOURCE_DATE_EPOCH.
set -euo pipefail
cd "$(dirname "$0")/../.."
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
arches=${ARCHES:-}
pack=build/tools/pack

CGO_ENABLED=0 go -C hack/pack build -o ../../$pack .
CGO_ENABLED=0 go -C hack/pack build -o ../../build/tools/smalluci ./smalluci
version=$($pack version)

programs() {
	ONLY=$($pack targets -arches "$arches") hack/cross.sh "-s -w -X main.version=$version"
}

# Another copy of the sources, somewhere else, must give the same program.
same_program() {
	local elsewhere status=0 target=amd64
	[ -f build/cross/mpproxy-$target ] || return 0
	elsewhere=$(mktemp -d)
	mkdir "$elsewhere/hack"
	cp -r go.mod go.sum src "$elsewhere/"
	cp hack/cross.sh "$elsewhere/hack/"
	ONLY=$target "$elsewhere/hack/cross.sh" "-s -w -X main.version=$version" >/dev/null || status=1
	cmp "$elsewhere/build/cross/mpproxy-$target" build/cross/mpproxy-$target || status=1
	rm -rf "$elsewhere"
	[ $status -eq 0 ] || echo 'the same sources gave another program elsewhere: it is not reproducible'
	return $status
}

keys=${KEYS:-${XDG_CONFIG_HOME:-${HOME:-/root}/.config}/mpproxy/feed-keys}
case ${1:-} in
packages)
	out=${OUT:-build/packages}
	programs
	[ "$out" != build/packages ] || rm -rf "$out"
	$pack packages -arches "$arches" -out "$out"
	;;
feed)
	: "${OUT:?make feed OUT=folder: where the feed goes}"
	programs
	$pack feed -arches "$arches" -out "$OUT" -keys "$keys" -base "${URL:-}"
	;;
check)
	hack/need.sh busybox=busybox-static signify-openbsd=signify-openbsd dpkg-deb=dpkg
	feed=${FEED:-}
	if [ -z "$feed" ]; then
		programs
		same_program
		feed=build/feed
		scratch=$(mktemp -d)
		trap 'rm -rf "$scratch"' EXIT
		$pack feed -arches "$arches" -out $feed -keys "$scratch/keys"
		$pack feed -arches "$arches" -out "$scratch/again" -keys "$scratch/keys" >/dev/null
		diff -r $feed "$scratch/again"
	fi
	$pack check -feed "$feed"
	;;
*)
	echo "usage: $0 packages|feed|check" >&2
	exit 2
	;;
esac
