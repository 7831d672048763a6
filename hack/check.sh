#!/bin/bash
# Static checks, each counted; exit status 1 if any failed. With COUNT=FILE the counts are written there.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
mkdir -p build/tools
passed=0 failed=0

# check NAME COMMAND...: the command passes if it exits 0 and prints nothing.
check() {
	local name=$1 out status
	shift
	out=$("$@" 2>&1)
	status=$?
	if [ $status -eq 0 ] && [ -z "$out" ]; then
		passed=$((passed + 1))
		printf '  ok    %s\n' "$name"
	else
		failed=$((failed + 1))
		printf '  FAIL  %s\n%s\n' "$name" "$out" | head -n 60
	fi
}

staticcheck() {
	go -C hack/tools build -o ../../build/tools/staticcheck honnef.co/go/tools/cmd/staticcheck &&
		build/tools/staticcheck ./...
}

shell_scripts() {
	hack/need.sh shellcheck=shellcheck >&2 || return 1
	git ls-files --cached --others --exclude-standard |
		while read -r file; do
			case $file in
			*.sh) echo "$file" ;;
			*) if head -c 64 "$file" 2>/dev/null | head -n 1 | grep -qaE '^#!.*\b(ba|a|da)?sh\b'; then echo "$file"; fi ;;
			esac
		done | xargs -r shellcheck -x
}

tidy() { go mod tidy -diff 2>build/tidy.log || cat build/tidy.log; } # it also reports downloads on stderr
rules() { go test ./src >build/rules.log 2>&1 || cat build/rules.log; }

if [ "$(id -u)" -eq 0 ]; then hack/need.sh shellcheck=shellcheck || exit 1; fi
check 'gofmt' gofmt -l src hack
check 'go vet' go vet ./...
check 'staticcheck' staticcheck
check 'go mod tidy -diff' tidy
check 'shellcheck' shell_scripts
check 'import rules' rules

[ -n "${COUNT:-}" ] && echo "$passed $failed 0" >"$COUNT"
[ $failed -eq 0 ]
