#!/usr/bin/env bash
# Runs everything that must pass, the tests last. Arguments go to go test:
#
#   scripts/test.sh -run TestDelivers -count=1
#
# Lint and tests both run in any case, and either can fail the whole.
set -uo pipefail
cd "$(dirname "$0")/.."

exim=$(./scripts/install-test-parts.sh)
if [ -n "$exim" ]; then
	export SEALPOST_TEST_EXIM="$exim"
fi

lint=0
./scripts/lint.sh || lint=$?

race=-race
if [ "$(go env CGO_ENABLED)" != 1 ] || ! command -v "$(go env CC)" >/dev/null 2>&1; then
	race=
	echo "no C compiler: testing WITHOUT the race detector; install the Debian packages gcc and libc6-dev"
fi

echo "== go test $race"
go test $race -timeout 15m "$@" ./...
status=$?

if [ $lint != 0 ]; then
	echo "the tests are above; lint has complaints, see its output before them"
	status=1
fi
exit $status
