#include "server/model/grounding/deformable_attention.h"

#include "ATen/core/grad_mode.h"
#include "server/model/grounding/sample_levels_kernel.h"

namespace filo::model {
namespace {

bool NeedsGradient(const at::Tensor& tensor) { return at::GradMode::is_enabled() && tensor.requires_grad(); }

}  // namespace

at::Tensor SampleLevelsPortable(const at::Tensor& value, const std::vector<Level>& levels,
                                const at::Tensor& locations, const at::Tensor& weights) {
  constexpr int kBilinear = 0, kZeros = 0;
  const std::int64_t batch = value.size(0), heads = value.size(2), width = value.size(3);
  const std::int64_t queries = locations.size(1);
  const at::Tensor grids = 2 * locations - 1;
  std::vector<at::Tensor> sampled;  // each [batch * heads, width, queries, points]
  std::int64_t first = 0;
  for (std::size_t l = 0; l < levels.size(); ++l) {
    const at::Tensor map = value.narrow(1, first, levels[l].tokens())
                               .permute({0, 2, 3, 1})
                               .reshape({batch * heads, width, levels[l].rows, levels[l].columns});
    const at::Tensor grid = grids.select(3, static_cast<std::int64_t>(l)).transpose(1, 2).flatten(0, 1);
    sampled.push_back(at::grid_sampler(map, grid, kBilinear, kZeros, /*align_corners=*/false));
    first += levels[l].tokens();
  }
  const at::Tensor flat_weights = weights.transpose(1, 2).reshape({batch * heads, 1, queries, -1});
  const at::Tensor sum = (at::stack(sampled, -2).flatten(-2) * flat_weights).sum(-1);
  return sum.view({batch, heads * width, queries}).transpose(1, 2).contiguous();
}

at::Tensor SampleLevels(const at::Tensor& value, const std::vector<Level>& levels,
                        const at::Tensor& locations, const at::Tensor& weights) {
  const bool plain =
      value.is_cpu() && (value.scalar_type() == at::kFloat || value.scalar_type() == at::kDouble);
  if (!plain || NeedsGradient(value) || NeedsGradient(locations) || NeedsGradient(weights)) {
    return SampleLevelsPortable(value, levels, locations, weights);
  }
  return SampleLevelsOnCpu(value.contiguous(), levels, locations.contiguous(), weights.contiguous());
}

DeformableAttention::DeformableAttention(WeightReader& reader, const bundle::Grounding& sizes,
                                         const std::string& prefix)
    : heads_(sizes.heads), levels_(sizes.levels), points_(sizes.points) {
  const std::int64_t samples = heads_ * levels_ * points_, hidden = sizes.hidden;
  sampling_offsets_ = Linear::Take(reader, prefix + ".sampling_offsets", hidden, 2 * samples);
  attention_weights_ = Linear::Take(reader, prefix + ".attention_weights", hidden, samples);
  value_ = Linear::Take(reader, prefix + ".value_proj", hidden, hidden);
  output_ = Linear::Take(reader, prefix + ".output_proj", hidden, hidden);
}

at::Tensor DeformableAttention::operator()(const at::Tensor& query, const at::Tensor& references,
                                           const at::Tensor& memory, const std::vector<Level>& levels) const {
  const std::int64_t batch = query.size(0), queries = query.size(1);
  const at::Tensor value = value_(memory).view({batch, memory.size(1), heads_, -1});
  const at::Tensor offsets = sampling_offsets_(query).view({batch, queries, heads_, levels_, points_, 2});
  const at::Tensor weights = attention_weights_(query)
                                 .view({batch, queries, heads_, levels_ * points_})
                                 .softmax(-1)
                                 .view({batch, queries, heads_, levels_, points_});
  const at::Tensor centres = references.slice(-1, 0, 2).view({references.size(0), queries, 1, 1, 1, 2});
  at::Tensor locations;
  if (references.size(-1) == 2) {
    std::vector<double> sizes;  // (columns, rows) of each level
    for (const Level& level : levels) {
      sizes.push_back(static_cast<double>(level.columns));
      sizes.push_back(static_cast<double>(level.rows));
    }
    locations = centres + offsets / at::tensor(sizes, query.options()).view({levels_, 1, 2});
  } else {
    const at::Tensor extents = references.slice(-1, 2, 4).view({references.size(0), queries, 1, 1, 1, 2});
    locations = centres + offsets / static_cast<double>(points_) * extents * 0.5;
  }
  return output_(SampleLevels(value, levels, locations, weights));
}

}  // namespace filo::model
