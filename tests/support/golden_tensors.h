// The reference tensors of tests/goldens beside what our networks computed. Test code only; needs LibTorch.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ATen/ATen.h"
#include "nlohmann/json.hpp"
#include "server/bundle/tensor_file.h"
#include "server/model/trace.h"

namespace filo::support {

// A copy of `view` as a tensor of the same type.
at::Tensor AsTensor(const bundle::TensorView& view);

// One file of tests/goldens; aborts the test program when it cannot be read (the files are part of the
// repository).
class GoldenTensors {
 public:
  // `path` below tests/goldens, e.g. "tiny/good04.f64.safetensors".
  explicit GoldenTensors(const std::string& path);

  bool Has(std::string_view name) const { return file_->tensors().contains(name); }
  at::Tensor Get(std::string_view name) const;  // in its own type
  // Names without the suffixes @samples, @shape, @stats of large FULL tensors.
  std::vector<std::string> Names() const;

  // How far `actual` (any float type, shape up to leading ones) lies from golden `name`: rms of the
  // difference over rms of the golden. Where the golden holds samples (goldens README, FULL), the same
  // elements of `actual` are compared. Infinities must stand at the same places and are then left out. +inf
  // when shape or infinities differ.
  double RelativeRms(std::string_view name, const at::Tensor& actual) const;

 private:
  std::shared_ptr<const bundle::TensorFile> file_;
};

nlohmann::json GoldenJson(const std::string& path);

// rms(actual - expected) / rms(expected) over the finite elements; see GoldenTensors::RelativeRms.
double RelativeRms(const at::Tensor& actual, const at::Tensor& expected);
double MaxAbsDifference(const at::Tensor& actual, const at::Tensor& expected);

}  // namespace filo::support
