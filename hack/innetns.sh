#!/bin/bash
# Runs a command with the rights to make network namespaces: as it is for root, else in a user namespace of its own.
# "go test -exec" uses it, so only the test itself runs inside; there is no network in there but the lab's own.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
if [ "$(id -u)" -eq 0 ]; then exec "$@"; fi
# shellcheck disable=SC2016 # expanded by the inner shell
exec unshare --user --map-root-user --net --mount --kill-child sh -c '
	mount -t tmpfs tmpfs /run && mkdir -p /run/netns && mount -t sysfs sysfs /sys && ip link set lo up || exit 125
	exec "$@"' sh "$@"
