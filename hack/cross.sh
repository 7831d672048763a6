#!/bin/bash
# Builds the program for every distinct Go target of OpenWrt's architectures and prints the sizes.
# Fails if a build fails or a binary is larger than 8 MB: it lives in a router's flash.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
ldflags=${1:--s -w}
limit=$((8 * 1000 * 1000))

# Flash is small: only what packets pass through is inlined into its callers.
flags=('-gcflags=all=-l')
for hot in runtime/... internal/runtime/... internal/bytealg internal/abi internal/chacha8rand internal/byteorder internal/poll internal/sync \
	sync/... sync slices math/bits encoding/binary net/netip errors crypto/... golang.org/x/crypto/... golang.org/x/sys/... golang.zx2c4.com/wireguard/tun \
	mpproxy/src/engine/... mpproxy/src/transport mpproxy/src/mpp mpproxy/src/streams mpproxy/src/portal; do
	flags+=("-gcflags=$hot=")
done
for cold in mpproxy/src/engine/handshake mpproxy/src/engine/trace crypto/internal/fips140/nistec/... crypto/internal/fips140/sha3; do
	flags+=("-gcflags=$cold=-l")
done
out=build/cross
mkdir -p $out
failed=0

targets='
arm64          GOARCH=arm64 GOARM64=v8.0
arm-7          GOARCH=arm GOARM=7
arm-6          GOARCH=arm GOARM=6
arm-5          GOARCH=arm GOARM=5
mipsle-soft    GOARCH=mipsle GOMIPS=softfloat
mips-soft      GOARCH=mips GOMIPS=softfloat
mips64-soft    GOARCH=mips64 GOMIPS64=softfloat
mips64le-soft  GOARCH=mips64le GOMIPS64=softfloat
amd64          GOARCH=amd64 GOAMD64=v1
386-sse2       GOARCH=386 GO386=sse2
386-soft       GOARCH=386 GO386=softfloat
riscv64        GOARCH=riscv64
loong64        GOARCH=loong64
'
[ -n "${ONLY:-}" ] && targets=$(grep -E "^($ONLY) " <<<"$targets")

printf '%-14s %12s %12s\n' target bytes gzip
while read -r name settings; do
	[ -z "$name" ] && continue
	# shellcheck disable=SC2086 # the settings are words
	if ! env CGO_ENABLED=0 GOOS=linux $settings go build -trimpath "${flags[@]}" -ldflags "$ldflags" -o "$out/mpproxy-$name" ./src/cmd/mpproxy; then
		printf '%-14s %12s\n' "$name" 'NOT BUILT'
		failed=1
		continue
	fi
	size=$(stat -c %s "$out/mpproxy-$name")
	zipped=$(gzip -9 <"$out/mpproxy-$name" | wc -c)
	note=
	if [ "$size" -gt $limit ]; then note='  TOO LARGE' failed=1; fi
	printf '%-14s %12d %12d%s\n' "$name" "$size" "$zipped" "$note"
done <<<"$targets"
exit $failed
