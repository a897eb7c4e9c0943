#include "server/model/mmci.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "fmt/format.h"

namespace filo::model {
namespace {

// [grid * grid, channels] -> [1, channels, grid, grid]
at::Tensor AsImage(const at::Tensor& patches) {
  const auto grid = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(patches.size(0)))));
  return patches.t().reshape({1, patches.size(1), grid, grid});
}

ProjectedKernels::Kernel Project(const MmciKernels::Kernel& kernel, const at::Tensor& rows) {
  const std::int64_t in = kernel.weight.size(1), height = kernel.weight.size(2),
                     width = kernel.weight.size(3);
  const at::Tensor projected = at::matmul(rows, kernel.weight.flatten(1)).reshape({-1, in, height, width});
  return {.taps = projected.flip({2, 3}).permute({0, 2, 3, 1}).reshape({-1, in}),
          .bias = at::mv(rows, kernel.bias),
          .height = height,
          .width = width};
}

}  // namespace

MmciKernels MmciKernels::Take(WeightReader& reader, const bundle::Heads& heads, std::int64_t patch_width,
                              std::int64_t text_width) {
  MmciKernels kernels;
  for (std::size_t stage = 0; stage < heads.mmci_taps.size(); ++stage) {
    std::vector<Kernel>& taken = kernels.stages.emplace_back();
    for (const auto& [height, width] : heads.kernels) {
      const std::string name = fmt::format("decoder_cov.fc_{}{}.{}", height, width, stage);
      taken.push_back({.weight = reader.Take(name + ".weight", {text_width, patch_width, height, width}),
                       .bias = reader.Take(name + ".bias", {text_width})});
    }
  }
  return kernels;
}

std::int64_t ProjectedKernels::bytes() const {
  std::int64_t total = 0;
  for (const auto& stage : stages) {
    for (const Kernel& kernel : stage) {
      total += static_cast<std::int64_t>(kernel.taps.nbytes() + kernel.bias.nbytes());
    }
  }
  return total;
}

ProjectedKernels ProjectKernels(const MmciKernels& kernels, const at::Tensor& rows) {
  ProjectedKernels projected{.stages = {}, .rows = rows.size(0)};
  for (const auto& stage : kernels.stages) {
    auto& out = projected.stages.emplace_back();
    for (const MmciKernels::Kernel& kernel : stage) out.push_back(Project(kernel, rows));
  }
  return projected;
}

at::Tensor KernelLogits(const std::vector<ProjectedKernels::Kernel>& stage, const at::Tensor& patches) {
  const auto grid = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(patches.size(0)))));
  std::vector<at::Tensor> all_taps, logits;
  for (const ProjectedKernels::Kernel& kernel : stage) all_taps.push_back(kernel.taps);
  // With so few output channels a convolution is best done as one matrix product with every tap of every
  // kernel, [sum of rows * taps, patches], followed by adding each tap's plane at its offset. Adding planes
  // is what col2im does; it adds at +offset where a cross-correlation reads from +offset, hence the flipped
  // taps.
  const at::Tensor planes = at::matmul(at::cat(all_taps, 0), patches.t());
  std::int64_t begin = 0;
  for (const ProjectedKernels::Kernel& kernel : stage) {
    const std::int64_t count = kernel.taps.size(0);
    const at::Tensor sum = at::col2im(planes.slice(0, begin, begin + count).unsqueeze(0), {grid, grid},
                                      {kernel.height, kernel.width}, /*dilation=*/{1, 1},
                                      {kernel.height / 2, kernel.width / 2}, /*stride=*/{1, 1});
    logits.push_back(sum[0] + kernel.bias.reshape({-1, 1, 1}));
    begin += count;
  }
  return at::stack(logits);
}

FoldedKernels FoldKernels(const MmciKernels& kernels) {
  std::int64_t height = 1, width = 1;
  for (const MmciKernels::Kernel& kernel : kernels.stages.front()) {
    height = std::max(height, kernel.weight.size(2));
    width = std::max(width, kernel.weight.size(3));
  }
  std::vector<at::Tensor> weights, biases;
  for (const auto& stage : kernels.stages) {
    const MmciKernels::Kernel& first = stage.front();
    // Summed in double precision so that folding adds no rounding of its own beyond the last.
    at::Tensor weight = at::zeros({first.weight.size(0), first.weight.size(1), height, width},
                                  first.weight.options().dtype(at::kDouble));
    at::Tensor bias = at::zeros_like(first.bias, at::kDouble);
    for (const MmciKernels::Kernel& kernel : stage) {
      const std::int64_t h = kernel.weight.size(2), w = kernel.weight.size(3);
      weight.narrow(2, (height - h) / 2, h).narrow(3, (width - w) / 2, w).add_(kernel.weight);
      bias.add_(kernel.bias);
    }
    weights.push_back(weight.to(first.weight.scalar_type()));
    biases.push_back(bias.to(first.bias.scalar_type()));
  }
  return {.weight = at::cat(weights),
          .bias = at::cat(biases),
          .stages = static_cast<std::int64_t>(kernels.stages.size())};
}

std::vector<at::Tensor> Convolve(const FoldedKernels& folded, const std::vector<at::Tensor>& patches) {
  const std::array<std::int64_t, 2> same{folded.weight.size(2) / 2, folded.weight.size(3) / 2};
  const std::int64_t channels = folded.weight.size(0) / folded.stages;
  const auto convolve = [&](const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
    return at::conv2d(AsImage(x), weight, bias, /*stride=*/{1, 1}, same)[0].flatten(1).t();
  };
  const bool shared = std::all_of(patches.begin(), patches.end(), [&](const at::Tensor& stage) {
    return stage.is_alias_of(patches.front());
  });
  if (shared) return convolve(patches.front(), folded.weight, folded.bias).split(channels, 1);
  std::vector<at::Tensor> outputs;
  for (std::int64_t stage = 0; stage < folded.stages; ++stage) {
    const std::int64_t begin = stage * channels;
    outputs.push_back(convolve(patches[static_cast<std::size_t>(stage)],
                               folded.weight.narrow(0, begin, channels),
                               folded.bias.narrow(0, begin, channels)));
  }
  return outputs;
}

}  // namespace filo::model
