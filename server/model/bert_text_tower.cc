#include "server/model/bert_text_tower.h"

namespace filo::model {
namespace {

bundle::Bert SizesOf(const bundle::TextTower& manifest) {
  bundle::Bert sizes;
  sizes.vocabulary = manifest.vocabulary;
  sizes.width = manifest.width;
  sizes.layers = manifest.layers;
  sizes.heads = manifest.heads;
  sizes.mlp_width = manifest.mlp_width;
  sizes.max_positions = manifest.context_length;
  sizes.layer_norm_eps = manifest.layer_norm_eps;
  return sizes;
}

}  // namespace

BertTextTower::BertTextTower(WeightReader& reader, const bundle::TextTower& manifest)
    : bert_(reader, SizesOf(manifest), "text.") {}

at::Tensor BertTextTower::Embed(const at::Tensor& ids) const { return bert_.Embed(ids); }

at::Tensor BertTextTower::Encode(const at::Tensor& embeddings, const at::Tensor& lengths,
                                 Trace* trace) const {
  Record(trace, "text.prompt0.embed", embeddings[0]);
  const at::Tensor ends = lengths.to(embeddings.device()).unsqueeze(1);  // [prompts, 1]
  const at::Tensor places = at::arange(embeddings.size(1), ends.options()).unsqueeze(0);
  const at::Tensor is_token = places < ends;  // [prompts, tokens]
  const at::Tensor states =
      bert_.Encode(embeddings, places.expand({embeddings.size(0), -1}), is_token.unsqueeze(1).unsqueeze(1));
  return (states * is_token.unsqueeze(-1)).sum(1) / ends;
}

}  // namespace filo::model
