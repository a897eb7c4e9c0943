#include "server/bundle/expected_tensors.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "fmt/format.h"

namespace filo::bundle {
namespace {

using Shape = std::vector<std::int64_t>;

// Adds tensors below a common prefix.
class Adder {
 public:
  Adder(Shapes& shapes, std::string prefix) : shapes_(shapes), prefix_(std::move(prefix)) {}

  void Tensor(std::string_view name, Shape shape) const {
    shapes_[fmt::format("{}{}", prefix_, name)] = std::move(shape);
  }
  // weight [out, in...] and bias [out].
  void Layer(std::string_view name, Shape weight) const {
    Tensor(fmt::format("{}.bias", name), {weight[0]});
    Tensor(fmt::format("{}.weight", name), std::move(weight));
  }
  void Linear(std::string_view name, std::int64_t in, std::int64_t out) const { Layer(name, {out, in}); }
  void Norm(std::string_view name, std::int64_t width) const { Layer(name, {width}); }
  // torch.nn.MultiheadAttention.
  void Attention(std::string_view name, std::int64_t width) const {
    Tensor(fmt::format("{}.in_proj_weight", name), {3 * width, width});
    Tensor(fmt::format("{}.in_proj_bias", name), {3 * width});
    Linear(fmt::format("{}.out_proj", name), width, width);
  }
  // The deformable attention of IDEA's code.
  void Deformable(std::string_view name, const Grounding& g) const {
    const std::int64_t samples = std::int64_t{1} * g.heads * g.levels * g.points;
    Linear(fmt::format("{}.sampling_offsets", name), g.hidden, 2 * samples);
    Linear(fmt::format("{}.attention_weights", name), g.hidden, samples);
    Linear(fmt::format("{}.value_proj", name), g.hidden, g.hidden);
    Linear(fmt::format("{}.output_proj", name), g.hidden, g.hidden);
  }
  Adder Below(std::string_view name) const { return Adder(shapes_, fmt::format("{}{}.", prefix_, name)); }

