#include "server/category/validation.h"

#include <unicode/uchar.h>

#include <array>
#include <cmath>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/text/caption.h"
#include "server/text/prompts.h"
#include "server/text/unicode.h"

namespace filo::category {
namespace {

std::string Path(std::string_view field, std::string_view name) { return fmt::format("{}.{}", field, name); }

// Empty, or what must not be in a text: shown to the caller as "not contain ...".
std::string ForbiddenCharacter(std::u32string_view text) {
  for (const char32_t c : text) {
    const int category = u_charType(static_cast<UChar32>(c));
    const bool direction =
        (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0x200E || c == 0x200F;
    if (direction)
      return fmt::format("U+{:04X}, which changes the direction of text", static_cast<unsigned>(c));
    if (category == U_CONTROL_CHAR || category == U_PRIVATE_USE_CHAR || category == U_UNASSIGNED ||
        category == U_LINE_SEPARATOR || category == U_PARAGRAPH_SEPARATOR || c == 0xFFFD) {
      return fmt::format("U+{:04X}, which is no printable character", static_cast<unsigned>(c));
    }
  }
  return "";
}

absl::Status ValidateText(std::string_view value, const std::string& field,
                          std::size_t max_bytes = kMaxTextBytes) {
  if (value.empty() || value.size() > max_bytes) {
    return FieldError(field, value, fmt::format("be 1 to {} bytes long", max_bytes));
  }
  // Ill-formed bytes are shown as U+FFFD: the message travels in a protobuf string.
  const std::u32string characters = text::FromUtf8(value);
  if (!text::IsWellFormedUtf8(value)) return FieldError(field, text::ToUtf8(characters), "be valid UTF-8");
  if (const std::string forbidden = ForbiddenCharacter(characters); !forbidden.empty()) {
    return FieldError(field, value, fmt::format("not contain {}", forbidden));
  }
  bool has_word = false;
  for (const char32_t c : characters) has_word = has_word || text::IsAlnum(c);
  if (!has_word) return FieldError(field, value, "contain a letter or a digit");
  const std::string lower = text::ToUtf8(text::Lower(characters));
  for (const std::string_view token :
       {"<start_of_text>", "<end_of_text>", "[cls]", "[sep]", "[unk]", "[pad]", "[mask]"}) {
    if (lower.find(token) != std::string::npos) {
      return FieldError(field, value,
                        fmt::format("not contain \"{}\", which the tokenizer reads as a command", token));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateTexts(const std::vector<std::string>& values, const std::string& field,
                           std::size_t max_count) {
  if (values.size() > max_count) {
    return FieldError(field, fmt::format("{} entries", values.size()),
                      fmt::format("have at most {} entries", max_count));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    FILO_RETURN_IF_ERROR(ValidateText(values[i], fmt::format("{}[{}]", field, i)));
  }
  return absl::OkStatus();
}

absl::Status ValidateStates(const std::vector<std::string>& states, const std::string& field) {
  if (states.size() > kMaxStates) {
    return FieldError(field, fmt::format("{} entries", states.size()),
                      fmt::format("have at most {} entries", kMaxStates));
  }
  for (std::size_t i = 0; i < states.size(); ++i) {
    const std::string path = fmt::format("{}[{}]", field, i);
    const std::size_t at = states[i].find("{}");
    if (at == std::string::npos)
      return FieldError(path, states[i], "contain \"{}\" where the class name belongs");
    // "{}" alone is a state; with letters added it passes for a text.
    FILO_RETURN_IF_ERROR(ValidateText(states[i] == "{}" ? "part" : states[i], path));
  }
  return absl::OkStatus();
}

double Cross(const Point& o, const Point& a, const Point& b) {
  return (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x);
}

// Whether the open segments a-b and c-d have a point in common.
bool SegmentsCross(const Point& a, const Point& b, const Point& c, const Point& d) {
  const double d1 = Cross(c, d, a), d2 = Cross(c, d, b), d3 = Cross(a, b, c), d4 = Cross(a, b, d);
  return ((d1 > 0 && d2 < 0) || (d1 < 0 && d2 > 0)) && ((d3 > 0 && d4 < 0) || (d3 < 0 && d4 > 0));
}

bool SidesCross(const Polygon& p) {
  const std::size_t n = p.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = i + 2; k < n; ++k) {
      if (i == 0 && k == n - 1) continue;  // neighbours
      if (SegmentsCross(p[i], p[i + 1], p[k], p[(k + 1) % n])) return true;
    }
  }
  return false;
}

absl::Status ValidatePolygon(const Polygon& polygon, const std::string& field) {
  if (polygon.size() < 3 || polygon.size() > kMaxPolygonPoints) {
    return FieldError(field, fmt::format("{} points", polygon.size()),
                      fmt::format("have 3 to {} points", kMaxPolygonPoints));
  }
  double area = 0;
  for (std::size_t i = 0; i < polygon.size(); ++i) {
    const Point& p = polygon[i];
    if (!(std::abs(p.x) <= 1e6 && std::abs(p.y) <= 1e6)) {
      return FieldError(fmt::format("{}.points[{}]", field, i), fmt::format("({}, {})", p.x, p.y),
                        "lie between -1000000 and 1000000");
    }
    area += Cross(polygon[0], p, polygon[(i + 1) % polygon.size()]);
  }
  if (area == 0)
    return FieldError(field, fmt::format("{} points without an area", polygon.size()), "enclose an area");
  if (SidesCross(polygon))
    return FieldError(field, fmt::format("{} points", polygon.size()), "not cross itself");
  return absl::OkStatus();
}

absl::Status ValidatePolygons(const std::vector<Polygon>& polygons, const std::string& field) {
  if (polygons.size() > kMaxPolygons) {
    return FieldError(field, fmt::format("{} polygons", polygons.size()),
                      fmt::format("have at most {} polygons", kMaxPolygons));
  }
  for (std::size_t i = 0; i < polygons.size(); ++i) {
    FILO_RETURN_IF_ERROR(ValidatePolygon(polygons[i], fmt::format("{}[{}]", field, i)));
  }
  return absl::OkStatus();
}

// `value`, if there is one, is a number in [low, high].
absl::Status ValidateRange(const std::optional<double>& value, double low, double high,
                           const std::string& field, std::string_view expected) {
  if (!value.has_value() || (*value >= low && *value <= high)) return absl::OkStatus();
  return FieldError(field, fmt::format("{}", *value), expected);
}

}  // namespace

absl::Status ValidateId(std::string_view id, std::string_view field) {
  bool good = !id.empty() && id.size() <= 63 && id[0] >= 'a' && id[0] <= 'z';
  for (const char c : id) good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
  if (good) return absl::OkStatus();
  return FieldError(field, text::ToUtf8(text::FromUtf8(id)),
                    "be 1 to 63 of a-z, 0-9 and \"-\", beginning with a letter");
}

absl::Status ValidateDefinition(const Category& c, std::string_view field) {
  FILO_RETURN_IF_ERROR(ValidateText(c.class_name, Path(field, "class_name")));
  FILO_RETURN_IF_ERROR(ValidateTexts(c.descriptions, Path(field, "descriptions"), kMaxDescriptions));
  FILO_RETURN_IF_ERROR(
      ValidateTexts(c.grounding_descriptions, Path(field, "grounding_descriptions"), kMaxDescriptions));
  FILO_RETURN_IF_ERROR(ValidateStates(c.normal_states, Path(field, "normal_states")));
  FILO_RETURN_IF_ERROR(ValidateStates(c.abnormal_states, Path(field, "abnormal_states")));
  return ValidateTexts(c.harmless_phrases, Path(field, "harmless_phrases"), kMaxHarmlessPhrases);
}

absl::Status ValidateLengths(const Category& definition, const TextLimits& limits, std::string_view field) {
  FILO_RETURN_IF_ERROR(text::CheckPrompts(*limits.prompt_tokenizer, *limits.prompts, limits.context_length,
                                          definition, field));
  if (limits.caption_tokenizer == nullptr) return absl::OkStatus();
  const bool own = !definition.grounding_descriptions.empty();
  return text::MakeCaptionWithin(*limits.caption_tokenizer, text::CaptionWords(*limits.prompts, definition),
                                 limits.max_caption_tokens,
                                 Path(field, own ? "grounding_descriptions" : "descriptions"))
      .status();
}

absl::Status ValidateSettings(const InspectionSettings& s, std::string_view field) {
  const std::string number = "be a number of at most 1000 either way";
  FILO_RETURN_IF_ERROR(ValidateRange(s.score_threshold, -1000, 1000, Path(field, "score_threshold"), number));
  FILO_RETURN_IF_ERROR(
      ValidateRange(s.unsure_margin, 0, 1000, Path(field, "unsure_margin"), "be between 0 and 1000"));
  FILO_RETURN_IF_ERROR(
      ValidateRange(s.pixel_threshold, 0, 1, Path(field, "pixel_threshold"), "be between 0 and 1"));
  FILO_RETURN_IF_ERROR(
      ValidateRange(s.minimum_area, 0, 1e12, Path(field, "minimum_area"), "be between 0 and 1e12"));
  FILO_RETURN_IF_ERROR(ValidateRange(s.millimetres_per_pixel, 1e-9, 1e6, Path(field, "millimetres_per_pixel"),
                                     "be between 1e-9 and 1e6"));
  FILO_RETURN_IF_ERROR(ValidatePolygons(s.inspect, Path(field, "inspect")));
  FILO_RETURN_IF_ERROR(ValidatePolygons(s.ignore, Path(field, "ignore")));
  if (!s.tiling.has_value()) return absl::OkStatus();
  if (s.tiling->tile_size < 64 || s.tiling->tile_size > 100000) {
    return FieldError(Path(field, "tiling.tile_size"), fmt::format("{}", s.tiling->tile_size),
                      "be between 64 and 100000");
  }
  if (s.tiling->overlap < 0 || s.tiling->overlap * 2 >= s.tiling->tile_size) {
    return FieldError(Path(field, "tiling.overlap"), fmt::format("{}", s.tiling->overlap),
                      "be at least 0 and less than half of tile_size");
  }
  return absl::OkStatus();
}

absl::Status ValidateLabels(const std::map<std::string, std::string>& labels, std::string_view field) {
  if (labels.size() > kMaxLabels) {
    return FieldError(field, fmt::format("{} labels", labels.size()),
                      fmt::format("have at most {}", kMaxLabels));
  }
  for (const auto& [key, value] : labels) {
    const std::string path = fmt::format("{}[{}]", field, text::ToUtf8(text::FromUtf8(key)));
    FILO_RETURN_IF_ERROR(ValidateText(key, path, kMaxLabelBytes));
    if (value.size() > kMaxLabelBytes)
      return FieldError(path, value, fmt::format("be at most {} bytes long", kMaxLabelBytes));
    const std::u32string characters = text::FromUtf8(value);
    if (!text::IsWellFormedUtf8(value)) return FieldError(path, text::ToUtf8(characters), "be valid UTF-8");
    if (const std::string forbidden = ForbiddenCharacter(characters); !forbidden.empty()) {
      return FieldError(path, value, fmt::format("not contain {}", forbidden));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateRecord(const Record& record, std::string_view field) {
  FILO_RETURN_IF_ERROR(ValidateId(record.id(), Path(field, "name")));
  FILO_RETURN_IF_ERROR(ValidateDefinition(record.definition, Path(field, "definition")));
  FILO_RETURN_IF_ERROR(ValidateSettings(record.inspection, Path(field, "inspection")));
  return ValidateLabels(record.labels, Path(field, "labels"));
}

}  // namespace filo::category
