#!/bin/bash
# Checks the LuCI pages: lint, minifying, menu, rights, texts, and their logic in node. With LUCI=dir (a checkout of
# LuCI) also in a real browser, on LuCI's own runtime, against real portals; pictures go to build/luci.
set -euo pipefail
cd "$(dirname "$0")/.."
hack/need.sh node=nodejs npm=npm
[ -d hack/luci/node_modules ] || npm --prefix hack/luci ci --no-audit --no-fund --silent
status=0
node hack/luci/check.mjs || status=1
if [ -n "${LUCI:-}" ]; then
	hack/need.sh chromium=chromium python3=python3
	unset COUNT
	MPPROXY_PROGRAM=$PWD/build/mpproxy go test -count=1 -timeout 600s -run TestLuCIPages -v -exec "$PWD/hack/innetns.sh" ./hack/lab | sed -n 's/^ *luci_test.go:[0-9]*: //p; t; /^\(ok\|FAIL\|---\)/p'
	[ "${PIPESTATUS[0]}" -eq 0 ] || status=1
fi
exit $status
