#include "server/rpc/request.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/serving/errors.h"

namespace filo::rpc {
namespace {

constexpr std::size_t kMaxPhraseBytes = 200;
constexpr int kMaxPhrases = 200;
constexpr std::size_t kMaxTraceBytes = 100;
constexpr int kMaxLabels = 32;

absl::Status Unsupported(std::string_view field, std::string_view what) {
  return WithField(
      serving::WithReason(absl::UnimplementedError(fmt::format("{}: {}", field, what)), "UNSUPPORTED"), field,
      what);
}

// 1 to 200 bytes, not only blanks, no control characters. (That it is UTF-8 has been checked by the parser.)
absl::Status CheckPhrase(const std::string& text, const std::string& field) {
  if (text.empty() || text.size() > kMaxPhraseBytes || text.find_first_not_of(' ') == std::string::npos) {
    return FieldError(field, text, fmt::format("be a text of 1 to {} bytes", kMaxPhraseBytes));
  }
  if (std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 32 || c == 127; })) {
    return FieldError(field, text, "hold no control characters");
  }
  return absl::OkStatus();
}

template <typename Repeated>
absl::Status CopyPhrases(const Repeated& from, const std::string& field, bool placeholder,
                         std::vector<std::string>* to) {
  if (from.size() > kMaxPhrases) {
    return FieldError(field, fmt::format("{} texts", from.size()),
                      fmt::format("hold at most {}", kMaxPhrases));
  }
  for (int i = 0; i < from.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", field, i);
    FILO_RETURN_IF_ERROR(CheckPhrase(from[i], at));
    if (placeholder && from[i].find("{}") == std::string::npos) {
      return FieldError(at, from[i], "hold \"{}\" where the class name belongs");
    }
    to->push_back(from[i]);
  }
  return absl::OkStatus();
}

absl::Status CheckTraceText(const std::string& text, const std::string& field) {
  if (text.size() <= kMaxTraceBytes) return absl::OkStatus();
  return FieldError(field, text, fmt::format("have at most {} bytes", kMaxTraceBytes));
}

absl::Status CheckNumber(bool is_set, double value, double low, double high, const std::string& field,
                         std::string_view expected) {
  if (!is_set || (std::isfinite(value) && value >= low && value <= high)) return absl::OkStatus();
  return FieldError(field, fmt::format("{}", value), expected);
}

}  // namespace

absl::Status ParseImage(const filo::v1::Image& image, const std::string& field, const Limits& limits,
                        serving::InspectionRequest* out) {
  const std::string encoded = field + ".encoded";
  switch (image.content_case()) {
    case filo::v1::Image::kEncoded:
      break;
    case filo::v1::Image::kRaw:
      return Unsupported(field + ".raw", "raw frames are not taken by this version");
    default:
      return FieldError(field, "without content", "hold encoded bytes or a raw frame");
  }
  if (image.encoded().empty()) {
    return serving::WithReason(FieldError(encoded, "", "hold a whole JPEG, PNG, BMP, TIFF or WebP file"),
                               "INVALID_IMAGE");
  }
  if (image.encoded().size() > limits.decode.max_bytes) {
    return serving::WithReason(FieldError(encoded, fmt::format("{} bytes", image.encoded().size()),
                                          fmt::format("have at most {} bytes", limits.decode.max_bytes)),
                               "IMAGE_TOO_LARGE");
  }
  if (image.significant_bits() > 16) {
    return FieldError(field + ".significant_bits", std::to_string(image.significant_bits()),
                      "be between 1 and 16, or 0 for what the file says");
  }
  out->encoded = std::as_bytes(std::span(image.encoded()));
  out->decode.significant_bits = static_cast<int>(image.significant_bits());
  return absl::OkStatus();
}

