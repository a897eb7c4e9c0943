// The CPU kernel behind SampleLevels (deformable_attention.h). Not for use elsewhere.
#pragma once

#include <vector>

#include "ATen/ATen.h"
#include "server/model/grounding/level.h"

namespace filo::model {

// Arguments as for SampleLevels, contiguous, on the CPU, all float32 or all float64. The order of every sum
// is fixed: neither the number of threads nor the batch changes a bit of the result.
at::Tensor SampleLevelsOnCpu(const at::Tensor& value, const std::vector<Level>& levels,
                             const at::Tensor& locations, const at::Tensor& weights);

}  // namespace filo::model
