#!/bin/bash
# Runs every fuzz target found for the time given as first argument (default 30s each).
# New findings land in the package's testdata/fuzz: commit them with the fix.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
time=${1:-30s}
count=0 failed=0
while IFS=: read -r file name; do
	dir=$(dirname "$file")
	echo "== ./$dir $name ($time)"
	count=$((count + 1))
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "./$dir" </dev/null || failed=$((failed + 1))
done < <(find src hack -name '*_test.go' -not -path '*/testdata/*' -print0 | sort -z |
	xargs -0 grep -oE '^func Fuzz[A-Za-z0-9_]*' /dev/null | sed 's/:func /:/')
if [ $count -eq 0 ]; then
	echo 'fuzz: no target found' >&2
	exit 1
fi
echo "fuzz: $count targets, $failed with findings"
[ $failed -eq 0 ]