absl::StatusOr<category::Category> ParseDefinition(const filo::v1::CategoryDefinition& definition,
                                                   const std::string& field) {
  category::Category out;
  FILO_RETURN_IF_ERROR(CheckPhrase(definition.class_name(), field + ".class_name"));
  out.class_name = definition.class_name();
  FILO_RETURN_IF_ERROR(
      CopyPhrases(definition.descriptions(), field + ".descriptions", false, &out.descriptions));
  FILO_RETURN_IF_ERROR(CopyPhrases(definition.grounding_descriptions(), field + ".grounding_descriptions",
                                   false, &out.grounding_descriptions));
  FILO_RETURN_IF_ERROR(
      CopyPhrases(definition.normal_states(), field + ".normal_states", true, &out.normal_states));
  FILO_RETURN_IF_ERROR(
      CopyPhrases(definition.abnormal_states(), field + ".abnormal_states", true, &out.abnormal_states));
  if (definition.harmless_phrases_size() > 0) {
    return Unsupported(field + ".harmless_phrases", "harmless phrases are not known to this version");
  }
  return out;
}

absl::StatusOr<std::string> ParseCategoryName(std::string_view name, const std::string& field) {
  constexpr std::string_view kCollection = "categories/";
  std::string_view id = name;
  if (id.substr(0, kCollection.size()) == kCollection) id.remove_prefix(kCollection.size());
  if (!serving::IsCategoryId(id)) {
    return FieldError(
        field, name, "be \"categories/{id}\", the id 1 to 63 of a-z, 0-9 and \"-\", beginning with a letter");
  }
  return std::string(id);
}

absl::StatusOr<std::vector<serving::WantedMap>> ParseOutputs(const filo::v1::Outputs& outputs,
                                                             const std::string& field, const Limits& limits) {
  if (outputs.maps_size() > limits.max_maps) {
    return FieldError(field + ".maps", fmt::format("{} maps", outputs.maps_size()),
                      fmt::format("ask for at most {}", limits.max_maps));
  }
  if (outputs.regions()) return Unsupported(field + ".regions", "regions are not made by this version");
  if (outputs.mask() != filo::v1::MASK_ENCODING_UNSPECIFIED) {
    return Unsupported(field + ".mask", "masks are not made by this version");
  }
  if (outputs.has_overlay()) return Unsupported(field + ".overlay", "overlays are not made by this version");
  std::vector<serving::WantedMap> out;
  for (int i = 0; i < outputs.maps_size(); ++i) {
    const std::string at = fmt::format("{}.maps[{}]", field, i);
    serving::WantedMap wanted;
    switch (outputs.maps(i).encoding()) {
      case filo::v1::MAP_ENCODING_PNG8:
        wanted.format = image::MapFormat::kPng8;
        break;
      case filo::v1::MAP_ENCODING_PNG16:
        wanted.format = image::MapFormat::kPng16;
        break;
      case filo::v1::MAP_ENCODING_ZSTD_FLOAT16:
        wanted.format = image::MapFormat::kZstdFloat16;
        break;
      default:
        return FieldError(at + ".encoding", std::to_string(outputs.maps(i).encoding()),
                          "be MAP_ENCODING_PNG8, MAP_ENCODING_PNG16 or MAP_ENCODING_ZSTD_FLOAT16");
    }
    switch (outputs.maps(i).size()) {
      case filo::v1::MAP_SIZE_UNSPECIFIED:
      case filo::v1::MAP_SIZE_MODEL:
        wanted.size = serving::MapSize::kModel;
        break;
      case filo::v1::MAP_SIZE_IMAGE:
        wanted.size = serving::MapSize::kImage;
        break;
      case filo::v1::MAP_SIZE_GRID:
        wanted.size = serving::MapSize::kGrid;
        break;
      default:
        return FieldError(at + ".size", std::to_string(outputs.maps(i).size()),
                          "be MAP_SIZE_MODEL, MAP_SIZE_IMAGE or MAP_SIZE_GRID");
    }
    out.push_back(wanted);
  }
  return out;
}

