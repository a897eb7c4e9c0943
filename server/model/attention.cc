#include "server/model/attention.h"

namespace filo::model {

at::Tensor Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                  const at::Tensor& may_attend) {
  const auto split = [heads](const at::Tensor& x) { return x.unflatten(-1, {heads, -1}).transpose(1, 2); };
  const c10::optional<at::Tensor> mask = may_attend.defined() ? c10::make_optional(may_attend) : c10::nullopt;
  return at::scaled_dot_product_attention(split(q), split(k), split(v), mask).transpose(1, 2).flatten(2);
}

MultiHeadAttention MultiHeadAttention::Take(WeightReader& reader, const std::string& prefix,
                                            std::int64_t width, std::int64_t heads) {
  MultiHeadAttention attention;
  attention.in_weight = reader.Take(prefix + ".in_proj_weight", {3 * width, width});
  attention.in_bias = reader.Take(prefix + ".in_proj_bias", {3 * width});
  attention.out = Linear::Take(reader, prefix + ".out_proj", width, width);
  attention.heads = heads;
  return attention;
}

at::Tensor MultiHeadAttention::operator()(const at::Tensor& query, const at::Tensor& key,
                                          const at::Tensor& value, const at::Tensor& may_attend) const {
  const std::int64_t width = out.weight.size(0);
  const auto project = [&](const at::Tensor& x, std::int64_t part) {
    return at::linear(x, in_weight.narrow(0, part * width, width), in_bias.narrow(0, part * width, width));
  };
  return out(Attend(project(query, 0), project(key, 1), project(value, 2), heads, may_attend));
}

}  // namespace filo::model
