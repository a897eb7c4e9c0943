// Multi-head attention as every transformer outside the CLIP towers uses it.
#pragma once

#include <cstdint>
#include <string>

#include "ATen/ATen.h"
#include "server/model/layers.h"
#include "server/model/weights.h"

namespace filo::model {

// softmax(q k^T / sqrt(width / heads)) v for each head, heads merged again: [batch, queries, width].
// q is [batch, queries, width], k and v are [batch, keys, width]. `may_attend` is bool, broadcastable to
// [batch, heads, queries, keys], true where a query may look; undefined = everywhere. Every query needs at
// least one key.
at::Tensor Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t heads,
                  const at::Tensor& may_attend = {});

// torch.nn.MultiheadAttention's layout: one stacked input projection (rows query, key, value), one output
// projection. Const methods are thread-safe.
struct MultiHeadAttention {
  at::Tensor in_weight;  // [3 * width, width]
  at::Tensor in_bias;    // [3 * width]
  Linear out;
  std::int64_t heads = 0;

  // Takes PREFIX.in_proj_weight, PREFIX.in_proj_bias and PREFIX.out_proj.
  static MultiHeadAttention Take(WeightReader& reader, const std::string& prefix, std::int64_t width,
                                 std::int64_t heads);
  // query [batch, queries, width]; key and value [batch, keys, width]; may_attend as in Attend.
  at::Tensor operator()(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                        const at::Tensor& may_attend = {}) const;
};

}  // namespace filo::model
