#!/usr/bin/env bash
# Lints the contract with buf: STANDARD rules, and a comment on everything.
#
#   tests/proto/lint.sh PROTOC GOOGLE_PROTOS BUF
#
# The lint must also be able to fail: the same files with one comment taken out and one field renamed are refused.
set -euo pipefail
protoc=$1 google=$2 buf=$3
proto=$(cd "$(dirname "$0")/../../proto" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work

lint() {  # lint DIR: compiles with our protoc, so that buf needs no network and no copy of Google's files
  (cd "$1" && "$protoc" -I . -I "$google" --include_imports --include_source_info \
    --descriptor_set_out="$work/all.binpb" filo/v1/*.proto)
  "$buf" lint "$work/all.binpb" --config "$proto/buf.yaml" --path filo/v1
}

lint "$proto"

cp -r "$proto" "$work/bad"
sed -i -e 's/double global_score = 3/double GlobalScore = 3/' -e '/Raw anomaly score; larger/,+1d' "$work/bad/filo/v1/result.proto"
if found=$(lint "$work/bad"); then
  echo "buf accepted a contract that breaks the rules"
  exit 1
fi
for complaint in 'should be lower_snake_case' 'should have a non-empty comment'; do
  grep -q -e "$complaint" <<<"$found" || { echo "buf did not say '$complaint': $found"; exit 1; }
done
echo "the contract is clean"
