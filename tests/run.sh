#!/usr/bin/env bash
# Builds everything and runs all tests, from nothing but a Debian 12 machine; the last line reads "N passed, N failed".
#
#   tests/run.sh [PRESET]     PRESET: release (default), dev, asan-ubsan, tsan
#
# FILO_DEPS_DIR   where LibTorch is (default /opt/filo), see docker/install-deps.sh
set -euo pipefail
cd "$(dirname "$0")/.."
preset=${1:-release}
docker/install-deps.sh test
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
cmake --preset "$preset" -DFILO_DEPS_DIR="${FILO_DEPS_DIR:-/opt/filo}" >/dev/null
cmake --build --preset "$preset"
log=build/$preset/ctest.log
status=0
ctest --preset "$preset" --parallel 2 2>&1 | tee "$log" || status=$?
# ctest's own summary line: "98% tests passed, 2 tests failed out of 130"
read -r failed total < <(sed -nE 's/.* tests passed, ([0-9]+) tests failed out of ([0-9]+)/\1 \2/p' "$log" | tail -n 1) || true
[ -n "${total:-}" ] || { echo "no test was run"; echo "0 passed, 1 failed"; exit 1; }
skipped=$(grep -c '\*\*\*Skipped' "$log" || true)
echo "$((total - failed - skipped)) passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
exit "$status"
