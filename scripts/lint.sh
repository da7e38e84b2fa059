#!/usr/bin/env bash
# Looks at the code without running it: gofmt, go vet, staticcheck.
set -uo pipefail
cd "$(dirname "$0")/.."

staticcheck=v0.8.2
cache="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/sealpost-test"
status=0

echo "== gofmt"
unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
	echo "not formatted, run gofmt -w on:"
	echo "$unformatted"
	status=1
fi

echo "== go vet"
go vet ./... || status=1

echo "== staticcheck $staticcheck"
# Built with the toolchain of today: one that is older than the code refuses it.
bin="$cache/staticcheck-$staticcheck-$(go env GOVERSION)"
if [ ! -x "$bin/staticcheck" ]; then
	GOBIN="$bin" go install "honnef.co/go/tools/cmd/staticcheck@$staticcheck" || true
fi
if [ -x "$bin/staticcheck" ]; then
	"$bin/staticcheck" ./... || status=1
else
	echo "staticcheck could not be fetched and did not run; it needs the Go module proxy once"
fi
exit $status
