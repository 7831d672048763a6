#!/bin/bash
# Measures what the yardsticks ask for; tables and plots in build/bench. ONLY=y1,y6 chooses sections, PROFILE=rtt_120 profiles,
# RUNS=3 repetitions, DURATION=10s how long a flow is measured, after SETTLE=3s; OURS=1 leaves the other programs out.
# MINUTES=40 begins nothing that would end later. What is chosen is measured anew, what is not stays in the tables; KEEP=dir (it
# may be build/bench) measures only what is not there, REDO=1 with it also what was measured on a busy machine. OLDER=1
# shows what earlier builds gave where nothing newer is, marked. README=1 puts the tables into README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/need.sh ip=iproute2 nft=nftables iptables=iptables
if [ -z "${OURS:-}" ]; then
	hack/need.sh openvpn=openvpn mptcpize=mptcpize || echo 'bench: what needs OpenVPN over MPTCP is not measured' >&2
	case ",${ONLY:-proxy}," in *,proxy,*)
		hack/need.sh microsocks=microsocks danted=dante-server ss-server=shadowsocks-libev mptcpize=mptcpize ||
			echo 'bench: the proxies that are missing are not measured' >&2 ;;
	esac
fi
for name in bbr cubic; do modprobe -q "tcp_$name" 2>/dev/null || true; done # where they are modules
make --no-print-directory build/mpproxy
out=${KEEP:-build/bench}
mkdir -p build/bench "$out"
go build -o build/bench/bench ./hack/bench
go -C hack/bench/quic build -o ../../../build/bench/quic . || echo 'bench: what needs QUIC is not measured' >&2
CGO_ENABLED=0 go build -tags sockmap -trimpath -ldflags '-s -w' -o build/mpproxy-sockmap ./src/cmd/mpproxy
go build -o build/wireguard-go golang.zx2c4.com/wireguard
# The sources name the build: its version says nothing of what is not committed.
sources=$(find src go.mod go.sum -type f ! -name '*_test.go' ! -path '*/testdata/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
first=()
if [ "$(id -u)" -eq 0 ]; then first=(nice -n -10); fi # other programs' work shows less; what is left of it is marked
exec "${first[@]}" hack/innetns.sh build/bench/bench --runs "${RUNS:-1}" --only "${ONLY:-}" --profile "${PROFILE:-}" --duration "${DURATION:-5s}" \
	--settle "${SETTLE:-3s}" --limit "${MINUTES:-0}m" --out "$out" --build "${sources:0:12}" ${KEEP:+--keep} ${OLDER:+--older} ${REDO:+--redo} ${OURS:+--ours} \
	${README:+--into README.md}
