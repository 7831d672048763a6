#!/bin/bash
# Runs every benchmark; the medians to quote come from the repeated lines in build/bench.txt.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
mkdir -p build
go test -run '^$' -bench . -benchmem -count "${COUNT:-3}" -p 1 ./src/... | grep -v 'no test files' | tee build/bench.txt
