#!/bin/bash
# Installs what the demo needs, builds it and the program, and runs it; arguments go to the demo.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/need.sh ip=iproute2 nft=nftables iptables=iptables
make --no-print-directory build/mpproxy
go build -o build/demo ./hack/demo
exec hack/innetns.sh build/demo --program build/mpproxy "$@"
