#include "server/model/input.h"

namespace filo::model {

at::Tensor NormalisedInput(std::span<const std::uint8_t> rgb, std::int64_t height, std::int64_t width,
                           const bundle::Normalisation& normalisation, at::Device device,
                           at::ScalarType dtype) {
  at::Tensor input = at::empty({1, 3, height, width}, at::kFloat);
  float* out = input.data_ptr<float>();
  const std::int64_t plane = height * width;
  for (std::int64_t channel = 0; channel < 3; ++channel) {
    const auto index = static_cast<std::size_t>(channel);
    const float mean = normalisation.mean[index], std = normalisation.std[index];
    const std::uint8_t* in = rgb.data() + channel;
    for (std::int64_t pixel = 0; pixel < plane; ++pixel) {
      out[channel * plane + pixel] = (static_cast<float>(in[3 * pixel]) / 255.0f - mean) / std;
    }
  }
  return input.to(device, dtype);
}

}  // namespace filo::model
