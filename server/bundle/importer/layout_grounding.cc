// Grounding DINO in three naming schemes. Each scheme says what one of our tensors is called there; the list
// of our tensors follows from the sizes, and the sizes from probing for a few of them.
#include <array>
#include <cmath>
#include <functional>
#include <string_view>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/bundle/importer/layouts.h"
#include "server/bundle/importer/rename.h"

namespace filo::bundle::importer {
namespace {

// Ours -> Hugging Face's. {} in a result stands for query, key and value, which are stacked.
constexpr Rename kHuggingFaceNames[] = {
    {"backbone.0.patch_embed.proj.*",
     "model.backbone.conv_encoder.model.embeddings.patch_embeddings.projection.$1"},
    {"backbone.0.patch_embed.norm.*", "model.backbone.conv_encoder.model.embeddings.norm.$1"},
    {"backbone.0.layers.#.blocks.#.norm1.*",
     "model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.layernorm_before.$3"},
    {"backbone.0.layers.#.blocks.#.norm2.*",
     "model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.layernorm_after.$3"},
    {"backbone.0.layers.#.blocks.#.attn.qkv.*",
     "model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.attention.self.{}.$3"},
    {"backbone.0.layers.#.blocks.#.attn.proj.*",
     "model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.attention.output.dense.$3"},
    {"backbone.0.layers.#.blocks.#.attn.*",
     "model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.attention.self.$3"},
    {"backbone.0.layers.#.blocks.#.mlp.fc1.*",
     "model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.intermediate.dense.$3"},
    {"backbone.0.layers.#.blocks.#.mlp.fc2.*",
     "model.backbone.conv_encoder.model.encoder.layers.$1.blocks.$2.output.dense.$3"},
    {"backbone.0.layers.#.downsample.*", "model.backbone.conv_encoder.model.encoder.layers.$1.downsample.$2"},
    {"backbone.0.norm#.*", "model.backbone.conv_encoder.model.hidden_states_norms.stage$1+1.$2"},
    {"transformer.encoder.layers.#.self_attn.*", "model.encoder.layers.$1.deformable_layer.self_attn.$2"},
    {"transformer.encoder.layers.#.norm1.*",
     "model.encoder.layers.$1.deformable_layer.self_attn_layer_norm.$2"},
    {"transformer.encoder.layers.#.linear1.*", "model.encoder.layers.$1.deformable_layer.fc1.$2"},
    {"transformer.encoder.layers.#.linear2.*", "model.encoder.layers.$1.deformable_layer.fc2.$2"},
    {"transformer.encoder.layers.#.norm2.*", "model.encoder.layers.$1.deformable_layer.final_layer_norm.$2"},
    {"transformer.encoder.text_layers.#.self_attn.in_proj_*",
     "model.encoder.layers.$1.text_enhancer_layer.self_attn.{}.$2"},
    {"transformer.encoder.text_layers.#.self_attn.out_proj.*",
     "model.encoder.layers.$1.text_enhancer_layer.self_attn.out_proj.$2"},
    {"transformer.encoder.text_layers.#.linear1.*", "model.encoder.layers.$1.text_enhancer_layer.fc1.$2"},
    {"transformer.encoder.text_layers.#.linear2.*", "model.encoder.layers.$1.text_enhancer_layer.fc2.$2"},
    {"transformer.encoder.text_layers.#.norm1.*",
     "model.encoder.layers.$1.text_enhancer_layer.layer_norm_before.$2"},
    {"transformer.encoder.text_layers.#.norm2.*",
     "model.encoder.layers.$1.text_enhancer_layer.layer_norm_after.$2"},
    {"transformer.encoder.fusion_layers.#.gamma_v", "model.encoder.layers.$1.fusion_layer.vision_param"},
    {"transformer.encoder.fusion_layers.#.gamma_l", "model.encoder.layers.$1.fusion_layer.text_param"},
    {"transformer.encoder.fusion_layers.#.layer_norm_v.*",
     "model.encoder.layers.$1.fusion_layer.layer_norm_vision.$2"},
    {"transformer.encoder.fusion_layers.#.layer_norm_l.*",
     "model.encoder.layers.$1.fusion_layer.layer_norm_text.$2"},
    {"transformer.encoder.fusion_layers.#.attn.v_proj.*",
     "model.encoder.layers.$1.fusion_layer.attn.vision_proj.$2"},
    {"transformer.encoder.fusion_layers.#.attn.l_proj.*",
     "model.encoder.layers.$1.fusion_layer.attn.text_proj.$2"},
    {"transformer.encoder.fusion_layers.#.attn.values_v_proj.*",
     "model.encoder.layers.$1.fusion_layer.attn.values_vision_proj.$2"},
    {"transformer.encoder.fusion_layers.#.attn.values_l_proj.*",
     "model.encoder.layers.$1.fusion_layer.attn.values_text_proj.$2"},
    {"transformer.encoder.fusion_layers.#.attn.out_v_proj.*",
     "model.encoder.layers.$1.fusion_layer.attn.out_vision_proj.$2"},
    {"transformer.encoder.fusion_layers.#.attn.out_l_proj.*",
     "model.encoder.layers.$1.fusion_layer.attn.out_text_proj.$2"},
    {"transformer.decoder.layers.#.cross_attn.*", "model.decoder.layers.$1.encoder_attn.$2"},
    {"transformer.decoder.layers.#.norm1.*", "model.decoder.layers.$1.encoder_attn_layer_norm.$2"},
    {"transformer.decoder.layers.#.ca_text.in_proj_*", "model.decoder.layers.$1.encoder_attn_text.{}.$2"},
    {"transformer.decoder.layers.#.ca_text.out_proj.*",
     "model.decoder.layers.$1.encoder_attn_text.out_proj.$2"},
    {"transformer.decoder.layers.#.catext_norm.*", "model.decoder.layers.$1.encoder_attn_text_layer_norm.$2"},
    {"transformer.decoder.layers.#.self_attn.in_proj_*", "model.decoder.layers.$1.self_attn.{}.$2"},
    {"transformer.decoder.layers.#.self_attn.out_proj.*", "model.decoder.layers.$1.self_attn.out_proj.$2"},
    {"transformer.decoder.layers.#.norm2.*", "model.decoder.layers.$1.self_attn_layer_norm.$2"},
    {"transformer.decoder.layers.#.linear1.*", "model.decoder.layers.$1.fc1.$2"},
    {"transformer.decoder.layers.#.linear2.*", "model.decoder.layers.$1.fc2.$2"},
    {"transformer.decoder.layers.#.norm3.*", "model.decoder.layers.$1.final_layer_norm.$2"},
    {"transformer.decoder.norm.*", "model.decoder.layer_norm.$1"},
    {"transformer.decoder.ref_point_head.*", "model.decoder.reference_points_head.$1"},
    {"transformer.level_embed", "model.level_embed"},
    {"transformer.tgt_embed.weight", "model.query_position_embeddings.weight"},
    {"transformer.enc_out_bbox_embed.*", "model.encoder_output_bbox_embed.$1"},
    {"transformer.enc_output*", "model.enc_output$1"},
    {"bert.*", "model.text_backbone.$1"},
    {"feat_map.*", "model.text_projection.$1"},
    {"input_proj.*", "model.input_proj_vision.$1"},
    {"bbox_embed.*", "bbox_embed.$1"},
};

// Ours -> mmdetection's.
constexpr Rename kMmdetectionNames[] = {
    {"backbone.0.patch_embed.proj.*", "backbone.patch_embed.projection.$1"},
    {"backbone.0.patch_embed.norm.*", "backbone.patch_embed.norm.$1"},
    {"backbone.0.layers.#.blocks.#.attn.*", "backbone.stages.$1.blocks.$2.attn.w_msa.$3"},
    {"backbone.0.layers.#.blocks.#.mlp.fc1.*", "backbone.stages.$1.blocks.$2.ffn.layers.0.0.$3"},
    {"backbone.0.layers.#.blocks.#.mlp.fc2.*", "backbone.stages.$1.blocks.$2.ffn.layers.1.$3"},
    {"backbone.0.layers.#.*", "backbone.stages.$1.$2"},
    {"backbone.0.norm#.*", "backbone.norm$1.$2"},
    {"input_proj.3.0.*", "neck.extra_convs.0.conv.$1"},
    {"input_proj.3.1.*", "neck.extra_convs.0.gn.$1"},
    {"input_proj.4.0.*", "neck.extra_convs.1.conv.$1"},
    {"input_proj.4.1.*", "neck.extra_convs.1.gn.$1"},
    {"input_proj.#.0.*", "neck.convs.$1.conv.$2"},
    {"input_proj.#.1.*", "neck.convs.$1.gn.$2"},
    {"bert.*", "language_model.language_backbone.body.model.$1"},
    {"feat_map.*", "text_feat_map.$1"},
    {"transformer.encoder.fusion_layers.*", "encoder.fusion_layers.$1"},
    {"transformer.encoder.layers.#.self_attn.*", "encoder.layers.$1.self_attn.$2"},
    {"transformer.encoder.text_layers.#.self_attn.*", "encoder.text_layers.$1.self_attn.attn.$2"},
    {"transformer.encoder.layers.#.norm1.*", "encoder.layers.$1.norms.0.$2"},
    {"transformer.encoder.layers.#.norm2.*", "encoder.layers.$1.norms.1.$2"},
    {"transformer.encoder.layers.#.linear1.*", "encoder.layers.$1.ffn.layers.0.0.$2"},
    {"transformer.encoder.layers.#.linear2.*", "encoder.layers.$1.ffn.layers.1.$2"},
    {"transformer.encoder.text_layers.#.norm1.*", "encoder.text_layers.$1.norms.0.$2"},
    {"transformer.encoder.text_layers.#.norm2.*", "encoder.text_layers.$1.norms.1.$2"},
    {"transformer.encoder.text_layers.#.linear1.*", "encoder.text_layers.$1.ffn.layers.0.0.$2"},
    {"transformer.encoder.text_layers.#.linear2.*", "encoder.text_layers.$1.ffn.layers.1.$2"},
    {"transformer.decoder.layers.#.self_attn.*", "decoder.layers.$1.self_attn.attn.$2"},
    {"transformer.decoder.layers.#.ca_text.*", "decoder.layers.$1.cross_attn_text.attn.$2"},
    {"transformer.decoder.layers.#.cross_attn.*", "decoder.layers.$1.cross_attn.$2"},
    // Theirs are numbered in order of use, IDEA's in order of history.
    {"transformer.decoder.layers.#.norm2.*", "decoder.layers.$1.norms.0.$2"},
    {"transformer.decoder.layers.#.catext_norm.*", "decoder.layers.$1.norms.1.$2"},
    {"transformer.decoder.layers.#.norm1.*", "decoder.layers.$1.norms.2.$2"},
    {"transformer.decoder.layers.#.norm3.*", "decoder.layers.$1.norms.3.$2"},
    {"transformer.decoder.layers.#.linear1.*", "decoder.layers.$1.ffn.layers.0.0.$2"},
    {"transformer.decoder.layers.#.linear2.*", "decoder.layers.$1.ffn.layers.1.$2"},
    {"transformer.decoder.*", "decoder.$1"},
    {"transformer.level_embed", "level_embed"},
    {"transformer.tgt_embed.weight", "query_embedding.weight"},
    {"transformer.enc_output.*", "memory_trans_fc.$1"},
    {"transformer.enc_output_norm.*", "memory_trans_norm.$1"},
    {"bbox_embed.0.layers.0.*", "bbox_head.reg_branches.0.0.$1"},
    {"bbox_embed.0.layers.1.*", "bbox_head.reg_branches.0.2.$1"},
    {"bbox_embed.0.layers.2.*", "bbox_head.reg_branches.0.4.$1"},
};

constexpr Rename kIdeaNames[] = {{"*", "$1"}};

enum class Scheme { kIdea, kHuggingFace, kMmdetection };

class GroundingLayout {
 public:
  GroundingLayout(const TensorSource& source, std::string prefix, Scheme scheme)
      : mapper_(source, std::move(prefix)), scheme_(scheme) {
    if (scheme == Scheme::kMmdetection) {  // one regression branch for each decoder layer, then the encoder's
      last_branch_ = mapper_.Count("bbox_head.reg_branches.") - 1;
    }
  }

