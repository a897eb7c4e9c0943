#include "server/model/swin.h"

#include <algorithm>
#include <cmath>

#include "fmt/format.h"

namespace filo::model {
namespace {

constexpr double kLayerNormEps = 1e-5;
constexpr double kMasked = -100.0;  // added to the scores of tokens that only the shift made neighbours

std::int64_t RoundUp(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Row of the bias table for each pair of a window's tokens: [window^2 * window^2] int64.
at::Tensor RelativePositionIndex(std::int64_t window, at::Device device) {
  const at::Tensor along = at::arange(window, at::dtype(at::kLong).device(device));
  const at::Tensor rows = along.repeat_interleave(window);
  const at::Tensor columns = along.repeat({window});
  const at::Tensor dy = rows.unsqueeze(1) - rows.unsqueeze(0) + (window - 1);
  const at::Tensor dx = columns.unsqueeze(1) - columns.unsqueeze(0) + (window - 1);
  return (dy * (2 * window - 1) + dx).flatten();
}

// [batch, rows, columns, channels] (whole windows) -> [batch * windows, window^2, channels], windows
// row-major.
at::Tensor Partition(const at::Tensor& x, std::int64_t window) {
  const std::int64_t rows = x.size(1) / window, columns = x.size(2) / window;
  return x.view({x.size(0), rows, window, columns, window, x.size(3)})
      .transpose(2, 3)
      .reshape({x.size(0) * rows * columns, window * window, x.size(3)});
}

// The inverse of Partition.
at::Tensor Unpartition(const at::Tensor& windows, std::int64_t window, std::int64_t rows,
                       std::int64_t columns) {
  return windows.view({-1, rows / window, columns / window, window, window, windows.size(2)})
      .transpose(2, 3)
      .reshape({-1, rows, columns, windows.size(2)});
}

// [windows, window^2, window^2]: 0 where two tokens of a shifted window were neighbours before the shift,
// else -100.
at::Tensor ShiftMask(std::int64_t rows, std::int64_t columns, std::int64_t window,
                     const at::TensorOptions& options) {
  const std::int64_t shift = window / 2;
  // 0, 1, 2: the part of the axis that a token came from; the last two share a window only because of the
  // roll.
  const auto parts = [&](std::int64_t length) {
    const at::Tensor index = at::arange(length, options.dtype(at::kLong));
    return (index >= length - window).to(at::kInt) + (index >= length - shift).to(at::kInt);
  };
  const at::Tensor regions = parts(rows).unsqueeze(1) * 3 + parts(columns).unsqueeze(0);
  const at::Tensor region = Partition(regions.view({1, rows, columns, 1}), window).squeeze(2);
  return at::zeros({1}, options).masked_fill(region.unsqueeze(1) != region.unsqueeze(2), kMasked);
}

}  // namespace

at::Tensor WindowAttention::operator()(const at::Tensor& x, const at::Tensor& shift_mask) const {
  const std::int64_t windows = x.size(0), tokens = x.size(1), channels = x.size(2);
  const std::vector<at::Tensor> parts =
      qkv(x).view({windows, tokens, 3, heads, channels / heads}).permute({2, 0, 3, 1, 4}).unbind(0);
  const double scale = 1.0 / std::sqrt(static_cast<double>(channels / heads));
  const at::Tensor index = RelativePositionIndex(window, x.device());
  const at::Tensor bias = bias_table.index_select(0, index).view({tokens, tokens, heads}).permute({2, 0, 1});
  at::Tensor scores = at::matmul(parts[0] * scale, parts[1].transpose(-2, -1)) + bias;
  if (shift_mask.defined()) {
    const std::int64_t per_image = shift_mask.size(0);
    scores =
        (scores.view({-1, per_image, heads, tokens, tokens}) + shift_mask.unsqueeze(1)).view(scores.sizes());
  }
  return projection(
      at::matmul(scores.softmax(-1), parts[2]).transpose(1, 2).reshape({windows, tokens, channels}));
}

Swin::Swin(WeightReader& reader, const bundle::Swin& sizes, const std::string& prefix) : sizes_(sizes) {
  const auto norm = [&](const std::string& name, std::int64_t width) {
    return LayerNorm::Take(reader, prefix + name, width, kLayerNormEps);
  };
  const auto linear = [&](const std::string& name, std::int64_t in, std::int64_t out, bool bias = true) {
    return Linear::Take(reader, prefix + name, in, out, bias);
  };
  const std::int64_t patch = sizes.patch_size, window = sizes.window;
  patch_weight_ = reader.Take(prefix + "patch_embed.proj.weight", {sizes.channels, 3, patch, patch});
  patch_bias_ = reader.Take(prefix + "patch_embed.proj.bias", {sizes.channels});
  patch_norm_ = norm("patch_embed.norm", sizes.channels);
  const std::size_t stages = sizes.depths.size();
  for (std::size_t s = 0; s < stages; ++s) {
    const std::int64_t width = std::int64_t{sizes.channels} << s;
    const std::int64_t heads = sizes.heads[s];
    Stage stage;
    for (int k = 0; k < sizes.depths[s]; ++k) {
      const std::string name = fmt::format("layers.{}.blocks.{}.", s, k);
      Block block;
      block.norm1 = norm(name + "norm1", width);
      block.norm2 = norm(name + "norm2", width);
      block.attention.qkv = linear(name + "attn.qkv", width, 3 * width);
      block.attention.projection = linear(name + "attn.proj", width, width);
      block.attention.bias_table = reader.Take(prefix + name + "attn.relative_position_bias_table",
                                               {(2 * window - 1) * (2 * window - 1), heads});
      block.attention.heads = heads;
      block.attention.window = window;
      block.fc1 = linear(name + "mlp.fc1", width, sizes.mlp_ratio * width);
      block.fc2 = linear(name + "mlp.fc2", sizes.mlp_ratio * width, width);
      block.shifted = k % 2 == 1;
      stage.blocks.push_back(std::move(block));
    }
    if (s > 0) stage.output_norm = norm(fmt::format("norm{}", s), width);
    if (s + 1 < stages) {
      stage.merge_norm = norm(fmt::format("layers.{}.downsample.norm", s), 4 * width);
      stage.merge_reduction =
          linear(fmt::format("layers.{}.downsample.reduction", s), 4 * width, 2 * width, false);
    }
    stages_.push_back(std::move(stage));
  }
}

std::vector<std::int64_t> Swin::OutputChannels(const bundle::Swin& sizes) {
  std::vector<std::int64_t> channels;
  for (std::size_t s = 1; s < sizes.depths.size(); ++s) channels.push_back(std::int64_t{sizes.channels} << s);
  return channels;
}

at::Tensor Swin::EmbedPatches(const at::Tensor& images) const {
  const std::int64_t patch = sizes_.patch_size, height = images.size(2), width = images.size(3);
  const at::Tensor padded =
      at::constant_pad_nd(images, {0, RoundUp(width, patch) - width, 0, RoundUp(height, patch) - height});
  const at::Tensor patches = at::conv2d(padded, patch_weight_, patch_bias_, {patch, patch});
  return patch_norm_(patches.permute({0, 2, 3, 1}).contiguous());
}

at::Tensor Swin::RunBlock(const Block& block, const at::Tensor& x, const at::Tensor& shift_mask) const {
  const std::int64_t window = sizes_.window, rows = x.size(1), columns = x.size(2);
  const std::int64_t padded_rows = RoundUp(rows, window), padded_columns = RoundUp(columns, window);
  const std::int64_t shift = block.shifted ? window / 2 : 0;
  at::Tensor y =
      at::constant_pad_nd(block.norm1(x), {0, 0, 0, padded_columns - columns, 0, padded_rows - rows});
  if (shift > 0) y = at::roll(y, {-shift, -shift}, {1, 2});
  y = block.attention(Partition(y, window), shift > 0 ? shift_mask : at::Tensor());
  y = Unpartition(y, window, padded_rows, padded_columns);
  if (shift > 0) y = at::roll(y, {shift, shift}, {1, 2});
  y = x + y.narrow(1, 0, rows).narrow(2, 0, columns);
  return y + block.fc2(at::gelu(block.fc1(block.norm2(y))));
}

std::vector<at::Tensor> Swin::Forward(const at::Tensor& images) const {
  std::vector<at::Tensor> outputs;
  at::Tensor x = EmbedPatches(images);  // [batch, rows, columns, channels] throughout
  for (std::size_t s = 0; s < stages_.size(); ++s) {
    const Stage& stage = stages_[s];
    const at::Tensor mask = ShiftMask(RoundUp(x.size(1), sizes_.window), RoundUp(x.size(2), sizes_.window),
                                      sizes_.window, x.options());
    for (const Block& block : stage.blocks) x = RunBlock(block, x, mask);
    if (s > 0) outputs.push_back(stage.output_norm(x).permute({0, 3, 1, 2}).contiguous());
    if (s + 1 == stages_.size()) break;
    const at::Tensor even = at::constant_pad_nd(x, {0, 0, 0, x.size(2) % 2, 0, x.size(1) % 2});
    const auto corner = [&](std::int64_t row, std::int64_t column) {
      return even.slice(1, row, c10::nullopt, 2).slice(2, column, c10::nullopt, 2);
    };
    const at::Tensor merged = at::cat({corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1)}, -1);
    x = stage.merge_reduction(stage.merge_norm(merged));
  }
  return outputs;
}

}  // namespace filo::model
