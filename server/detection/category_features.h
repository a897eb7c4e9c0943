// Everything that a category contributes to a detection without looking at the image, computed once and
// cached (spec section 3, "Exact savings").
//
// Plain values, immutable once shared.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "absl/status/statusor.h"
#include "server/category/category.h"
#include "server/detection/networks.h"
#include "server/model/trace.h"
#include "server/text/caption.h"

namespace filo::detection {

// Tokenised prompts, padded to the longest of them.
struct PromptIds {
  at::Tensor ids;      // int64 [prompts, tokens], on the networks' device
  at::Tensor lengths;  // int64 [prompts], on the CPU: tokens up to and including the end token
};

struct CategoryFeatures {
  // HQ-Loc; empty without grounding.
  std::vector<std::string> words;  // general words and descriptions, in the caption's order
  text::Caption caption;
  model::GroundingText grounding;  // the caption behind BERT and its projection

  // FG-Des without a meta-net: constants of the category, unit vectors.
  at::Tensor normal;    // F_n [C]
  at::Tensor abnormal;  // F_a [positions + 1, C]: of each position, then over all of them

  // FG-Des with a meta-net: the prompts, whose context the image will shift.
  PromptIds normal_prompts;
  std::vector<PromptIds> abnormal_prompts;  // one per position

  std::size_t bytes() const;  // about what this takes in memory
};

// Trace: gdino.{input_ids,position_ids,text_mask,bert,feat_map}.
// Errors: kInvalidArgument naming the category's field: an empty class name, a prompt or caption that is too
// long.
absl::StatusOr<CategoryFeatures> MakeCategoryFeatures(const Networks& networks,
                                                      const category::Category& category,
                                                      model::Trace* trace = nullptr);

// The text rows that patches and image are compared with, [F_n; F_a(position)] [2, C]. `position` none: over
// all positions. `adapted` [C] is the adapted, L2-normalised global feature, read by the meta-nets. Unit
// vectors in `paper`; in `released` divided by their Frobenius norm. Trace: text.prompt0.*, text.normal,
// filo.meta_normal|abnormal (with a meta-net), text.F_n, text.rows.
at::Tensor TextRows(const Networks& networks, const CategoryFeatures& features, std::optional<int> position,
                    const at::Tensor& adapted, model::Trace* trace);

// Names a category's features in a cache: equal for two categories exactly if every text that goes into the
// features is.
std::string FeatureKey(const category::Category& category);

}  // namespace filo::detection