  void Detect(Manifest& manifest) const;
  Mapper Map(const Manifest& manifest) &&;

 private:
  std::string Name(const std::string& ours) const {
    if (scheme_ == Scheme::kMmdetection && ours.starts_with("transformer.enc_out_bbox_embed.layers.")) {
      const std::size_t digit = std::string_view("transformer.enc_out_bbox_embed.layers.").size();
      return fmt::format("bbox_head.reg_branches.{}.{}{}", last_branch_, 2 * (ours[digit] - '0'),
                         ours.substr(digit + 1));
    }
    const std::span<const Rename> rules = scheme_ == Scheme::kIdea ? std::span<const Rename>(kIdeaNames)
                                          : scheme_ == Scheme::kHuggingFace
                                              ? std::span<const Rename>(kHuggingFaceNames)
                                              : std::span<const Rename>(kMmdetectionNames);
    return Apply(rules, ours).value_or(ours);
  }
  // Size of axis `axis` of one of our tensors, joined from query, key and value if need be; 0 if absent.
  int Size(const std::string& ours, std::size_t axis) const {
    const std::vector<std::int64_t> shape = mapper_.ShapeOf(Name(ours));
    return axis < shape.size() ? static_cast<int>(shape[axis]) : 0;
  }
  int CountOf(std::string_view before, std::string_view after) const {
    int count = 0;
    while (mapper_.Has(Name(fmt::format("{}{}{}", before, count, after)))) ++count;
    return count;
  }
  void MapOne(const std::string& ours);
  void MapMerge(const std::string& ours);
  void Account(int decoder_layers);