 private:
  Shapes& shapes_;
  std::string prefix_;
};

void AddClipBlocks(const Adder& add, int layers, std::int64_t width, std::int64_t mlp_width) {
  for (int layer = 0; layer < layers; ++layer) {
    const Adder block = add.Below(fmt::format("resblocks.{}", layer));
    block.Norm("ln_1", width);
    block.Attention("attn", width);
    block.Norm("ln_2", width);
    block.Linear("mlp.c_fc", width, mlp_width);
    block.Linear("mlp.c_proj", mlp_width, width);
  }
}

void AddAll(Shapes& to, std::string_view prefix, const Shapes& from) {
  for (const auto& [name, shape] : from) to[fmt::format("{}{}", prefix, name)] = shape;
}

// A stack of linear layers as DETR writes it: all but the last `hidden` wide.
void AddMlp(const Adder& add, std::string_view name, std::int64_t in, std::int64_t hidden, std::int64_t out,
            int layers) {
  for (int layer = 0; layer < layers; ++layer) {
    add.Linear(fmt::format("{}.layers.{}", name, layer), layer == 0 ? in : hidden,
               layer + 1 == layers ? out : hidden);
  }
}

void AddEncoder(const Adder& add, const Grounding& g) {
  for (int layer = 0; layer < g.encoder_layers; ++layer) {
    const Adder image = add.Below(fmt::format("layers.{}", layer));
    image.Deformable("self_attn", g);
    image.Norm("norm1", g.hidden);
    image.Linear("linear1", g.hidden, g.feed_forward);
    image.Linear("linear2", g.feed_forward, g.hidden);
    image.Norm("norm2", g.hidden);
    const Adder text = add.Below(fmt::format("text_layers.{}", layer));
    text.Attention("self_attn", g.hidden);
    text.Norm("norm1", g.hidden);
    text.Linear("linear1", g.hidden, g.text_feed_forward);
    text.Linear("linear2", g.text_feed_forward, g.hidden);
    text.Norm("norm2", g.hidden);
    const Adder fusion = add.Below(fmt::format("fusion_layers.{}", layer));
    for (const char side : {'v', 'l'}) {
      fusion.Tensor(fmt::format("gamma_{}", side), {g.hidden});
      fusion.Norm(fmt::format("layer_norm_{}", side), g.hidden);
      fusion.Linear(fmt::format("attn.{}_proj", side), g.hidden, g.fusion_width);
      fusion.Linear(fmt::format("attn.values_{}_proj", side), g.hidden, g.fusion_width);
      fusion.Linear(fmt::format("attn.out_{}_proj", side), g.fusion_width, g.hidden);
    }
  }
}

void AddDecoder(const Adder& add, const Grounding& g) {
  for (int layer = 0; layer < g.decoder_layers; ++layer) {
    const Adder block = add.Below(fmt::format("layers.{}", layer));
    block.Deformable("cross_attn", g);
    block.Attention("ca_text", g.hidden);
    block.Attention("self_attn", g.hidden);
    for (const std::string_view norm : {"norm1", "catext_norm", "norm2", "norm3"}) block.Norm(norm, g.hidden);
    block.Linear("linear1", g.hidden, g.feed_forward);
    block.Linear("linear2", g.feed_forward, g.hidden);
  }
  add.Norm("norm", g.hidden);
  AddMlp(add, "ref_point_head", 2 * g.hidden, g.hidden, g.hidden, 2);
}

}  // namespace

Shapes ExpectedImageTower(const ImageTower& t) {
  Shapes shapes;
  const Adder add(shapes, "visual.");
  add.Tensor("conv1.weight", {t.width, 3, t.patch_size, t.patch_size});
  add.Tensor("class_embedding", {t.width});
  add.Tensor("positional_embedding", {1 + std::int64_t{1} * t.pretrained_grid * t.pretrained_grid, t.width});
  AddClipBlocks(add.Below("transformer"), t.layers, t.width, t.mlp_width);
  add.Norm("ln_post", t.width);
  if (t.architecture == ImageArchitecture::kClip) {
    add.Norm("ln_pre", t.width);
    add.Tensor("proj", {t.width, t.output_width});
  }
  return shapes;
}

Shapes ExpectedTextTower(const TextTower& t) {
  Shapes shapes;
  if (t.architecture == TextArchitecture::kBert) {
    constexpr int kTypes = 2;
    AddAll(shapes, "text.",
           ExpectedBert(t.vocabulary, t.width, t.layers, t.mlp_width, t.context_length, kTypes));
    return shapes;
  }
  const Adder add(shapes, "");
  add.Tensor("token_embedding.weight", {t.vocabulary, t.width});
  add.Tensor("positional_embedding", {t.context_length, t.width});
  AddClipBlocks(add.Below("transformer"), t.layers, t.width, t.mlp_width);
  add.Norm("ln_final", t.width);
  add.Tensor("text_projection", {t.width, t.output_width});
  return shapes;
}

Shapes ExpectedFilo(const Manifest& m) {
  Shapes shapes;
  const Adder add(shapes, "");
  const std::int64_t image = m.image_tower.width;
  const std::int64_t space = m.text_tower.output_width;
  const std::int64_t words = m.text_tower.width;
  for (const std::string_view kind : {"normal", "abnormal"}) {
    const Adder learner = add.Below(fmt::format("{}_prompt_learner", kind));
    if (m.prompts.context_vectors > 0) learner.Tensor("ctx", {m.prompts.context_vectors, words});
    if (m.prompts.meta_net) {
      learner.Linear("meta_net.linear1", space, space / 16);
      learner.Linear("meta_net.linear2", space / 16, words);
    }
  }
  for (std::size_t stage = 0; stage < m.heads.mmci_taps.size(); ++stage) {
    for (const auto& [height, width] : m.heads.kernels) {
      add.Layer(fmt::format("decoder_cov.fc_{}{}.{}", height, width, stage), {space, image, height, width});
    }
  }
  for (int head = 0; head < m.heads.linear_heads; ++head) {
    add.Linear(fmt::format("decoder_linear.fc.{}", head), image, space);
  }
  if (m.has_adapter) {
    add.Tensor("adapter.fc.0.weight", {space / 2, space});
    add.Tensor("adapter.fc.2.weight", {space, space / 2});
  }
  return shapes;
}

Shapes ExpectedBert(int vocabulary, int width, int layers, int mlp_width, int positions, int types) {
  Shapes shapes;
  const Adder add(shapes, "");
  add.Tensor("embeddings.word_embeddings.weight", {vocabulary, width});
  add.Tensor("embeddings.position_embeddings.weight", {positions, width});
  add.Tensor("embeddings.token_type_embeddings.weight", {types, width});
  add.Norm("embeddings.LayerNorm", width);
  for (int layer = 0; layer < layers; ++layer) {
    const Adder block = add.Below(fmt::format("encoder.layer.{}", layer));
    for (const std::string_view name : {"query", "key", "value"}) {
      block.Linear(fmt::format("attention.self.{}", name), width, width);
    }
    block.Linear("attention.output.dense", width, width);
    block.Norm("attention.output.LayerNorm", width);
    block.Linear("intermediate.dense", width, mlp_width);
    block.Linear("output.dense", mlp_width, width);
    block.Norm("output.LayerNorm", width);
  }
  return shapes;
}

Shapes ExpectedSwin(const Swin& s) {
  Shapes shapes;
  const Adder add(shapes, "");
  add.Layer("patch_embed.proj", {s.channels, 3, s.patch_size, s.patch_size});
  add.Norm("patch_embed.norm", s.channels);
  const std::int64_t offsets = std::int64_t{2} * s.window - 1;
  for (std::size_t stage = 0; stage < s.depths.size(); ++stage) {
    const std::int64_t width = std::int64_t{s.channels} << stage;
    const Adder layer = add.Below(fmt::format("layers.{}", stage));
    for (int depth = 0; depth < s.depths[stage]; ++depth) {
      const Adder block = layer.Below(fmt::format("blocks.{}", depth));
      block.Norm("norm1", width);
      block.Tensor("attn.relative_position_bias_table", {offsets * offsets, s.heads[stage]});
      block.Linear("attn.qkv", width, 3 * width);
      block.Linear("attn.proj", width, width);
      block.Norm("norm2", width);
      block.Linear("mlp.fc1", width, s.mlp_ratio * width);
      block.Linear("mlp.fc2", s.mlp_ratio * width, width);
    }
    if (stage + 1 < s.depths.size()) {
      layer.Norm("downsample.norm", 4 * width);
      layer.Tensor("downsample.reduction.weight", {2 * width, 4 * width});
    }
    if (stage > 0) add.Norm(fmt::format("norm{}", stage), width);
  }
  return shapes;
}

Shapes ExpectedGrounding(const Manifest& m) {
  const Grounding& g = m.grounding;
  Shapes shapes;
  const Adder add(shapes, "");
  const Adder transformer = add.Below("transformer");
  transformer.Tensor("level_embed", {g.levels, g.hidden});
  AddEncoder(transformer.Below("encoder"), g);
  AddDecoder(transformer.Below("decoder"), g);
  transformer.Tensor("tgt_embed.weight", {g.queries, g.hidden});
  transformer.Linear("enc_output", g.hidden, g.hidden);
  transformer.Norm("enc_output_norm", g.hidden);
  AddMlp(transformer, "enc_out_bbox_embed", g.hidden, g.hidden, 4, 3);
  AddMlp(add, "bbox_embed.0", g.hidden, g.hidden, 4, 3);
  constexpr int kTypes = 2;
  if (!g.shared_bert) {
    AddAll(shapes, "bert.",
           ExpectedBert(g.bert.vocabulary, g.bert.width, g.bert.layers, g.bert.mlp_width,
                        g.bert.max_positions, kTypes));
  }
  add.Linear("feat_map", g.bert.width, g.hidden);
  std::vector<std::int64_t> widths;  // of the backbone's outputs
  if (g.backbone == GroundingBackbone::kSwin) {
    AddAll(shapes, "backbone.0.", ExpectedSwin(g.swin));
    for (int stage = 1; stage < 4; ++stage) widths.push_back(std::int64_t{g.swin.channels} << stage);
  } else {
    widths = {static_cast<std::int64_t>(g.tower_taps.size()) * m.image_tower.width};
  }
  for (std::size_t level = 0; level < static_cast<std::size_t>(g.levels); ++level) {
    // Beyond the backbone's outputs: a strided 3x3 convolution of the level before; Grounding DINO with Swin
    // feeds the first of them from Swin's last output instead.
    const bool plain = level < widths.size();
    const std::int64_t in = plain                                                              ? widths[level]
                            : level == widths.size() && g.backbone == GroundingBackbone::kSwin ? widths.back()
                                                                                               : g.hidden;
    const std::int64_t side = plain ? 1 : 3;
    add.Layer(fmt::format("input_proj.{}.0", level), {g.hidden, in, side, side});
    add.Norm(fmt::format("input_proj.{}.1", level), g.hidden);
  }
  return shapes;
}

std::map<std::string, Shapes> ExpectedTensors(const Manifest& m) {
  std::map<std::string, Shapes> by_role;
  by_role["image_text_tower"] = ExpectedImageTower(m.image_tower);
  by_role["image_text_tower"].merge(ExpectedTextTower(m.text_tower));
  by_role["filo"] = ExpectedFilo(m);
  if (m.has_grounding) by_role["grounding"] = ExpectedGrounding(m);
  return by_role;
}

std::vector<std::string> Differences(const TensorMap& tensors, const Shapes& expected) {
  std::vector<std::string> found;
  for (const auto& [name, shape] : expected) {
    const auto tensor = tensors.find(name);
    if (tensor == tensors.end()) {
      found.push_back(fmt::format("{} {} is missing", name, ShapeText(shape)));
      continue;
    }
    const DType dtype = tensor->second.dtype;
    if (tensor->second.shape != shape) {
      found.push_back(fmt::format("{} has shape {}; it must be {}", name, ShapeText(tensor->second.shape),
                                  ShapeText(shape)));
    } else if (dtype != DType::kF16 && dtype != DType::kBF16 && dtype != DType::kF32 &&
               dtype != DType::kF64) {
      found.push_back(
          fmt::format("{} has type {}; it must be a floating-point type", name, DTypeName(dtype)));
    }
  }
  for (const auto& [name, tensor] : tensors) {
    if (!expected.contains(name)) {
      found.push_back(fmt::format("{} {} belongs to no part of this model", name, ShapeText(tensor.shape)));
    }
  }
  return found;
}

}  // namespace filo::bundle
