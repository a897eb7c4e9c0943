#include "server/model/bert.h"

#include "fmt/format.h"
#include "server/model/attention.h"

namespace filo::model {

Bert::Bert(WeightReader& reader, const bundle::Bert& sizes, const std::string& prefix) : sizes_(sizes) {
  const std::int64_t width = sizes.width;
  const double eps = sizes.layer_norm_eps;
  const std::string embeddings = prefix + "embeddings.";
  word_embeddings_ = reader.Take(embeddings + "word_embeddings.weight", {sizes.vocabulary, width});
  position_embeddings_ = reader.Take(embeddings + "position_embeddings.weight", {sizes.max_positions, width});
  type_embeddings_ = reader.Take(embeddings + "token_type_embeddings.weight", {2, width});
  embedding_norm_ = LayerNorm::Take(reader, embeddings + "LayerNorm", width, eps);
  for (int k = 0; k < sizes.layers; ++k) {
    const std::string name = fmt::format("{}encoder.layer.{}.", prefix, k);
    layers_.push_back({
        .query = Linear::Take(reader, name + "attention.self.query", width, width),
        .key = Linear::Take(reader, name + "attention.self.key", width, width),
        .value = Linear::Take(reader, name + "attention.self.value", width, width),
        .attention_output = Linear::Take(reader, name + "attention.output.dense", width, width),
        .attention_norm = LayerNorm::Take(reader, name + "attention.output.LayerNorm", width, eps),
        .intermediate = Linear::Take(reader, name + "intermediate.dense", width, sizes.mlp_width),
        .output = Linear::Take(reader, name + "output.dense", sizes.mlp_width, width),
        .norm = LayerNorm::Take(reader, name + "output.LayerNorm", width, eps),
    });
  }
}

at::Tensor Bert::Embed(const at::Tensor& ids) const { return at::embedding(word_embeddings_, ids); }

at::Tensor Bert::Encode(const at::Tensor& words, const at::Tensor& position_ids,
                        const at::Tensor& may_attend) const {
  const at::Tensor positions = at::embedding(position_embeddings_, position_ids);
  at::Tensor x = embedding_norm_(words + type_embeddings_[0] + positions);
  for (const Layer& layer : layers_) {
    const at::Tensor attended =
        Attend(layer.query(x), layer.key(x), layer.value(x), sizes_.heads, may_attend);
    const at::Tensor middle = layer.attention_norm(layer.attention_output(attended) + x);
    x = layer.norm(layer.output(at::gelu(layer.intermediate(middle))) + middle);
  }
  return x;
}

}  // namespace filo::model