  Mapper mapper_;
  Scheme scheme_;
  int last_branch_ = 0;
};

void GroundingLayout::Detect(Manifest& manifest) const {
  constexpr int kPoints = 4;  // of every published Grounding DINO
  Grounding& g = manifest.grounding;
  Swin& swin = g.swin;
  swin.channels = Size("backbone.0.patch_embed.proj.weight", 0);
  swin.patch_size = Size("backbone.0.patch_embed.proj.weight", 2);
  swin.depths.clear();
  swin.heads.clear();
  for (int stage = 0; stage < 4; ++stage) {
    const std::string layer = fmt::format("backbone.0.layers.{}.blocks.", stage);
    swin.depths.push_back(CountOf(layer, ".norm1.weight"));
    swin.heads.push_back(Size(layer + "0.attn.relative_position_bias_table", 1));
  }
  const int offsets = Size("backbone.0.layers.0.blocks.0.attn.relative_position_bias_table", 0);
  swin.window = (static_cast<int>(std::lround(std::sqrt(static_cast<double>(offsets)))) + 1) / 2;
  swin.mlp_ratio =
      swin.channels == 0 ? 0 : Size("backbone.0.layers.0.blocks.0.mlp.fc1.bias", 0) / swin.channels;
  g.bert.vocabulary = Size("bert.embeddings.word_embeddings.weight", 0);
  g.bert.width = Size("bert.embeddings.word_embeddings.weight", 1);
  g.bert.max_positions = Size("bert.embeddings.position_embeddings.weight", 0);
  g.bert.layers = CountOf("bert.encoder.layer.", ".output.dense.weight");
  g.bert.heads = g.bert.width / 64;
  g.bert.mlp_width = Size("bert.encoder.layer.0.intermediate.dense.bias", 0);
  g.hidden = Size("transformer.level_embed", 1);
  g.levels = Size("transformer.level_embed", 0);
  g.points = kPoints;
  g.heads = g.levels == 0 ? 0
                          : Size("transformer.encoder.layers.0.self_attn.attention_weights.bias", 0) /
                                (g.levels * kPoints);
  g.feed_forward = Size("transformer.encoder.layers.0.linear1.bias", 0);
  g.text_feed_forward = Size("transformer.encoder.text_layers.0.linear1.bias", 0);
  g.fusion_width = Size("transformer.encoder.fusion_layers.0.attn.v_proj.bias", 0);
  g.fusion_heads = g.text_heads = g.heads / 2;
  g.encoder_layers = CountOf("transformer.encoder.layers.", ".norm1.weight");
  g.decoder_layers = CountOf("transformer.decoder.layers.", ".norm1.weight");
  g.queries = Size("transformer.tgt_embed.weight", 0);
}

// mmdetection's patch merging unfolds channel by channel, (0,0) (0,1) (1,0) (1,1) inside each; IDEA's
// concatenates the four patches in the order (0,0) (1,0) (0,1) (1,1).
void GroundingLayout::MapMerge(const std::string& ours) {
  const std::string name = Name(ours);
  const SourceTensor* tensor = mapper_.Use(name, ours);
  if (tensor == nullptr) return;
  const std::size_t axis = tensor->shape.size() - 1;
  if (tensor->shape.empty() || tensor->shape[axis] % 4 != 0) return mapper_.Copy(ours, name);
  const SourceTensor split =
      SplitAxis(*tensor, axis, std::array<std::int64_t, 3>{tensor->shape[axis] / 4, 2, 2});
  const SourceTensor turned = axis == 0 ? Permuted(split, std::array<std::size_t, 3>{2, 1, 0})
                                        : Permuted(split, std::array<std::size_t, 4>{0, 3, 2, 1});
  mapper_.Put(ours, {{name}, {turned}, tensor->shape, {}, {}});
}

void GroundingLayout::MapOne(const std::string& ours) {
  const std::string name = Name(ours);
  const std::size_t hole = name.find("{}");
  if (hole != std::string::npos) {
    std::vector<std::string> parts;
    for (const std::string_view part : {"query", "key", "value"})
      parts.push_back(std::string(name).replace(hole, 2, part));
    mapper_.Stack(ours, parts);
  } else if (scheme_ == Scheme::kMmdetection && ours.find(".downsample.") != std::string::npos) {
    MapMerge(ours);
  } else {
    mapper_.Copy(ours, name);
  }
}

// Tied copies of the box head, buffers, and parts that only training needs.
void GroundingLayout::Account(int decoder_layers) {
  for (int layer = 0; layer < std::max(decoder_layers, 1); ++layer) {
    for (int step = 0; step < 3; ++step) {
      for (const std::string_view part : {"weight", "bias"}) {
        const std::string target = fmt::format("bbox_embed.0.layers.{}.{}", step, part);
        const std::string tail = fmt::format("bbox_embed.{}.layers.{}.{}", layer, step, part);
        if (layer > 0) mapper_.Duplicate(tail, target);
        mapper_.Duplicate("transformer.decoder." + tail, target);
        mapper_.Duplicate("model.decoder." + tail, target);
        if (layer > 0)
          mapper_.Duplicate(fmt::format("bbox_head.reg_branches.{}.{}.{}", layer, 2 * step, part), target);
      }
    }
  }
  for (const std::string& name : mapper_.Names("")) {
    const bool known =
        name.ends_with(".relative_position_index") || name.ends_with("embeddings.position_ids") ||
        name.find(".pooler.dense.") != std::string::npos || name == "label_enc.weight" ||
        name == "dn_query_generator.label_embedding.weight" || name.starts_with("data_preprocessor.");
    if (known) mapper_.Ignore(name);
  }
  mapper_.IgnoreOutside("optimizer.");
}

Mapper GroundingLayout::Map(const Manifest& manifest) && {
  for (const auto& [name, shape] : ExpectedGrounding(manifest)) MapOne(name);
  Account(manifest.grounding.decoder_layers);
  return std::move(mapper_);
}

}  // namespace

absl::StatusOr<Mapper> MapGrounding(const TensorSource& source, bool detect, Manifest& manifest) {
  Scheme scheme = Scheme::kHuggingFace;
  auto prefix = FindPrefix(source, "model.query_position_embeddings.weight");
  if (!prefix.ok()) {
    scheme = Scheme::kMmdetection;
    prefix = FindPrefix(source, "memory_trans_fc.weight");
  }
  if (!prefix.ok()) {
    scheme = Scheme::kIdea;
    prefix = FindPrefix(source, "transformer.level_embed");
  }
  if (!prefix.ok()) return prefix.status();
  GroundingLayout layout(source, *prefix, scheme);
  if (detect) layout.Detect(manifest);
  return std::move(layout).Map(manifest);
}

}  // namespace filo::bundle::importer
