// Preliminary localisation (spec sections 4, 8 and 9.5-9.7): from what Grounding DINO says about every query
// to the boxes kept, their phrases, which of them count, the position word, and the pixels that the boxes
// protect.
//
// Plain numbers in and out, no tensors. Pure functions, thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "server/bundle/manifest.h"
#include "server/detection/detector.h"
#include "server/text/caption.h"

namespace filo::detection {

struct LocalisationOptions {
  bundle::Profile profile = bundle::Profile::kPaper;
  float box_threshold = 0;   // 0.25: a query is kept when its largest token probability is above
  float text_threshold = 0;  // 0.25: tokens of its phrase are those above
  float max_box_area = 0;    // 0.7: and its area is below, as a share of the image
  int position_extent = 0;   // 518: square on which `released` places centres

  static LocalisationOptions FromManifest(const bundle::Manifest& manifest);
};

// What the network said. Probabilities are after the sigmoid.
struct Queries {
  std::span<const float> probabilities;  // [queries, tokens] row-major; 0 for padding
  std::size_t tokens = 0;                // row length, at least the caption's
  std::span<const float> boxes;  // [queries, 4]: centre x, centre y, width, height; 1 = the whole image
};

struct KeptBox {
  std::size_t query = 0;
  std::array<float, 4> box{};  // centre x, centre y, width, height; 1 = the whole image
  float confidence = 0;        // largest token probability
  std::string phrase;          // without the score
  bool counts = false;         // a general word or a description occurs in the phrase
};

struct Localisation {
  std::vector<KeptBox> boxes;  // in the order of the queries; at least one unless there are no queries
  std::optional<std::size_t> position_box;  // index into boxes: the counting box that gave the position
  std::array<float, 2>
      centre{};  // of that box (or of the middle cell): `released` in position_extent, else 0..1
  std::optional<int>
      position;  // row-major cell of the 3x3 grid; none (`released` only) = in a gap or outside
};

// `words` are those of the caption, as text::GroundingWords gives them. A box counts for what its phrase says
// beside the `harmless` phrases ("serial number"; compared in lower case).
Localisation Localise(const LocalisationOptions& options, const text::BertTokenizer& tokenizer,
                      const text::Caption& caption, std::span<const std::string> words,
                      const Queries& queries, std::span<const std::string> harmless = {});

// The first four characters of Python's repr of `confidence`: what the released code prints behind a phrase,
// and compares boxes by ("0.6" as float32 reads 0.60000002384 or 0.59999996424: "0.60" or "0.59").
std::string ScoreText(float confidence);

// A half-open rectangle of pixels; empty unless x0 < x1 and y0 < y1.
struct PixelBox {
  int x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

// Pixels of a width x height map that each kept box protects in `released`: corners cut to whole numbers and
// read as Python slices (a negative bound counts from the far end); boxes that do not count stay normalised,
// and so cover nothing, or the pixel (0, 0).
std::vector<PixelBox> ProtectedPixels(const Localisation& localisation, int width, int height);

// The box step of `released`: pixels outside every box are multiplied by `factor`; a pixel that is exactly 1
// stays. `map` is row-major, width * height long.
void DampOutside(std::span<const PixelBox> boxes, int width, int height, float factor, std::span<float> map);

// The kept boxes in pixels of the original image, clipped to it, best first, and which of them gave the
// position.
struct ImageBoxes {
  std::vector<Box> boxes;
  std::optional<std::size_t> position_box;
};
ImageBoxes ToImage(const Localisation& localisation, int image_width, int image_height);

}  // namespace filo::detection
