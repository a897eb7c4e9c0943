// The two layers that every network here is made of. Plain values over at::Tensor: usable under InferenceMode
// and with autograd alike (training/ simply marks the members as requiring a gradient).
#pragma once

#include <cstdint>
#include <string>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/weights.h"

namespace filo::model {

// y = x W^T + b over the last dimension.
struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out]; undefined = none

  // Takes `prefix`.weight and, with `has_bias`, `prefix`.bias.
  static Linear Take(WeightReader& reader, const std::string& prefix, std::int64_t in, std::int64_t out,
                     bool has_bias = true);
  at::Tensor operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }
};

// Over the last dimension, biased variance.
struct LayerNorm {
  at::Tensor weight;  // [width]
  at::Tensor bias;    // [width]
  double eps = 1e-5;

  // Takes `prefix`.weight and `prefix`.bias.
  static LayerNorm Take(WeightReader& reader, const std::string& prefix, std::int64_t width, double eps);
  at::Tensor operator()(const at::Tensor& x) const {
    return at::layer_norm(x, weight.sizes(), weight, bias, eps);
  }
};

// Exact GELU (erf) or x * sigmoid(1.702 x), as the manifest says; never the tanh approximation.
at::Tensor Activate(const at::Tensor& x, bundle::Activation activation);

// x / |x| over `dim`, without an epsilon: the reference divides by the plain norm.
at::Tensor L2Normalise(const at::Tensor& x, std::int64_t dim = -1);

}  // namespace filo::model