absl::Status CheckInspection(const filo::v1::InspectionSettings& settings, const std::string& field) {
  constexpr double kLarge = 1e6;
  FILO_RETURN_IF_ERROR(CheckNumber(settings.has_score_threshold(), settings.score_threshold(), -kLarge,
                                   kLarge, field + ".score_threshold",
                                   "be a finite number in units of the score"));
  FILO_RETURN_IF_ERROR(CheckNumber(settings.has_unsure_margin(), settings.unsure_margin(), 0, kLarge,
                                   field + ".unsure_margin", "be a finite number of at least 0"));
  const std::pair<bool, std::string_view> unsupported[] = {
      {settings.has_pixel_threshold(), "pixel_threshold"},
      {settings.has_minimum_area(), "minimum_area"},
      {settings.inspect_size() > 0, "inspect"},
      {settings.ignore_size() > 0, "ignore"},
      {settings.has_millimetres_per_pixel(), "millimetres_per_pixel"},
      {settings.has_tiling(), "tiling"},
      {settings.has_subtract_baseline(), "subtract_baseline"},
  };
  for (const auto& [is_set, name] : unsupported) {
    if (is_set)
      return Unsupported(fmt::format("{}.{}", field, name), "this setting is not known to this version");
  }
  return absl::OkStatus();
}

absl::Status CheckTrace(const filo::v1::Trace& trace, const std::string& field) {
  FILO_RETURN_IF_ERROR(CheckTraceText(trace.request_id(), field + ".request_id"));
  FILO_RETURN_IF_ERROR(CheckTraceText(trace.part_serial(), field + ".part_serial"));
  FILO_RETURN_IF_ERROR(CheckTraceText(trace.station(), field + ".station"));
  if (trace.labels_size() > kMaxLabels) {
    return FieldError(field + ".labels", fmt::format("{} labels", trace.labels_size()),
                      fmt::format("hold at most {}", kMaxLabels));
  }
  for (const auto& [key, value] : trace.labels()) {
    FILO_RETURN_IF_ERROR(CheckTraceText(key, field + ".labels"));
    FILO_RETURN_IF_ERROR(CheckTraceText(value, field + ".labels"));
  }
  return absl::OkStatus();
}

absl::StatusOr<serving::Priority> ParsePriority(filo::v1::Priority priority, const std::string& field) {
  switch (priority) {
    case filo::v1::PRIORITY_UNSPECIFIED:
    case filo::v1::PRIORITY_LINE:
      return serving::Priority::kLine;
    case filo::v1::PRIORITY_BACKLOG:
      return serving::Priority::kBacklog;
    default:
      return FieldError(field, std::to_string(priority), "be PRIORITY_LINE or PRIORITY_BACKLOG");
  }
}

absl::StatusOr<ParsedDetect> ParseDetect(const filo::v1::DetectRequest& request, const Limits& limits) {
  ParsedDetect out;
  FILO_RETURN_IF_ERROR(CheckTrace(request.trace(), "trace"));
  FILO_RETURN_IF_ERROR(ParseImage(request.image(), "image", limits, &out.inspection));
  switch (request.category_source_case()) {
    case filo::v1::DetectRequest::kCategory: {
      FILO_ASSIGN_OR_RETURN(out.inspection.category.id, ParseCategoryName(request.category(), "category"));
      out.stored = true;
      break;
    }
    case filo::v1::DetectRequest::kInlineCategory: {
      FILO_ASSIGN_OR_RETURN(out.inspection.category.category,
                            ParseDefinition(request.inline_category(), "inline_category"));
      break;
    }
    default:
      return FieldError("category", "not set", "name a stored category, or inline_category describe one");
  }
  FILO_ASSIGN_OR_RETURN(out.inspection.maps, ParseOutputs(request.outputs(), "outputs", limits));
  FILO_RETURN_IF_ERROR(CheckInspection(request.inspection(), "inspection"));
  FILO_ASSIGN_OR_RETURN(out.priority, ParsePriority(request.priority(), "priority"));
  return out;
}

absl::Status RenameFields(const absl::Status& status, bool inline_category) {
  const auto violation = GetFieldViolation(status);
  if (!violation.has_value()) return status;
  std::string field = violation->field;
  if (field == "image") field = "image.encoded";
  if (field == "significant_bits") field = "image.significant_bits";
  if (inline_category && field.rfind("category", 0) == 0) field = "inline_" + field;
  if (!inline_category && field.rfind("category.", 0) == 0) field = "category";
  return WithField(status, field, violation->description);
}

}  // namespace filo::rpc
