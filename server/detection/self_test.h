// A bundle's self-test: a small input and the answer that this very code gave when the bundle was made. A
// server that cannot repeat it (another machine's arithmetic, a damaged library) refuses to start rather than
// judge parts wrongly.
//
// File: safetensors with "image" u8 [height, width, 3], "score", "global_score", "map_max" f64 [1], "map" f32
// [size, size].
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/bundle/bundle.h"
#include "server/detection/detector.h"
#include "server/image/image.h"

namespace filo::detection {

// Detects on the bundle's own test image and compares. OK if the bundle has no self-test. kFailedPrecondition
// with the numbers when a score or a map deviates by more than the manifest allows; kInvalidArgument when the
// file is no self-test.
absl::Status RunSelfTest(const Detector& detector, const bundle::Bundle& bundle);

struct SelfTestRecipe {
  image::RgbImage image;
  std::string class_name;
  std::vector<std::string> descriptions;
  double score_tolerance = 1e-3;
  double map_tolerance = 1e-3;
};

// Computes the answers with the bundle in `directory`, writes them there as self_test.safetensors and names
// them in its manifest. A self-test that was there before is replaced.
absl::Status AddSelfTest(const std::string& directory, const SelfTestRecipe& recipe);

}  // namespace filo::detection
