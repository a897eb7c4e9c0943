#include "server/detection/category_features.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "server/base/sha256.h"
#include "server/base/status.h"
#include "server/model/maps.h"
#include "server/text/prompts.h"

namespace filo::detection {
namespace {

using model::MeanDirection;

absl::StatusOr<PromptIds> Tokenise(const Networks& n, const std::vector<std::string>& sentences) {
  std::vector<std::vector<std::int64_t>> rows;
  std::size_t longest = 0;
  for (const std::string& sentence : sentences) {
    FILO_ASSIGN_OR_RETURN(std::vector<std::int64_t> ids,
                          text::EncodePrompt(*n.prompt_tokenizer, n.manifest().prompts.context_vectors,
                                             sentence, n.manifest().text_tower.context_length));
    longest = std::max(longest, ids.size());
    rows.push_back(std::move(ids));
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  at::Tensor ids = at::zeros({count, static_cast<std::int64_t>(longest)}, at::kLong);
  at::Tensor lengths = at::empty({count}, at::kLong);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    std::copy(rows[row].begin(), rows[row].end(), ids.data_ptr<std::int64_t>() + row * longest);
    lengths.data_ptr<std::int64_t>()[row] = static_cast<std::int64_t>(rows[row].size());
  }
  return PromptIds{.ids = ids.to(n.device), .lengths = lengths};
}

// Prompts through the text tower, the context vectors in place of the first words: [prompts, C], not
// normalised.
at::Tensor Encode(const Networks& n, const model::PromptLearner& learner, const PromptIds& prompts,
                  const at::Tensor& shift, model::Trace* trace) {
  return n.text_tower->Encode(learner.Insert(n.text_tower->Embed(prompts.ids), shift), prompts.lengths,
                              trace);
}

absl::Status MakeCaption(const Networks& n, const category::Category& category, CategoryFeatures& features,
                         model::Trace* trace) {
  const bundle::Manifest& m = n.manifest();
  features.words = text::GroundingWords(m.prompts, category);
  FILO_ASSIGN_OR_RETURN(features.caption, text::MakeCaptionWithin(*n.caption_tokenizer, features.words,
                                                                  m.grounding.max_text_tokens));
  features.grounding = n.grounding->EncodeText(features.caption, trace);
  return absl::OkStatus();
}

// F_n, and F_a of every position and over all.
void ComputeDirections(const Networks& n, const PromptIds& normal, const std::vector<PromptIds>& abnormal,
                       CategoryFeatures& features) {
  features.normal = MeanDirection(Encode(n, n.normal_prompts, normal, {}, nullptr));
  std::vector<at::Tensor> everywhere, directions;
  for (const PromptIds& prompts : abnormal) {
    everywhere.push_back(Encode(n, n.abnormal_prompts, prompts, {}, nullptr));
    directions.push_back(MeanDirection(everywhere.back()));
  }
  directions.push_back(MeanDirection(at::cat(everywhere)));
  features.abnormal = at::stack(directions);
}

std::size_t Bytes(const at::Tensor& tensor) { return tensor.defined() ? tensor.nbytes() : 0; }

std::size_t Bytes(const PromptIds& prompts) { return Bytes(prompts.ids) + Bytes(prompts.lengths); }

}  // namespace

std::size_t CategoryFeatures::bytes() const {
  std::size_t total = sizeof(*this) + Bytes(grounding.tokens) + Bytes(grounding.positions) +
                      Bytes(grounding.may_attend) + Bytes(normal) + Bytes(abnormal) + Bytes(normal_prompts) +
                      caption.ids.size() * (2 * sizeof(std::int64_t) + sizeof(text::TokenRange));
  for (const PromptIds& prompts : abnormal_prompts) total += Bytes(prompts);
  for (const std::string& word : words) total += sizeof(word) + 2 * word.size();
  return total;
}

absl::StatusOr<CategoryFeatures> MakeCategoryFeatures(const Networks& n, const category::Category& category,
                                                      model::Trace* trace) {
  const bundle::Manifest& m = n.manifest();
  if (category.class_name.empty()) {
    return FieldError("category.class_name", "", "name the product in words, e.g. \"metal nut\"");
  }
  CategoryFeatures features;
  if (m.has_grounding) FILO_RETURN_IF_ERROR(MakeCaption(n, category, features, trace));
  FILO_ASSIGN_OR_RETURN(PromptIds normal, Tokenise(n, text::NormalPrompts(m.prompts, category)));
  std::vector<PromptIds> abnormal;
  for (int position = 0; position < static_cast<int>(m.prompts.positions.size()); ++position) {
    FILO_ASSIGN_OR_RETURN(PromptIds prompts,
                          Tokenise(n, text::AbnormalPrompts(m.prompts, category, position)));
    abnormal.push_back(std::move(prompts));
  }
  if (m.prompts.meta_net) {
    features.normal_prompts = std::move(normal);
    features.abnormal_prompts = std::move(abnormal);
  } else {
    ComputeDirections(n, normal, abnormal, features);
  }
  return features;
}

at::Tensor TextRows(const Networks& n, const CategoryFeatures& features, std::optional<int> position,
                    const at::Tensor& adapted, model::Trace* trace) {
  at::Tensor normal, abnormal;
  if (!n.manifest().prompts.meta_net) {
    normal = features.normal;
    abnormal = features.abnormal[position.value_or(static_cast<int>(features.abnormal.size(0)) - 1)];
  } else {
    const at::Tensor normal_shift = n.normal_prompts.Shift(adapted),
                     abnormal_shift = n.abnormal_prompts.Shift(adapted);
    const at::Tensor normals = Encode(n, n.normal_prompts, features.normal_prompts, normal_shift, trace);
    normal = MeanDirection(normals);
    std::vector<at::Tensor> abnormals;
    for (int p = 0; p < static_cast<int>(features.abnormal_prompts.size()); ++p) {
      if (position.value_or(p) != p) continue;  // only the prompts of the position that was found
      const PromptIds& prompts = features.abnormal_prompts[static_cast<std::size_t>(p)];
      abnormals.push_back(Encode(n, n.abnormal_prompts, prompts, abnormal_shift, nullptr));
    }
    abnormal = MeanDirection(at::cat(abnormals));
    Record(trace, "text.normal", normals);
    Record(trace, "filo.meta_normal", normal_shift);
    Record(trace, "filo.meta_abnormal", abnormal_shift);
  }
  const at::Tensor rows = n.manifest().profile == bundle::Profile::kReleased
                              ? model::FrobeniusRows(normal, abnormal)
                              : at::stack({normal, abnormal});
  Record(trace, "text.F_n", normal);
  Record(trace, "text.rows", rows);
  return rows;
}

std::string FeatureKey(const category::Category& category) {
  // Lengths before texts, so that no two lists read alike.
  std::string all;
  const auto add = [&](const std::string& text) { all += fmt::format("{}:{}", text.size(), text); };
  add(category.class_name);
  for (const auto* list : {&category.descriptions, &category.grounding_descriptions, &category.normal_states,
                           &category.abnormal_states}) {
    all += fmt::format("[{}]", list->size());
    for (const std::string& text : *list) add(text);
  }
  return Sha256Hex(all);
}

}  // namespace filo::detection
