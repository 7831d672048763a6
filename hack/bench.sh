#!/bin/bash
# Measures what the yardsticks ask for; tables and plots in build/bench. ONLY=y1,y6 chooses sections, RUNS=5 repetitions.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/need.sh ip=iproute2 nft=nftables iptables=iptables
make --no-print-directory build/mpproxy
mkdir -p build/bench
go build -o build/bench/bench ./hack/bench
go build -o build/wireguard-go golang.zx2c4.com/wireguard
exec hack/innetns.sh build/bench/bench --runs "${RUNS:-3}" --only "${ONLY:-}"
