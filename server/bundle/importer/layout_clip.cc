// CLIP, and what FiLo adds to it.
#include <array>
#include <cmath>
#include <string_view>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/bundle/importer/layouts.h"
#include "server/bundle/importer/rename.h"

namespace filo::bundle::importer {
namespace {

constexpr int kHeadWidth = 64;

// Hugging Face's names -> ours, for tensors that only change their name.
constexpr Rename kHuggingFace[] = {
    {"vision_model.embeddings.class_embedding", "visual.class_embedding"},
    {"vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"},
    {"vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"},
    {"vision_model.pre_layrnorm.*", "visual.ln_pre.$1"},  // the misspelling is theirs
    {"vision_model.post_layernorm.*", "visual.ln_post.$1"},
    {"vision_model.encoder.layers.#.layer_norm1.*", "visual.transformer.resblocks.$1.ln_1.$2"},
    {"vision_model.encoder.layers.#.layer_norm2.*", "visual.transformer.resblocks.$1.ln_2.$2"},
    {"vision_model.encoder.layers.#.mlp.fc1.*", "visual.transformer.resblocks.$1.mlp.c_fc.$2"},
    {"vision_model.encoder.layers.#.mlp.fc2.*", "visual.transformer.resblocks.$1.mlp.c_proj.$2"},
    {"vision_model.encoder.layers.#.self_attn.out_proj.*",
     "visual.transformer.resblocks.$1.attn.out_proj.$2"},
    {"text_model.embeddings.token_embedding.weight", "token_embedding.weight"},
    {"text_model.embeddings.position_embedding.weight", "positional_embedding"},
    {"text_model.final_layer_norm.*", "ln_final.$1"},
    {"text_model.encoder.layers.#.layer_norm1.*", "transformer.resblocks.$1.ln_1.$2"},
    {"text_model.encoder.layers.#.layer_norm2.*", "transformer.resblocks.$1.ln_2.$2"},
    {"text_model.encoder.layers.#.mlp.fc1.*", "transformer.resblocks.$1.mlp.c_fc.$2"},
    {"text_model.encoder.layers.#.mlp.fc2.*", "transformer.resblocks.$1.mlp.c_proj.$2"},
    {"text_model.encoder.layers.#.self_attn.out_proj.*", "transformer.resblocks.$1.attn.out_proj.$2"},
};

void MapHuggingFace(Mapper& mapper) {
  for (const std::string& name : mapper.Names("")) {
    if (const auto target = Apply(kHuggingFace, name)) mapper.Copy(*target, name);
  }
  for (const auto& [ours, theirs] :
       {std::pair{"visual.transformer", "vision_model"}, {"transformer", "text_model"}}) {
    const std::string layers = fmt::format("{}.encoder.layers.", theirs);
    for (int layer = 0; layer < mapper.Count(layers); ++layer) {
      const std::string from = fmt::format("{}{}.self_attn.", layers, layer);
      const std::string to = fmt::format("{}.resblocks.{}.attn.in_proj_", ours, layer);
      for (const std::string_view part : {"weight", "bias"}) {
        mapper.Stack(fmt::format("{}{}", to, part),
                     {fmt::format("{}q_proj.{}", from, part), fmt::format("{}k_proj.{}", from, part),
                      fmt::format("{}v_proj.{}", from, part)});
      }
    }
  }
  mapper.Transpose("visual.proj", "visual_projection.weight");
  mapper.Transpose("text_projection", "text_projection.weight");
  for (const char* name :
       {"logit_scale", "text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"}) {
    mapper.Ignore(name);
  }
}

void MapOpenAi(Mapper& mapper) {
  for (const std::string& name : mapper.Names("")) {
    // Scalars beside the weights, the scale of the contrastive logits, and OpenCLIP's causal mask.
    if (name == "input_resolution" || name == "context_length" || name == "vocab_size" ||
        name == "logit_scale" || name == "attn_mask") {
      mapper.Ignore(name);
    } else {
      mapper.Copy(name, name);
    }
  }
}

std::vector<std::int64_t> ShapeOf(const Mapper& mapper, const std::string& target, std::size_t axes) {
  const auto found = mapper.recipes().find(target);
  if (found == mapper.recipes().end() || found->second.shape.size() != axes)
    return std::vector<std::int64_t>(axes, 0);
  return found->second.shape;
}

int CountTargets(const Mapper& mapper, const std::string& before, const std::string& after) {
  int count = 0;
  while (mapper.recipes().contains(fmt::format("{}{}{}", before, count, after))) ++count;
  return count;
}

// FiLo's names of CLIP's tensors -> CLIP's. Blocks with a V-V stream hold their attention under other names.
constexpr Rename kFiloCopies[] = {
    {"visual.transformer.resblocks.#.attn.qkv.*", "visual.transformer.resblocks.$1.attn.in_proj_$2"},
    {"visual.transformer.resblocks.#.attn.proj.*", "visual.transformer.resblocks.$1.attn.out_proj.$2"},
    {"*", "$1"},
};

// The first block whose attention is called qkv.
int FirstVvBlock(const Mapper& mapper) {
  for (int block = 0; block < mapper.Count("clip_model.visual.transformer.resblocks."); ++block) {
    if (mapper.Has(fmt::format("clip_model.visual.transformer.resblocks.{}.attn.qkv.weight", block)))
      return block;
  }
  return 0;
}

void CompareCopies(Mapper& mapper, const Mapper& clip) {
  const int first = FirstVvBlock(mapper);
  for (const std::string_view copy : {"clip_model.", "text_encoder."}) {
    for (const std::string& name : mapper.Names(copy)) {
      std::string inner = name.substr(copy.size());
      if (inner == "logit_scale") {
        mapper.Ignore(name);
        continue;
      }
      if (inner.starts_with("visual.attn.")) {  // one more copy of the first such block
        inner = fmt::format("visual.transformer.resblocks.{}.{}", first, inner.substr(7));
      }
      const std::string target = *Apply(kFiloCopies, inner);
      if (target == "visual.positional_embedding" &&
          mapper.ShapeOf(name) != ShapeOf(clip, target, mapper.ShapeOf(name).size())) {
        mapper.Ignore(name);  // resized by the authors' loader; ours resizes CLIP's own
        continue;
      }
      mapper.Duplicate(name, target);
    }
  }
}

}  // namespace

absl::StatusOr<Mapper> MapClip(const TensorSource& source) {
  const auto hugging_face = FindPrefix(source, "vision_model.embeddings.patch_embedding.weight");
  if (hugging_face.ok()) {
    Mapper mapper(source, *hugging_face);
    MapHuggingFace(mapper);
    return mapper;
  }
  FILO_ASSIGN_OR_RETURN(const std::string prefix, FindPrefix(source, "visual.conv1.weight"));
  Mapper mapper(source, prefix);
  MapOpenAi(mapper);
  mapper.IgnoreOutside("optimizer.");  // of OpenCLIP's training checkpoints
  return mapper;
}

void DetectClip(const Mapper& mapper, ImageTower& image, TextTower& text) {
  const auto patches = ShapeOf(mapper, "visual.conv1.weight", 4);
  image.architecture = ImageArchitecture::kClip;
  image.width = static_cast<int>(patches[0]);
  image.patch_size = static_cast<int>(patches[2]);
  image.pretrained_grid = static_cast<int>(
      std::lround(std::sqrt(static_cast<double>(ShapeOf(mapper, "visual.positional_embedding", 2)[0] - 1))));
  image.heads = image.width / kHeadWidth;
  image.layers = CountTargets(mapper, "visual.transformer.resblocks.", ".attn.in_proj_bias");
  image.mlp_width = static_cast<int>(ShapeOf(mapper, "visual.transformer.resblocks.0.mlp.c_fc.bias", 1)[0]);
  image.output_width = static_cast<int>(ShapeOf(mapper, "visual.proj", 2)[1]);
  text.architecture = TextArchitecture::kClip;
  text.vocabulary = static_cast<int>(ShapeOf(mapper, "token_embedding.weight", 2)[0]);
  text.context_length = static_cast<int>(ShapeOf(mapper, "positional_embedding", 2)[0]);
  text.width = static_cast<int>(ShapeOf(mapper, "token_embedding.weight", 2)[1]);
  text.heads = text.width / kHeadWidth;
  text.layers = CountTargets(mapper, "transformer.resblocks.", ".attn.in_proj_bias");
  text.mlp_width = static_cast<int>(ShapeOf(mapper, "transformer.resblocks.0.mlp.c_fc.bias", 1)[0]);
  text.output_width = static_cast<int>(ShapeOf(mapper, "text_projection", 2)[1]);
}

absl::StatusOr<Mapper> MapFilo(const TensorSource& source, const Mapper* clip) {
  auto prefix = FindPrefix(source, "abnormal_prompt_learner.ctx");
  if (!prefix.ok())
    prefix = FindPrefix(source, "decoder_cov.fc_11.0.weight");  // a model without context vectors
  if (!prefix.ok()) return prefix.status();
  Mapper mapper(source, *prefix);
  if (clip != nullptr) CompareCopies(mapper, *clip);
  for (const std::string_view part : {"normal_prompt_learner.", "abnormal_prompt_learner.", "decoder_cov.",
                                      "decoder_linear.", "adapter."}) {
    for (const std::string& name : mapper.Names(part)) mapper.Copy(name, name);
  }
  return mapper;
}

void DetectFilo(const Mapper& mapper, Manifest& manifest) {
  const auto context = ShapeOf(mapper, "normal_prompt_learner.ctx", 2);
  manifest.prompts.context_vectors = static_cast<int>(context[0]);
  manifest.has_adapter = mapper.recipes().contains("adapter.fc.0.weight");
  manifest.heads.kernels.clear();
  for (const auto& [height, width] :
       {std::pair{1, 1}, {3, 3}, {5, 5}, {7, 7}, {9, 9}, {1, 3}, {3, 1}, {1, 5}, {5, 1}}) {
    if (mapper.recipes().contains(fmt::format("decoder_cov.fc_{}{}.0.weight", height, width))) {
      manifest.heads.kernels.push_back({height, width});
    }
  }
}

}  // namespace filo::bundle::importer
