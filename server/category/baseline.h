// The map that good parts show anyway: fixtures and outlines that always glow. Its mean over good images can
// be subtracted.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace filo::category {

// Row-major mean map, values in [0, 1], resolution 1/65535. Immutable once shared.
struct Baseline {
  int height = 0, width = 0;
  int images = 0;
  std::vector<std::uint16_t> values;  // 65535 = 1
};

// Collects maps of good images. Not thread-safe.
class BaselineBuilder {
 public:
  // Row-major, values in [0, 1] (others are clipped). kInvalidArgument when the size differs from the first
  // map's, or does not fit `values`.
  absl::Status Add(std::span<const float> values, int height, int width);
  int images() const { return images_; }
  // kFailedPrecondition when nothing was added.
  absl::StatusOr<Baseline> Finish() const;

 private:
  int height_ = 0, width_ = 0, images_ = 0;
  std::vector<double> sum_;
};

// map = max(0, map - baseline), element by element. kFailedPrecondition when the sizes differ.
absl::Status Subtract(const Baseline& baseline, int height, int width, std::span<float> map);

// Bytes for the store (self-describing, checked on reading: kDataLoss).
std::string Serialise(const Baseline& baseline);
absl::StatusOr<Baseline> ParseBaseline(std::string_view bytes);

}  // namespace filo::category
