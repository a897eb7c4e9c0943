#include "tests/support/golden_images.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "server/image/decode.h"

namespace filo::support {
namespace {

std::string PathOf(std::string_view name) {
  if (name == "good04") return FILO_TEST_DATA "/hazelnut/good/04.jpg";
  if (name == "colour00") return FILO_TEST_DATA "/hazelnut/colour/00.jpg";
  return FILO_GOLDENS "/inputs/synth_640x427.png";
}

}  // namespace

std::vector<std::byte> GoldenImageBytes(std::string_view name) {
  std::ifstream in(PathOf(name), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const auto* data = reinterpret_cast<const std::byte*>(bytes.data());
  return {data, data + bytes.size()};
}

image::Image GoldenImage(std::string_view name) {
  absl::StatusOr<image::Image> image = image::Decode(GoldenImageBytes(name), image::DecodeLimits{});
  if (!image.ok()) {
    std::fprintf(stderr, "%s\n", std::string(image.status().message()).c_str());
    std::abort();
  }
  return *std::move(image);
}

}  // namespace filo::support
