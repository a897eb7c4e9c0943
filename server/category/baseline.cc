#include "server/category/baseline.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "fmt/format.h"

namespace filo::category {
namespace {

constexpr std::string_view kMagic = "FILOBASE1";
constexpr std::size_t kHeaderBytes = 9 + 3 * 4;
constexpr int kMaxSide = 1 << 15;

bool Fits(std::size_t count, int height, int width) {
  return height > 0 && width > 0 && height <= kMaxSide && width <= kMaxSide &&
         count == static_cast<std::size_t>(height) * static_cast<std::size_t>(width);
}

}  // namespace

absl::Status BaselineBuilder::Add(std::span<const float> values, int height, int width) {
  if (!Fits(values.size(), height, width)) {
    return absl::InvalidArgumentError(
        fmt::format("a map of {} x {} cannot have {} values", height, width, values.size()));
  }
  if (images_ == 0) {
    height_ = height;
    width_ = width;
    sum_.assign(values.size(), 0);
  } else if (height != height_ || width != width_) {
    return absl::InvalidArgumentError(
        fmt::format("the map is {} x {}, those before it were {} x {}: a baseline needs "
                    "images of one size",
                    height, width, height_, width_));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const float value = values[i];
    sum_[i] += value > 0 ? std::min(value, 1.0f) : 0.0f;  // a NaN counts as 0
  }
  ++images_;
  return absl::OkStatus();
}

absl::StatusOr<Baseline> BaselineBuilder::Finish() const {
  if (images_ == 0)
    return absl::FailedPreconditionError("a baseline needs at least one image of a good part");
  Baseline out{.height = height_, .width = width_, .images = images_, .values = {}};
  out.values.reserve(sum_.size());
  for (const double sum : sum_)
    out.values.push_back(static_cast<std::uint16_t>(std::lround(sum / images_ * 65535)));
  return out;
}

absl::Status Subtract(const Baseline& baseline, int height, int width, std::span<float> map) {
  if (height != baseline.height || width != baseline.width || map.size() != baseline.values.size()) {
    return absl::FailedPreconditionError(
        fmt::format("the baseline map is {} x {}, the image's map is {} x {}", baseline.height,
                    baseline.width, height, width));
  }
  for (std::size_t i = 0; i < map.size(); ++i) {
    map[i] = std::max(0.0f, map[i] - static_cast<float>(baseline.values[i]) / 65535.0f);
  }
  return absl::OkStatus();
}

std::string Serialise(const Baseline& baseline) {
  std::string out(kMagic);
  const auto put = [&](std::uint32_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  };
  put(static_cast<std::uint32_t>(baseline.height), 4);
  put(static_cast<std::uint32_t>(baseline.width), 4);
  put(static_cast<std::uint32_t>(baseline.images), 4);
  out.reserve(out.size() + 2 * baseline.values.size());
  for (const std::uint16_t value : baseline.values) put(value, 2);
  return out;
}

absl::StatusOr<Baseline> ParseBaseline(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, kMagic.size()) != kMagic) {
    return absl::DataLossError("stored baseline map: is no baseline map");
  }
  const auto get = [&](std::size_t at, int count) {
    std::uint32_t value = 0;
    for (int i = 0; i < count; ++i) {
      value |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(bytes[at + static_cast<std::size_t>(i)]))
               << (8 * i);
    }
    return value;
  };
  Baseline out;
  out.height = static_cast<int>(get(9, 4));
  out.width = static_cast<int>(get(13, 4));
  out.images = static_cast<int>(get(17, 4));
  const std::size_t count = (bytes.size() - kHeaderBytes) / 2;
  if (!Fits(count, out.height, out.width) || bytes.size() != kHeaderBytes + 2 * count || out.images < 1) {
    return absl::DataLossError("stored baseline map: its size does not fit its header");
  }
  for (std::size_t i = 0; i < count; ++i) {
    out.values.push_back(static_cast<std::uint16_t>(get(kHeaderBytes + 2 * i, 2)));
  }
  return out;
}

}  // namespace filo::category
