// Multi-scale deformable attention (Zhu et al. 2021, Deformable DETR): each query reads a few points of every
// level, at learned offsets from its reference, by bilinear interpolation. Const methods are thread-safe;
// differentiable.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/model/grounding/level.h"
#include "server/model/layers.h"
#include "server/model/weights.h"

namespace filo::model {

// Weighted sum of bilinear samples. value [batch, tokens of all levels, heads, head width]; locations [batch,
// queries, heads, levels, points, 2], (x, y) in units of a level's width and height, pixel centres at (i +
// 0.5) / size, zero outside; weights [batch, queries, heads, levels, points]. Gives [batch, queries, heads *
// head width].
//
// SampleLevelsPortable is made of ATen operators: any device and type, differentiable. SampleLevels gives the
// same by a kernel of our own on the CPU (float32, float64) when no gradient is asked for, else it calls the
// portable one.
at::Tensor SampleLevels(const at::Tensor& value, const std::vector<Level>& levels,
                        const at::Tensor& locations, const at::Tensor& weights);
at::Tensor SampleLevelsPortable(const at::Tensor& value, const std::vector<Level>& levels,
                                const at::Tensor& locations, const at::Tensor& weights);

class DeformableAttention {
 public:
  // Takes PREFIX.{sampling_offsets,attention_weights,value_proj,output_proj}.*.
  DeformableAttention(WeightReader& reader, const bundle::Grounding& sizes, const std::string& prefix);

  // query [batch, queries, hidden]; memory [batch, tokens of all levels, hidden]. `references` is either
  // [batch or 1, queries, 2], points (x, y) in [0, 1] whose offsets count in pixels of each level, or [batch,
  // queries, 4], boxes (cx, cy, w, h) whose offsets count in halves of the box divided by the number of
  // points.
  at::Tensor operator()(const at::Tensor& query, const at::Tensor& references, const at::Tensor& memory,
                        const std::vector<Level>& levels) const;

 private:
  std::int64_t heads_;
  std::int64_t levels_;
  std::int64_t points_;
  Linear sampling_offsets_, attention_weights_, value_, output_;
};

}  // namespace filo::model
