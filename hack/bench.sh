#!/bin/bash
# Measures what the yardsticks ask for; tables and plots in build/bench. ONLY=y1,y6 chooses sections, PROFILE=rtt_120 profiles,
# RUNS=5 repetitions, DURATION=5s how long a flow is measured, OURS=1 leaves the other programs out.
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
mkdir -p build/bench
go build -o build/bench/bench ./hack/bench
go -C hack/bench/quic build -o ../../../build/bench/quic . || echo 'bench: what needs QUIC is not measured' >&2
CGO_ENABLED=0 go build -tags sockmap -trimpath -ldflags '-s -w' -o build/mpproxy-sockmap ./src/cmd/mpproxy
go build -o build/wireguard-go golang.zx2c4.com/wireguard
exec hack/innetns.sh build/bench/bench --runs "${RUNS:-3}" --only "${ONLY:-}" --profile "${PROFILE:-}" --duration "${DURATION:-10s}" ${OURS:+--ours}
