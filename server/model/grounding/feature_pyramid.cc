#include "server/model/grounding/feature_pyramid.h"

#include "fmt/format.h"
#include "server/model/grounding/position_encoding.h"
#include "server/model/swin.h"

namespace filo::model {
namespace {

constexpr std::int64_t kGroups = 32;
constexpr double kGroupNormEps = 1e-5;

}  // namespace

std::vector<std::int64_t> BackboneChannels(const bundle::Grounding& sizes, std::int64_t tower_width) {
  if (sizes.backbone == bundle::GroundingBackbone::kSwin) return Swin::OutputChannels(sizes.swin);
  return {static_cast<std::int64_t>(sizes.tower_taps.size()) * tower_width};
}

FeaturePyramid::FeaturePyramid(WeightReader& reader, const bundle::Grounding& sizes, std::int64_t tower_width)
    : first_extra_reads_backbone_(sizes.backbone == bundle::GroundingBackbone::kSwin) {
  const std::vector<std::int64_t> channels = BackboneChannels(sizes, tower_width);
  maps_ = channels.size();
  const std::int64_t hidden = sizes.hidden;
  for (std::size_t level = 0; level < static_cast<std::size_t>(sizes.levels); ++level) {
    const bool extra = level >= maps_;
    const std::int64_t side = extra ? 3 : 1;
    std::int64_t in = hidden;
    if (!extra) in = channels[level];
    if (level == maps_ && first_extra_reads_backbone_) in = channels.back();
    const std::string name = fmt::format("input_proj.{}.", level);
    projections_.push_back({.weight = reader.Take(name + "0.weight", {hidden, in, side, side}),
                            .bias = reader.Take(name + "0.bias", {hidden}),
                            .norm_weight = reader.Take(name + "1.weight", {hidden}),
                            .norm_bias = reader.Take(name + "1.bias", {hidden})});
  }
  level_embed_ = reader.Take("transformer.level_embed", {sizes.levels, hidden});
}

ImageMemory FeaturePyramid::operator()(const std::vector<at::Tensor>& maps, Trace* trace) const {
  ImageMemory memory;
  std::vector<at::Tensor> tokens, positions;
  at::Tensor level_map;
  for (std::size_t level = 0; level < projections_.size(); ++level) {
    const Projection& p = projections_[level];
    if (level < maps_) {
      level_map = at::conv2d(maps[level], p.weight, p.bias);
    } else {
      const bool from_backbone = level == maps_ && first_extra_reads_backbone_;
      level_map = at::conv2d(from_backbone ? maps.back() : level_map, p.weight, p.bias, {2, 2}, {1, 1});
    }
    level_map = at::group_norm(level_map, kGroups, p.norm_weight, p.norm_bias, kGroupNormEps);
    const std::int64_t hidden = level_map.size(1), rows = level_map.size(2), columns = level_map.size(3);
    const at::Tensor sines = ImagePositions(rows, columns, hidden, level_map.options());
    if (trace != nullptr) {
      Record(trace, fmt::format("gdino.input_proj.{}", level), level_map[0]);
      Record(trace, fmt::format("gdino.pos.{}", level), sines.t().reshape({hidden, rows, columns}));
    }
    memory.levels.push_back({rows, columns});
    tokens.push_back(level_map.flatten(2).transpose(1, 2));
    positions.push_back(sines + level_embed_[static_cast<std::int64_t>(level)]);
  }
  memory.tokens = at::cat(tokens, 1);
  memory.positions = at::cat(positions);
  return memory;
}

}  // namespace filo::model
