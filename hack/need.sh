#!/bin/bash
# Installs Debian packages whose command is missing: need.sh command=package ...
# Says what it installs; without root it says what to install and fails.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

missing=()
for pair in "$@"; do
	command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "need: missing and not root: run 'apt-get install ${missing[*]}' first" >&2
	exit 1
fi
if ! command -v apt-get >/dev/null; then
	echo "need: missing and no apt-get here: install ${missing[*]} first" >&2
	exit 1
fi
echo "need: installing ${missing[*]} (apt-get)"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
	tail -n 20 "$log" >&2
	echo "need: apt-get could not install ${missing[*]}" >&2
	exit 1
fi
