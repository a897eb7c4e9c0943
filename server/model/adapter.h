// The adapter on the global image feature: A = x + SiLU(W2 ReLU(W1 x)), no biases.
//
// Source: the paper's adapter for the global image feature; spec section 6. Tensor names are FiLo's
// (adapter.fc.0, adapter.fc.2). Plain values; const methods are thread-safe.
#pragma once

#include <cstdint>

#include "ATen/ATen.h"
#include "server/model/layers.h"
#include "server/model/weights.h"

namespace filo::model {

struct Adapter {
  Linear down;  // W1: C -> C / 2
  Linear up;    // W2: C / 2 -> C

  static Adapter Take(WeightReader& reader, std::int64_t width);
  // [..., C] -> [..., C], not normalised.
  at::Tensor operator()(const at::Tensor& x) const;
};

}  // namespace filo::model
