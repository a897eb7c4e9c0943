#include "server/model/prompt_learner.h"

namespace filo::model {
namespace {

constexpr std::int64_t kMetaNetReduction = 16;

}  // namespace

PromptLearner PromptLearner::Take(WeightReader& reader, const std::string& prefix, std::int64_t vectors,
                                  std::int64_t text_width, std::int64_t image_width, bool meta_net) {
  PromptLearner learner;
  learner.context = reader.Take(prefix + ".ctx", {vectors, text_width});
  learner.has_meta_net = meta_net;
  if (meta_net) {
    const std::int64_t inner = image_width / kMetaNetReduction;
    learner.meta_1 = Linear::Take(reader, prefix + ".meta_net.linear1", image_width, inner);
    learner.meta_2 = Linear::Take(reader, prefix + ".meta_net.linear2", inner, text_width);
  }
  return learner;
}

at::Tensor PromptLearner::Shift(const at::Tensor& image_feature) const {
  return meta_2(at::relu(meta_1(image_feature)));
}

at::Tensor PromptLearner::Insert(const at::Tensor& embeddings, const at::Tensor& shift) const {
  const std::int64_t vectors = context.size(0);
  const at::Tensor shifted = shift.defined() ? context + shift : context;
  return at::cat({embeddings.slice(1, 0, 1), shifted.expand({embeddings.size(0), -1, -1}),
                  embeddings.slice(1, 1 + vectors)},
                 1);
}

}  // namespace filo::model
