#include "server/model/layers.h"

namespace filo::model {

Linear Linear::Take(WeightReader& reader, const std::string& prefix, std::int64_t in, std::int64_t out,
                    bool has_bias) {
  Linear layer;
  layer.weight = reader.Take(prefix + ".weight", {out, in});
  if (has_bias) layer.bias = reader.Take(prefix + ".bias", {out});
  return layer;
}

LayerNorm LayerNorm::Take(WeightReader& reader, const std::string& prefix, std::int64_t width, double eps) {
  LayerNorm layer;
  layer.weight = reader.Take(prefix + ".weight", {width});
  layer.bias = reader.Take(prefix + ".bias", {width});
  layer.eps = eps;
  return layer;
}

at::Tensor Activate(const at::Tensor& x, bundle::Activation activation) {
  if (activation == bundle::Activation::kQuickGelu) return x * at::sigmoid(1.702 * x);
  return at::gelu(x, "none");
}

at::Tensor L2Normalise(const at::Tensor& x, std::int64_t dim) {
  return x / at::linalg_vector_norm(x, 2, at::IntArrayRef{dim}, /*keepdim=*/true);
}

}  // namespace filo::model
