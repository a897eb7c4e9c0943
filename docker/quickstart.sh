#!/usr/bin/env bash
# From a bare Debian 12 machine to an answer about real photographs: installs what is missing, builds, makes a model
# bundle, starts the server on a free loopback port, asks it about four hazelnuts and shows scores, boxes and heat maps.
#
#   docker/quickstart.sh [PHOTO...]     default: the photographs of tests/data/hazelnut
#
# FILO_DEPS_DIR   where LibTorch is (default /opt/filo), see docker/install-deps.sh
# FILO_OUT        where the heat maps and the report go (default build/quickstart)
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\n== %s\n' "$*"; }

say "Dependencies"
docker/install-deps.sh test

say "Build (some minutes the first time; later ones come out of ccache)"
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1
cmake --preset release -DFILO_DEPS_DIR="${FILO_DEPS_DIR:-/opt/filo}" >/dev/null
cmake --build --preset release --target filo-server filo-client filo-bundle make_golden_bundle
bin=build/release/bin
out=${FILO_OUT:-build/quickstart}
mkdir -p "$out"

say "Model bundle"
bundle=$out/golden-tiny-paper
[ -f "$bundle/manifest.json" ] || "$bin/make_golden_bundle" tiny --profile paper --out "$bundle" 2>/dev/null
"$bin/filo-bundle" verify "$bundle"
echo "This bundle holds seeded RANDOM weights: it shows the whole pipeline at work, its verdicts mean nothing."

say "Server"
rm -f "$out/ports.json"
"$bin/filo-server" --bundle "$bundle" --listen 127.0.0.1:0 --metrics 127.0.0.1:0 \
  --port-file "$out/ports.json" --log-file "$out/server.log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
for _ in $(seq 600); do
  [ -s "$out/ports.json" ] && break
  kill -0 "$server" 2>/dev/null || { echo "filo-server ended; see $out/server.log" >&2; exit 1; }
  sleep 0.1
done
address=$(sed -nE 's/.*"listen":"([^"]+)".*/\1/p' "$out/ports.json")
[ -n "$address" ] || { echo "filo-server did not become ready within a minute; see $out/server.log" >&2; exit 1; }

say "Photographs"
[ $# -gt 0 ] || set -- tests/data/hazelnut/good/*.jpg tests/data/hazelnut/colour/*.jpg
"$bin/filo-client" detect --server "$address" --category hazelnut --times \
  --heatmap-dir "$out/heatmaps" --report "$out/report.html" "$@"
echo
echo "Heat maps: $out/heatmaps/   Report with all of them, for a browser: $out/report.html"
