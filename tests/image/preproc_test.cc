// Every byte of the 18 golden images, by both preprocessings (goldens/README.md, "preproc/").
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "server/image/decode.h"
#include "server/image/resize.h"
#include "tests/image/test_support.h"

namespace filo::image {
namespace {

using bundle::ColourOrder;
using nlohmann::json;

const std::string kFolder = std::string(FILO_GOLDENS) + "/preproc/";

const json& Goldens() {
  static const json goldens = json::parse(std::ifstream(kFolder + "preproc.json"));
  return goldens;
}

Image DecodeAsPillow(const std::string& path) {
  const auto bytes = testing::ReadFile(path);
  auto image = Decode(bytes, DecodeLimits{}, {.significant_bits = 0, .gray16 = Gray16::kPillow});
  EXPECT_TRUE(image.ok()) << path << ": " << image.status();
  return image.ok() ? *std::move(image) : Image{};
}

// Sample pixels first, because they say where; the digest says that nothing else differs.
void ExpectGolden(const RgbImage& actual, const json& golden, const std::string& what) {
  SCOPED_TRACE(what);
  ASSERT_EQ(actual.height, golden["shape"][0]);
  ASSERT_EQ(actual.width, golden["shape"][1]);
  for (const json& sample : golden["pixels_row_col_rgb"]) {
    const std::size_t at = (sample[0].get<std::size_t>() * actual.width + sample[1].get<std::size_t>()) * 3;
    for (int c = 0; c < 3; ++c) {
      ASSERT_EQ(actual.pixels[at + c], sample[2 + c]) << "row " << sample[0] << " column " << sample[1];
    }
  }
  EXPECT_EQ(testing::Sha256(actual.pixels), golden["sha256"]);
}

class PreprocTest : public ::testing::TestWithParam<int> {
 protected:
  const json& golden() const { return Goldens()["images"][GetParam()]; }
  Image image() const { return DecodeAsPillow(kFolder + "images/" + golden()["file"].get<std::string>()); }
};

TEST_P(PreprocTest, DecodesInPillowsModeToPillowsPixels) {
  const Image decoded = image();
  std::string mode = golden()["pil_mode"];
  if (decoded.mode == Mode::kPaletteAlpha) mode += " with transparency";
  EXPECT_EQ(ModeName(decoded.mode), mode);
  EXPECT_EQ(decoded.width, golden()["size"][0]);
  EXPECT_EQ(decoded.height, golden()["size"][1]);
  ExpectGolden(ConvertToRgb(decoded), golden()["rgb"], "rgb");
}

TEST_P(PreprocTest, ClipInputEqualsPillow) {
  const Image decoded = image();
  ExpectGolden(ClipInput(decoded, 518, ColourOrder::kResizeThenConvert), golden()["clip_official"],
               "clip_official");
  ExpectGolden(ClipInput(decoded, 518, ColourOrder::kConvertThenResize), golden()["clip_convert_first"],
               "clip_convert_first");
  ExpectGolden(ClipInput(decoded, 126, ColourOrder::kConvertThenResize), golden()["clip126"], "clip126");
}

TEST_P(PreprocTest, GroundingInputEqualsPillow) {
  const Image decoded = image();
  ExpectGolden(GroundingInput(decoded, 518, 1333), golden()["gdino"], "gdino");
  ExpectGolden(GroundingInput(decoded, 126, 320), golden()["gdino126"], "gdino126");
}

INSTANTIATE_TEST_SUITE_P(Images, PreprocTest, ::testing::Range(0, 18));

TEST(PreprocGoldens, AreEighteen) { EXPECT_EQ(Goldens()["images"].size(), 18u); }

}  // namespace
}  // namespace filo::image
