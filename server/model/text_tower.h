// What prompts go through: a text tower that also takes learned vectors in place of some tokens (FG-Des, spec
// section 3). Immutable after loading; thread-safe.
#pragma once

#include <cstdint>

#include "ATen/ATen.h"
#include "server/model/trace.h"

namespace filo::model {

class TextTower {
 public:
  virtual ~TextTower() = default;

  // Token embeddings [prompts, tokens, width], positions not yet added, of int64 ids [prompts, tokens].
  virtual at::Tensor Embed(const at::Tensor& ids) const = 0;

  // Features [prompts, output_width], not normalised, of prompts given as token embeddings. `lengths` (int64
  // [prompts], on the CPU) counts each prompt's tokens, start and end included; what stands behind has no
  // influence, so `embeddings` may be cut to the longest prompt. Trace (first prompt): text.prompt0.embed,
  // text.prompt0.blockK of the first and last block.
  virtual at::Tensor Encode(const at::Tensor& embeddings, const at::Tensor& lengths, Trace* trace) const = 0;
};

}  // namespace filo::model
