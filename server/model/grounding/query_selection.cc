#include "server/model/grounding/query_selection.h"

#include <algorithm>
#include <limits>

#include "fmt/format.h"

namespace filo::model {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// rows[b, index[b, q], :] of rows [batch, tokens, width].
at::Tensor GatherRows(const at::Tensor& rows, const at::Tensor& index) {
  return rows.gather(1, index.unsqueeze(-1).expand({index.size(0), index.size(1), rows.size(-1)}));
}

}  // namespace

Mlp Mlp::Take(WeightReader& reader, const std::string& prefix, const std::vector<std::int64_t>& widths) {
  Mlp mlp;
  for (std::size_t k = 0; k + 1 < widths.size(); ++k) {
    mlp.layers.push_back(
        Linear::Take(reader, fmt::format("{}.layers.{}", prefix, k), widths[k], widths[k + 1]));
  }
  return mlp;
}

at::Tensor Mlp::operator()(at::Tensor x) const {
  for (std::size_t k = 0; k < layers.size(); ++k) {
    x = layers[k](x);
    if (k + 1 < layers.size()) x = x.relu();
  }
  return x;
}

at::Tensor TokenLogits(const at::Tensor& features, const GroundingText& text) {
  const at::Tensor logits = at::matmul(features, text.tokens.transpose(1, 2));
  return text.is_token.defined() ? logits.masked_fill(~text.is_token.unsqueeze(1), -kInfinity) : logits;
}

Proposals MakeProposals(const std::vector<Level>& levels, const at::TensorOptions& options) {
  constexpr double kSmallestSide = 0.05, kMargin = 0.01;
  const at::TensorOptions single = options.dtype(at::kFloat);
  std::vector<at::Tensor> sides;
  double side = kSmallestSide;
  for (const Level& level : levels) {
    sides.push_back(at::full({level.tokens(), 2}, side, single));
    side *= 2;
  }
  const at::Tensor boxes = at::cat({TokenCentres(levels, single), at::cat(sides)}, -1);
  const at::Tensor is_valid = ((boxes > kMargin) & (boxes < 1 - kMargin)).all(-1, /*keepdim=*/true);
  const at::Tensor logits = at::log(boxes / (1 - boxes)).masked_fill(~is_valid, kInfinity);
  return {.logits = logits.to(options.dtype()), .is_valid = is_valid};
}

QuerySelection::QuerySelection(WeightReader& reader, const bundle::Grounding& sizes,
                               const std::string& prefix)
    : queries_(sizes.queries) {
  const std::int64_t hidden = sizes.hidden;
  output_ = Linear::Take(reader, prefix + "enc_output", hidden, hidden);
  output_norm_ = LayerNorm::Take(reader, prefix + "enc_output_norm", hidden, sizes.layer_norm_eps);
  box_head_ = Mlp::Take(reader, prefix + "enc_out_bbox_embed", {hidden, hidden, hidden, 4});
}

SelectedQueries QuerySelection::Select(const ImageMemory& image, const GroundingText& text,
                                       const std::vector<std::int64_t>* forced_index, Trace* trace) const {
  const Proposals proposals = MakeProposals(image.levels, image.tokens.options());
  // Tokens without a valid proposal are blanked, but still compete.
  const at::Tensor features = output_norm_(output_(image.tokens.masked_fill(~proposals.is_valid, 0)));
  const at::Tensor scores = std::get<0>(TokenLogits(features, text).max(-1));
  SelectedQueries selected;
  if (forced_index != nullptr) {
    selected.index = at::tensor(*forced_index, at::kLong).to(scores.device()).expand({scores.size(0), -1});
  } else {
    selected.index = std::get<1>(scores.topk(std::min(queries_, scores.size(1)), 1));
  }
  selected.features = GatherRows(features, selected.index);
  // Only the chosen tokens need their box refined.
  const at::Tensor anchors = proposals.logits.index_select(0, selected.index.flatten())
                                 .view({selected.index.size(0), selected.index.size(1), 4});
  selected.boxes = box_head_(selected.features) + anchors;
  if (trace != nullptr) {
    Record(trace, "gdino.enc_output", features[0]);
    Record(trace, "gdino.enc_class_max", scores[0]);
    Record(trace, "gdino.enc_bbox_delta", box_head_(features)[0]);
    Record(trace, "gdino.topk_index", selected.index[0]);
    Record(trace, "gdino.topk_scores", scores[0].index_select(0, selected.index[0]));
    Record(trace, "gdino.refpoints_unsigmoid", selected.boxes[0]);
  }
  return selected;
}

}  // namespace filo::model
