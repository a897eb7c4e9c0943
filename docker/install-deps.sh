#!/usr/bin/env bash
# Installs everything that building and testing FiLo Server needs on Debian 12: apt packages, and out of PyPI's
# wheels, pinned by version and hash, LibTorch, Google's .proto files and the tests' tools. People, CI and the images
# all run this script.
#
#   docker/install-deps.sh [build|test]     build (default): compile and run; test: also what only the tests use
#
# FILO_DEPS_DIR   where LibTorch and the other wheels go (default /opt/filo)
# Idempotent: what is there already is left alone. Needs root for apt only when a package is missing.
set -euo pipefail
what=${1:-build}
prefix=${FILO_DEPS_DIR:-/opt/filo}
here=$(cd "$(dirname "$0")" && pwd)
say() { printf 'install-deps: %s\n' "$*"; }
case $what in build|test) ;; *) echo "usage: $0 [build|test]" >&2; exit 2 ;; esac

packages=$(sed -E 's/#.*//; /^\s*$/d' "$here/apt-build.txt")
[ "$what" = test ] && packages+=" $(sed -E 's/#.*//; /^\s*$/d' "$here/apt-test.txt")"
missing=()
for p in $packages; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
  say "apt: all packages are installed"
else
  [ "$(id -u)" = 0 ] || { say "apt: ${missing[*]} missing; run this once as root" >&2; exit 1; }
  say "apt: installing ${#missing[@]} packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# install_wheels FILE TARGET: the pinned wheels of FILE unpacked below TARGET, unless exactly these are there already.
install_wheels() {
  local list=$1 target=$2 stamp
  stamp=$(sha256sum "$list" | cut -d' ' -f1)
  if [ "$(cat "$target/.stamp" 2>/dev/null || true)" = "$stamp" ]; then
    say "wheels: $target is up to date"
    return
  fi
  say "wheels: installing $(basename "$list") into $target"
  rm -rf "$target.new"
  mkdir -p "$(dirname "$target")"
  /usr/bin/python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps --no-compile \
    --only-binary=:all: --no-cache-dir --require-hashes --target "$target.new" -r "$list"
  echo "$stamp" >"$target.new/.stamp"
  rm -rf "$target"
  mv "$target.new" "$target"
}
install_wheels "$here/python-requirements.txt" "$prefix/torch"
install_wheels "$here/proto-requirements.txt" "$prefix/protos"
[ "$what" = build ] || install_wheels "$here/test-tools-requirements.txt" "$prefix/test-tools"
say "done"
