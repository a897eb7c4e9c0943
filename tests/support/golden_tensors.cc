#include "tests/support/golden_tensors.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <set>
#include <string>

#include "fmt/format.h"

namespace filo::support {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::abort();
}

at::ScalarType TypeOf(bundle::DType dtype) {
  switch (dtype) {
    case bundle::DType::kBool:
      return at::kBool;
    case bundle::DType::kU8:
      return at::kByte;
    case bundle::DType::kI8:
      return at::kChar;
    case bundle::DType::kI16:
      return at::kShort;
    case bundle::DType::kI32:
      return at::kInt;
    case bundle::DType::kI64:
      return at::kLong;
    case bundle::DType::kF16:
      return at::kHalf;
    case bundle::DType::kBF16:
      return at::kBFloat16;
    case bundle::DType::kF32:
      return at::kFloat;
    case bundle::DType::kF64:
      return at::kDouble;
  }
  Die("unknown dtype");
}

}  // namespace

at::Tensor AsTensor(const bundle::TensorView& view) {
  at::Tensor bytes = at::empty({static_cast<std::int64_t>(view.bytes.size())}, at::kByte);
  std::copy_n(reinterpret_cast<const std::uint8_t*>(view.bytes.data()), view.bytes.size(),
              bytes.data_ptr<std::uint8_t>());
  return bytes.view(TypeOf(view.dtype)).reshape(view.shape);
}

GoldenTensors::GoldenTensors(const std::string& path) {
  auto file = bundle::TensorFile::Open(fmt::format("{}/{}", FILO_GOLDENS, path));
  if (!file.ok()) Die(std::string(file.status().message()));
  file_ = *std::move(file);
}

at::Tensor GoldenTensors::Get(std::string_view name) const {
  const auto found = file_->tensors().find(name);
  if (found == file_->tensors().end()) Die(fmt::format("{}: no tensor {}", file_->path(), name));
  return AsTensor(found->second);
}

std::vector<std::string> GoldenTensors::Names() const {
  std::set<std::string> names;
  for (const auto& [name, view] : file_->tensors()) names.insert(name.substr(0, name.find('@')));
  return {names.begin(), names.end()};
}

double GoldenTensors::RelativeRms(std::string_view name, const at::Tensor& actual) const {
  if (Has(name)) return support::RelativeRms(actual, Get(name));
  const at::Tensor samples = Get(fmt::format("{}@samples", name)), shape = Get(fmt::format("{}@shape", name));
  const std::int64_t count = samples.numel();
  if (actual.numel() != shape.prod().item<std::int64_t>()) return kInfinity;
  const at::Tensor where = at::floor_divide(at::arange(count, at::kLong) * actual.numel(), count);
  return support::RelativeRms(actual.reshape({-1}).index_select(0, where), samples);
}

nlohmann::json GoldenJson(const std::string& path) {
  std::ifstream in(fmt::format("{}/{}", FILO_GOLDENS, path));
  nlohmann::json json = nlohmann::json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) Die(fmt::format("{} is missing or not JSON", path));
  return json;
}

double RelativeRms(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.numel() != expected.numel()) return kInfinity;
  const at::Tensor a = actual.detach().to(at::kCPU, at::kDouble).reshape({-1});
  const at::Tensor e = expected.to(at::kDouble).reshape({-1});
  const at::Tensor finite = at::isfinite(e);
  if (!at::equal(a.masked_select(finite.logical_not()), e.masked_select(finite.logical_not())))
    return kInfinity;
  const at::Tensor difference = (a - e).masked_select(finite);
  const double scale = e.masked_select(finite).square().mean().sqrt().item<double>();
  const double rms = difference.square().mean().sqrt().item<double>();
  if (std::isnan(rms)) return kInfinity;
  return rms == 0 ? 0 : rms / scale;
}

double MaxAbsDifference(const at::Tensor& actual, const at::Tensor& expected) {
  if (actual.numel() != expected.numel()) return kInfinity;
  const at::Tensor difference =
      actual.detach().to(at::kCPU, at::kDouble).reshape({-1}) - expected.to(at::kDouble).reshape({-1});
  const double largest = difference.abs().max().item<double>();
  return std::isnan(largest) ? kInfinity : largest;
}

}  // namespace filo::support
