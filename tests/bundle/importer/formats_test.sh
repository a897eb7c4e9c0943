#!/usr/bin/env bash
# Every published format of the same weights, written by the real PyTorch, becomes a bundle with the same digest.
#
#   formats_test.sh FILO_BUNDLE MAKE_GOLDEN_BUNDLE WORK_DIRECTORY [tiny|full]
#
# FILO_TORCH_PYTHON: a Python that has PyTorch and NumPy. Without one the test is skipped (exit code 77).
set -euo pipefail
filo_bundle=$1 make_golden_bundle=$2 work=$3 size=${4:-tiny}
here=$(cd "$(dirname "$0")" && pwd)
python=${FILO_TORCH_PYTHON:-}
[ -n "$python" ] || { echo "skipped: FILO_TORCH_PYTHON is not set"; exit 77; }
rm -rf "$work" && mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
"$make_golden_bundle" "$size" --profile released --out "$work/golden" >/dev/null 2>&1
"$python" "$here/write_formats.py" "$work/golden" "$work/formats"
"$python" - "$work" <<'PYTHON'
import json, sys
manifest = json.load(open(sys.argv[1] + "/golden/manifest.json"))
manifest["files"] = {}
json.dump(manifest, open(sys.argv[1] + "/template.json", "w"))
PYTHON
vocab=$here/../../data/vocab
digest() {  # CLIP FILO GROUNDING
  "$filo_bundle" import --manifest "$work/template.json" --clip "$1" --filo "$2" --grounding "$3" --dtype f32 --out "$work/out" \
    --clip-vocabulary "$vocab/clip_bpe_simple_vocab_16e6.txt.gz" --bert-vocabulary "$vocab/bert_base_uncased_vocab.txt" |
    sed 's/.*digest //'
}
g=$work/golden f=$work/formats
wanted=$(digest "$g/clip.safetensors" "$g/filo.safetensors" "$g/grounding.safetensors")
failed=0 count=0
check() {  # NAME CLIP FILO GROUNDING
  local got
  got=$(digest "$2" "$3" "$4") || got=failed
  count=$((count + 1))
  [ "$got" = "$wanted" ] || { echo "$1 gives $got, not $wanted"; failed=1; }
}
for c in "$f"/clip_*; do check "$c" "$c" "$g/filo.safetensors" "$g/grounding.safetensors"; done
check filo_train_on_x.pth "$g/clip.safetensors" "$f/filo_train_on_x.pth" "$g/grounding.safetensors"
for c in "$f"/grounding*; do check "$c" "$g/clip.safetensors" "$g/filo.safetensors" "$c"; done
[ "$count" -eq 10 ] || { echo "only $count formats were written"; failed=1; }
[ "$failed" -eq 0 ] && echo "$count formats give digest $wanted"
exit "$failed"
