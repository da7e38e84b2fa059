#!/usr/bin/env bash
# Fuzzes every target of the module in turn, each for FUZZTIME.
set -euo pipefail
cd "$(dirname "$0")/.."

grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -rn1 dirname | sort -u | while read -r folder; do
	for target in $(go test -list '^Fuzz' "$folder" </dev/null | grep '^Fuzz'); do
		echo "== $folder $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-20s}" -fuzzminimizetime 50x "$folder" </dev/null
	done
done
