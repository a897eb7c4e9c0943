// Which tensors a bundle must hold, by name and shape, computed from the manifest's sizes alone (layout.md).
// What lets `filo-bundle verify` and the importers account for every tensor without building a network.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/bundle/manifest.h"
#include "server/bundle/tensor_file.h"

namespace filo::bundle {

using Shapes = std::map<std::string, std::vector<std::int64_t>, std::less<>>;

// By role: "image_text_tower", "filo" and, with has_grounding, "grounding". `manifest` must have passed
// CheckSizes.
std::map<std::string, Shapes> ExpectedTensors(const Manifest& manifest);

Shapes ExpectedImageTower(const ImageTower& tower);  // names begin with "visual."
Shapes ExpectedTextTower(const TextTower& tower);
Shapes ExpectedFilo(const Manifest& manifest);
Shapes ExpectedGrounding(const Manifest& manifest);
// Names without prefix: "embeddings.word_embeddings.weight", "encoder.layer.0...."; no pooler.
Shapes ExpectedBert(int vocabulary, int width, int layers, int mlp_width, int positions, int types);
// "patch_embed....", "layers.0.blocks.0....", "norm1....".
Shapes ExpectedSwin(const Swin& swin);

// Every difference between what is there and what must be: missing, surplus, mis-shaped, not floating-point.
// Empty if there is none; each a phrase that begins with the tensor's name.
std::vector<std::string> Differences(const TensorMap& tensors, const Shapes& expected);

}  // namespace filo::bundle
