// TINY networks and their inputs, as the goldens were made. Test code only.
#pragma once

#include <string_view>

#include "ATen/ATen.h"
#include "server/bundle/manifest.h"
#include "server/image/resize.h"
#include "server/model/input.h"
#include "server/model/weights.h"
#include "tests/support/golden_images.h"
#include "tests/support/recipe.h"

namespace filo::model {

inline WeightReader TinyClip(bundle::Profile profile) {
  return WeightReader(support::TinyWeights(profile).clip.tensors(), "clip", at::kCPU, at::kFloat);
}
inline WeightReader TinyFilo(bundle::Profile profile) {
  return WeightReader(support::TinyWeights(profile).filo.tensors(), "filo", at::kCPU, at::kFloat);
}

// [1, 3, 126, 126] of one of support::kGoldenImages, from the image file's bytes.
inline at::Tensor TinyClipInput(std::string_view image, const bundle::ImageTower& tower) {
  const image::RgbImage rgb =
      image::ClipInput(support::GoldenImage(image), tower.image_size, tower.colour_order);
  return NormalisedInput(rgb.pixels, rgb.height, rgb.width, tower.normalisation, at::kCPU, at::kFloat);
}

}  // namespace filo::model
