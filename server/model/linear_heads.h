// The plain heads that the released code has beside MMCI: one Linear patch width -> text width per stored
// token list.
//
// Source: released code only; spec sections 7 and 9.1. Tensor names are FiLo's (decoder_linear.fc.N).
// Plain values; const methods are thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "ATen/ATen.h"
#include "server/model/layers.h"
#include "server/model/weights.h"

namespace filo::model {

struct LinearHeads {
  std::vector<Linear> heads;

  static LinearHeads Take(WeightReader& reader, int count, std::int64_t patch_width, std::int64_t text_width);
  // One [patches, text width] per head, before normalisation, of one [patches, patch width] per head.
  std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& patches) const;
};

}  // namespace filo::model
