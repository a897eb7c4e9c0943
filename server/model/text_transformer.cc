#include "server/model/text_transformer.h"

#include <string>

#include "fmt/format.h"

namespace filo::model {

TextTransformer::TextTransformer(WeightReader& reader, const bundle::TextTower& manifest) {
  const BlockSizes sizes{.width = manifest.width,
                         .heads = manifest.heads,
                         .mlp_width = manifest.mlp_width,
                         .layer_norm_eps = manifest.layer_norm_eps,
                         .activation = manifest.activation};
  token_embedding_ = reader.Take("token_embedding.weight", {manifest.vocabulary, manifest.width});
  positions_ = reader.Take("positional_embedding", {manifest.context_length, manifest.width});
  for (int block = 0; block < manifest.layers; ++block) {
    blocks_.push_back(TransformerBlock::Take(reader, fmt::format("transformer.resblocks.{}", block), sizes));
  }
  ln_final_ = LayerNorm::Take(reader, "ln_final", manifest.width, manifest.layer_norm_eps);
  projection_ = reader.Take("text_projection", {manifest.width, manifest.output_width});
}

at::Tensor TextTransformer::Embed(const at::Tensor& ids) const {
  return at::embedding(token_embedding_, ids);
}

at::Tensor TextTransformer::Encode(const at::Tensor& embeddings, const at::Tensor& lengths,
                                   Trace* trace) const {
  Record(trace, "text.prompt0.embed", embeddings[0]);
  at::Tensor x = embeddings + positions_.slice(0, 0, embeddings.size(1));
  for (std::size_t block = 0; block < blocks_.size(); ++block) {
    x = blocks_[block](x, /*causal=*/true);
    if (trace != nullptr && (block == 0 || block + 1 == blocks_.size())) {
      Record(trace, fmt::format("text.prompt0.block{}", block + 1), x[0]);
    }
  }
  const at::Tensor ends = (lengths - 1).to(x.device());
  const at::Tensor prompts = at::arange(x.size(0), ends.options());
  return at::matmul(ln_final_(x.index({prompts, ends})), projection_);
}

}  // namespace filo::model
