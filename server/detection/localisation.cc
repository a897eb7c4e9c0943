#include "server/detection/localisation.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "fmt/format.h"
#include "server/text/unicode.h"

namespace filo::detection {
namespace {

constexpr int kCentreCell = 4;

std::span<const float> Row(const Queries& queries, std::size_t query) {
  return queries.probabilities.subspan(query * queries.tokens, queries.tokens);
}

// What is looked for in a phrase. `released` takes the words as they are; otherwise capitals and stray spaces
// do not matter, and a word also counts in the form that decoding its tokens gives ("mis-shaped" reads "mis -
// shaped").
std::vector<std::string> CountingWords(const LocalisationOptions& options,
                                       const text::BertTokenizer& tokenizer,
                                       std::span<const std::string> words) {
  std::vector<std::string> out(words.begin(), words.end());
  if (options.profile == bundle::Profile::kReleased) return out;
  out.clear();
  for (const std::string& word : words) {
    const std::u32string lower = text::Lower(text::FromUtf8(word));
    const std::u32string_view stripped = text::Strip(lower);
    if (stripped.empty()) continue;
    out.push_back(text::ToUtf8(stripped));
    const std::vector<std::int64_t> ids = tokenizer.Encode(word);
    std::string decoded = tokenizer.Decode(std::span(ids).subspan(1, ids.size() - 2));
    if (!decoded.empty() && decoded != out.back()) out.push_back(std::move(decoded));
  }
  return out;
}

// `phrase` without the harmless ones.
std::string WithoutHarmless(std::string phrase, std::span<const std::string> harmless) {
  for (const std::string& word : harmless) {
    for (std::size_t at = 0; !word.empty() && (at = phrase.find(word, at)) != std::string::npos;) {
      phrase.replace(at, word.size(), " ");
    }
  }
  return phrase;
}

// Queries above the thresholds; if there are none, the most confident one whatever its area.
std::vector<std::size_t> Keep(const LocalisationOptions& options, const Queries& queries,
                              std::span<const float> confidences) {
  std::vector<std::size_t> kept;
  for (std::size_t q = 0; q < confidences.size(); ++q) {
    const float area = queries.boxes[q * 4 + 2] * queries.boxes[q * 4 + 3];
    if (confidences[q] > options.box_threshold && area < options.max_box_area) kept.push_back(q);
  }
  if (kept.empty() && !confidences.empty()) {
    const auto best = std::max_element(confidences.begin(), confidences.end());
    kept.push_back(static_cast<std::size_t>(best - confidences.begin()));
  }
  return kept;
}

struct Corners {
  float x0, y0, x1, y1;
};

// In single precision and in the order of the released code, whose comparisons sit on the last bit.
Corners CornersOf(const std::array<float, 4>& box, float width, float height) {
  const float w = box[2] * width, h = box[3] * height;
  const float x0 = box[0] * width - w / 2, y0 = box[1] * height - h / 2;
  return {x0, y0, w + x0, h + y0};
}

// The released grid has gaps: 0-172, 173-344, 345-517 in a 518-pixel square, both ends included.
std::optional<int> GappyCell(float value, int extent) {
  const int third = extent / 3;  // 172
  const int starts[] = {0, third + 1, 2 * third + 1};
  const int ends[] = {third, 2 * third, extent - 1};
  for (int cell = 0; cell < 3; ++cell) {
    if (static_cast<float>(starts[cell]) <= value && value <= static_cast<float>(ends[cell])) return cell;
  }
  return std::nullopt;
}

int PlainCell(float value) {
  return std::clamp(static_cast<int>(std::floor(std::clamp(value, 0.f, 1.f) * 3)), 0, 2);
}

void NamePositionReleased(const LocalisationOptions& options, Localisation& out) {
  double best = 0;
  for (std::size_t i = 0; i < out.boxes.size(); ++i) {
    if (!out.boxes[i].counts) continue;
    const double score = std::strtod(ScoreText(out.boxes[i].confidence).c_str(), nullptr);
    if (score >= best) {
      best = score;
      out.position_box = i;
    }
  }
  const auto extent = static_cast<float>(options.position_extent);
  out.centre = {extent / 2, extent / 2};
  if (out.position_box.has_value()) {
    const Corners c = CornersOf(out.boxes[*out.position_box].box, extent, extent);
    out.centre = {(c.x0 + c.x1) / 2, (c.y0 + c.y1) / 2};
  }
  const auto column = GappyCell(out.centre[0], options.position_extent);
  const auto row = GappyCell(out.centre[1], options.position_extent);
  if (column.has_value() && row.has_value()) out.position = *row * 3 + *column;
}

void NamePositionPaper(Localisation& out) {
  out.centre = {0.5f, 0.5f};
  out.position = kCentreCell;
  for (std::size_t i = 0; i < out.boxes.size(); ++i) {
    const KeptBox& box = out.boxes[i];
    if (!box.counts) continue;
    if (!out.position_box.has_value() || box.confidence > out.boxes[*out.position_box].confidence)
      out.position_box = i;
  }
  if (!out.position_box.has_value()) return;
  const std::array<float, 4>& box = out.boxes[*out.position_box].box;
  out.centre = {box[0], box[1]};
  out.position = PlainCell(box[1]) * 3 + PlainCell(box[0]);
}

// [begin, end) as Python reads begin:end on `size` elements; empty ranges come back as begin >= end.
void Slice(float begin, float end, int size, int& first, int& last) {
  const auto bound = [&](float value) {
    // Beyond what an int holds, the result is the same as at the far end.
    const float limit = 4.0f * static_cast<float>(size) + 4;
    int whole = static_cast<int>(std::clamp(std::isnan(value) ? 0.f : value, -limit, limit));
    if (whole < 0) whole += size;
    return std::clamp(whole, 0, size);
  };
  first = bound(begin);
  last = bound(end);
}

}  // namespace

LocalisationOptions LocalisationOptions::FromManifest(const bundle::Manifest& manifest) {
  return {.profile = manifest.profile,
          .box_threshold = manifest.grounding.box_threshold,
          .text_threshold = manifest.grounding.text_threshold,
          .max_box_area = manifest.grounding.max_box_area,
          .position_extent = manifest.decision.position_extent};
}

std::string ScoreText(float confidence) {
  std::string repr = fmt::format("{}", static_cast<double>(confidence));
  // Python always shows a whole number as one of a fraction.
  if (repr.find_first_not_of("-0123456789") == std::string::npos) repr += ".0";
  return repr.substr(0, 4);
}

Localisation Localise(const LocalisationOptions& options, const text::BertTokenizer& tokenizer,
                      const text::Caption& caption, std::span<const std::string> words,
                      const Queries& queries, std::span<const std::string> harmless) {
  Localisation out;
  const std::size_t count = queries.tokens == 0 ? 0 : queries.probabilities.size() / queries.tokens;
  std::vector<float> confidences(count);
  for (std::size_t q = 0; q < count; ++q) {
    const std::span<const float> row = Row(queries, q);
    confidences[q] = *std::max_element(row.begin(), row.end());
  }
  const bool released = options.profile == bundle::Profile::kReleased;
  const std::vector<std::string> counting = CountingWords(options, tokenizer, words);
  LocalisationOptions plain = options;
  plain.profile =
      bundle::Profile::kPaper;  // harmless phrases are no part of the released code: spelt as one likes
  const std::vector<std::string> ignored = CountingWords(plain, tokenizer, harmless);
  for (const std::size_t q : Keep(options, queries, confidences)) {
    KeptBox box;
    box.query = q;
    std::copy_n(queries.boxes.begin() + static_cast<std::ptrdiff_t>(q * 4), 4, box.box.begin());
    box.confidence = confidences[q];
    box.phrase = text::DecodePhrase(tokenizer, caption, Row(queries, q), options.text_threshold);
    // The released code looks into the phrase with its score behind it.
    const std::string left = WithoutHarmless(box.phrase, ignored);
    const std::string looked_at = released ? fmt::format("{}({})", left, ScoreText(box.confidence)) : left;
    box.counts = std::any_of(counting.begin(), counting.end(), [&](const std::string& word) {
      return looked_at.find(word) != std::string::npos;
    });
    out.boxes.push_back(std::move(box));
  }
  if (released) {
    NamePositionReleased(options, out);
  } else {
    NamePositionPaper(out);
  }
  return out;
}

std::vector<PixelBox> ProtectedPixels(const Localisation& localisation, int width, int height) {
  std::vector<PixelBox> out;
  for (const KeptBox& kept : localisation.boxes) {
    const Corners c = kept.counts ? CornersOf(kept.box, static_cast<float>(width), static_cast<float>(height))
                                  : Corners{kept.box[0], kept.box[1], kept.box[2], kept.box[3]};
    PixelBox box;
    Slice(c.x0, c.x1, width, box.x0, box.x1);
    Slice(c.y0, c.y1, height, box.y0, box.y1);
    out.push_back(box);
  }
  return out;
}

void DampOutside(std::span<const PixelBox> boxes, int width, int height, float factor, std::span<float> map) {
  const auto w = static_cast<std::size_t>(width);
  std::vector<char> kept(w * static_cast<std::size_t>(height), 0);
  for (const PixelBox& box : boxes) {
    for (int y = box.y0; y < box.y1 && box.x0 < box.x1; ++y) {
      const auto row = kept.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(y) * w);
      std::fill(row + box.x0, row + box.x1, 1);
    }
  }
  for (std::size_t i = 0; i < map.size() && i < kept.size(); ++i) {
    if (kept[i] == 0 && map[i] != 1.0f) map[i] *= factor;
  }
}

ImageBoxes ToImage(const Localisation& localisation, int image_width, int image_height) {
  std::vector<std::size_t> order(localisation.boxes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return localisation.boxes[a].confidence > localisation.boxes[b].confidence;
  });
  const auto width = static_cast<float>(image_width), height = static_cast<float>(image_height);
  ImageBoxes out;
  for (const std::size_t i : order) {
    const KeptBox& kept = localisation.boxes[i];
    const Corners c = CornersOf(kept.box, width, height);
    if (localisation.position_box == i) out.position_box = out.boxes.size();
    out.boxes.push_back({.x0 = std::clamp(c.x0, 0.f, width),
                         .y0 = std::clamp(c.y0, 0.f, height),
                         .x1 = std::clamp(c.x1, 0.f, width),
                         .y1 = std::clamp(c.y1, 0.f, height),
                         .confidence = kept.confidence,
                         .phrase = kept.phrase,
                         .counts = kept.counts});
  }
  return out;
}

}  // namespace filo::detection
