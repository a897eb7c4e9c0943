#include "server/model/vision_transformer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "fmt/format.h"

namespace filo::model {
namespace {

BlockSizes SizesOf(const bundle::ImageTower& manifest) {
  return {.width = manifest.width,
          .heads = manifest.heads,
          .mlp_width = manifest.mlp_width,
          .layer_norm_eps = manifest.layer_norm_eps,
          .activation = manifest.activation};
}

bool Contains(const std::vector<int>& values, int value) {
  return std::find(values.begin(), values.end(), value) != values.end();
}

}  // namespace

const Tap& ImageFeatures::At(int block) const {
  for (const std::vector<Tap>* list : {&taps, &extra_taps}) {
    for (const Tap& tap : *list) {
      if (tap.block == block) return tap;
    }
  }
  TORCH_CHECK(false, "block ", block, " is not among the tower's taps");
}

VisionTransformer::VisionTransformer(WeightReader& reader, const bundle::ImageTower& manifest,
                                     Options options)
    : manifest_(manifest), options_(std::move(options)), grid_(manifest.image_size / manifest.patch_size) {
  const std::int64_t width = manifest.width, patch = manifest.patch_size;
  const std::int64_t stored = manifest.pretrained_grid;
  const bool clip = manifest.architecture == bundle::ImageArchitecture::kClip;
  patch_embedding_.weight = reader.Take("visual.conv1.weight", {width, 3, patch, patch}).reshape({width, -1});
  class_embedding_ = reader.Take("visual.class_embedding", {width});
  positions_ =
      ResizePositions(reader.Take("visual.positional_embedding", {1 + stored * stored, width}), grid_);
  if (clip) ln_pre_ = LayerNorm::Take(reader, "visual.ln_pre", width, manifest.layer_norm_eps);
  for (int block = 0; block < manifest.layers; ++block) {
    const std::string prefix = fmt::format("visual.transformer.resblocks.{}", block);
    blocks_.push_back(TransformerBlock::Take(reader, prefix, SizesOf(manifest)));
  }
  ln_post_ = LayerNorm::Take(reader, "visual.ln_post", width, manifest.layer_norm_eps);
  if (clip) projection_ = reader.Take("visual.proj", {width, manifest.output_width});
}

at::Tensor VisionTransformer::EmbedPatches(const at::Tensor& image, Trace* trace) const {
  const std::int64_t batch = image.size(0), patch = manifest_.patch_size;
  // A convolution whose stride equals its kernel is one matrix product over the unfolded patches.
  const at::Tensor pixels = image.reshape({batch, 3, grid_, patch, grid_, patch})
                                .permute({0, 2, 4, 1, 3, 5})
                                .reshape({batch, grid_ * grid_, 3 * patch * patch});
  const at::Tensor patches = patch_embedding_(pixels);
  Record(trace, "clip.patch_embed", patches[0]);
  const at::Tensor tokens = at::cat({class_embedding_.expand({batch, 1, -1}), patches}, 1) + positions_;
  if (manifest_.architecture == bundle::ImageArchitecture::kDinoV2) return tokens;
  const at::Tensor normed = ln_pre_(tokens);
  Record(trace, "clip.ln_pre", normed[0]);
  return normed;
}

ImageFeatures VisionTransformer::Forward(const at::Tensor& image, Trace* trace) const {
  ImageFeatures features;
  features.vv_first_block = manifest_.vv_first_block;
  at::Tensor x = EmbedPatches(image, trace);
  at::Tensor vv;  // the second stream; starts as a copy of the first
  for (int number = 1; number <= manifest_.layers; ++number) {
    const TransformerBlock& block = blocks_[static_cast<std::size_t>(number - 1)];
    const Qkv qkv = block.Project(x);
    const at::Tensor attended = x + block.Attend(qkv.q, qkv.k, qkv.v, /*causal=*/false);
    if (options_.keep_attended && !features.taps.empty() && features.taps.back().block == number - 1) {
      features.taps.back().ordinary_attended = attended;
    }
    if (manifest_.vv_first_block > 0 && number >= manifest_.vv_first_block) {
      // softmax(V V^T) V of the ordinary stream's own V, no MLP (spec section 5)
      vv = (vv.defined() ? vv : x) + block.Attend(qkv.v, qkv.v, qkv.v, /*causal=*/false);
    }
    x = attended + block.Mlp(attended);
    const Tap tap{.block = number, .ordinary = x, .vv = vv, .ordinary_attended = {}};
    if (Contains(manifest_.taps, number)) features.taps.push_back(tap);
    if (Contains(options_.extra_blocks, number)) features.extra_taps.push_back(tap);
    if (trace != nullptr) {
      Record(trace, fmt::format("clip.block{}.ori", number), x[0]);
      if (vv.defined()) Record(trace, fmt::format("clip.block{}.vv", number), vv[0]);
    }
  }
  features.last_vv = vv;
  features.global = ln_post_(x.select(1, 0));
  if (projection_.defined()) features.global = at::matmul(features.global, projection_);
  Record(trace, "clip.cls", features.global[0]);
  return features;
}

at::Tensor ResizePositions(const at::Tensor& positions, std::int64_t target) {
  const std::int64_t rows = positions.size(0) - 1, width = positions.size(1);
  if (rows == target * target) return positions;
  const auto grid = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(rows))));
  const at::Tensor image = positions.slice(0, 1).reshape({1, grid, grid, width}).permute({0, 3, 1, 2});
  const at::Tensor resized = at::upsample_bicubic2d(image, {target, target}, /*align_corners=*/false);
  return at::cat({positions.slice(0, 0, 1), resized.permute({0, 2, 3, 1}).reshape({target * target, width})},
                 0);
}

std::vector<at::Tensor> PatchSnapshots(const ImageFeatures& features, const std::vector<int>& blocks) {
  std::vector<at::Tensor> patches;
  for (const int block : blocks) {
    const Tap& tap = features.At(block);
    patches.push_back((tap.vv.defined() ? tap.vv : tap.ordinary).slice(1, 1));
  }
  return patches;
}

std::vector<at::Tensor> StoredTokens(const ImageFeatures& features) {
  std::vector<at::Tensor> stored;
  for (const Tap& tap : features.taps) {
    if (tap.vv.defined()) {
      stored.push_back(features.last_vv);
      stored.push_back(tap.ordinary_attended.defined() ? tap.ordinary_attended : tap.ordinary);
    } else {
      stored.push_back(tap.block == features.vv_first_block - 1 ? features.last_vv : tap.ordinary);
    }
  }
  return stored;
}

}  // namespace filo::model
