#!/usr/bin/env bash
# Checks what a reviewer should not have to: formatting, shell scripts, protos, and what must not be committed.
#
#   tests/lint/run.sh format|shell|files|tidy [FILE...]
#
# tidy runs clang-tidy over the given files (default: all of server/ and client/) with the compilation database of
# build/release; it takes minutes, so it is not part of the default test run.
set -euo pipefail
cd "$(dirname "$0")/../.."
what=${1:?"usage: $0 format|shell|files|tidy [FILE...]"}
shift
tracked() { git ls-files --cached --others --exclude-standard -- "$@"; }
case $what in
  format)
    # One version of clang-format, since each formats a little differently; Debian 12's is 14.
    tracked '*.cc' '*.h' | xargs --no-run-if-empty clang-format-14 --dry-run --Werror
    ;;
  shell)
    { tracked '*.sh'; echo .ci/run; } | xargs shellcheck --severity=warning
    ;;
  files)
    # Nothing large, and the tests' data under 25 MB in all.
    large=$(tracked | while read -r f; do [ "$(stat -c %s "$f")" -le 6000000 ] || echo "$f"; done)
    [ -z "$large" ] || { echo "over 6 MB: $large"; exit 1; }
    bytes=$(tracked tests | xargs -d '\n' stat -c %s | awk '{n += $1} END {print n}')
    echo "tests/ holds $bytes bytes"
    [ "$bytes" -lt 25000000 ] || { echo "tests/ must stay under 25 MB"; exit 1; }
    ;;
  tidy)
    [ -f build/release/compile_commands.json ] || { echo "configure first: cmake --preset release"; exit 2; }
    { if [ $# -gt 0 ]; then printf '%s\n' "$@"; else tracked 'server/*.cc' 'client/*.cc'; fi; } |
      xargs --max-args 1 --max-procs 2 clang-tidy-14 --quiet -p build/release
    ;;
  *) echo "usage: $0 format|shell|files|tidy [FILE...]" >&2; exit 2 ;;
esac
