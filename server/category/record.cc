#include "server/category/record.h"

#include <functional>
#include <set>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "server/base/sha256.h"
#include "server/base/status.h"

namespace filo::category {
namespace {

using Json = nlohmann::json;

constexpr int kFormat = 1;

// Reads the keys of one JSON object; the first thing wrong is remembered, and unread keys are an error at the
// end.
class Reader {
 public:
  Reader(const Json& json, std::string path, absl::Status& status)
      : json_(json), path_(std::move(path)), status_(status) {
    if (!json_.is_object()) Fail("", "an object");
  }

  // `required` false: an absent key leaves `out` alone.
  template <class T>
  void Get(const char* key, T& out, bool required = true) {
    seen_.insert(key);
    if (!json_.is_object()) return;
    const auto it = json_.find(key);
    if (it == json_.end()) {
      if (required) Fail(key, "there");
      return;
    }
    Read(key, *it, out);
  }

  // Calls `read` with the value of an optional key.
  void With(const char* key, const std::function<void(const Json&, const std::string& path)>& read) {
    seen_.insert(key);
    if (!json_.is_object()) return;
    const auto it = json_.find(key);
    if (it != json_.end()) read(*it, fmt::format("{}.{}", path_, key));
  }

  void Finish() {
    if (!json_.is_object()) return;
    for (const auto& [key, value] : json_.items()) {
      if (!seen_.contains(key))
        Fail(key, "known to this program (is it older than the one that wrote this?)");
    }
  }

 private:
  void Fail(std::string_view key, std::string_view wanted) {
    if (status_.ok())
      status_ = absl::DataLossError(fmt::format("stored category: {}.{} is not {}", path_, key, wanted));
  }

  void Read(const char* key, const Json& value, std::string& out) {
    Take(key, value, value.is_string(), "a text", out);
  }
  void Read(const char* key, const Json& value, double& out) {
    Take(key, value, value.is_number(), "a number", out);
  }
  void Read(const char* key, const Json& value, bool& out) {
    Take(key, value, value.is_boolean(), "true or false", out);
  }
  void Read(const char* key, const Json& value, int& out) {
    Take(key, value, value.is_number_integer(), "a whole number", out);
  }
  void Read(const char* key, const Json& value, std::int64_t& out) {
    Take(key, value, value.is_number_integer(), "a whole number", out);
  }
  template <class T>
  void Take(const char* key, const Json& value, bool right, std::string_view wanted, T& out) {
    if (right) {
      value.get_to(out);
    } else {
      Fail(key, wanted);
    }
  }
  void Read(const char* key, const Json& value, absl::Time& out) {
    std::int64_t nanoseconds = 0;
    Read(key, value, nanoseconds);
    out = absl::FromUnixNanos(nanoseconds);
  }
  template <class T>
  void Read(const char* key, const Json& value, std::optional<T>& out) {
    Read(key, value, out.emplace());
  }
  void Read(const char* key, const Json& value, std::vector<std::string>& out) {
    out.clear();
    if (!value.is_array()) return Fail(key, "a list");
    for (const Json& item : value) Read(key, item, out.emplace_back());
  }
  void Read(const char* key, const Json& value, std::map<std::string, std::string>& out) {
    out.clear();
    if (!value.is_object()) return Fail(key, "an object");
    for (const auto& [name, item] : value.items()) Read(key, item, out[name]);
  }
  void Read(const char* key, const Json& value, std::vector<Polygon>& out) {
    out.clear();
    if (!value.is_array()) return Fail(key, "a list");
    for (const Json& corners : value) {
      Polygon& polygon = out.emplace_back();
      if (!corners.is_array() || corners.size() % 2 != 0) return Fail(key, "a list of x, y pairs");
      for (std::size_t i = 0; i < corners.size(); i += 2) {
        Point& point = polygon.emplace_back();
        Read(key, corners[i], point.x);
        Read(key, corners[i + 1], point.y);
      }
    }
  }

  const Json& json_;
  const std::string path_;
  absl::Status& status_;
  std::set<std::string, std::less<>> seen_;
};

template <class T>
void Put(Json& json, const char* key, const std::optional<T>& value) {
  if (value.has_value()) json[key] = *value;
}

void Put(Json& json, const char* key, const std::vector<std::string>& list) {
  if (!list.empty()) json[key] = list;
}

Json PolygonsToJson(const std::vector<Polygon>& polygons) {
  Json out = Json::array();
  for (const Polygon& polygon : polygons) {
    Json corners = Json::array();
    for (const Point& point : polygon) {
      corners.push_back(point.x);
      corners.push_back(point.y);
    }
    out.push_back(std::move(corners));
  }
  return out;
}

Json DefinitionToJson(const Category& c) {
  Json json{{"class_name", c.class_name}};
  Put(json, "descriptions", c.descriptions);
  Put(json, "grounding_descriptions", c.grounding_descriptions);
  Put(json, "normal_states", c.normal_states);
  Put(json, "abnormal_states", c.abnormal_states);
  Put(json, "harmless_phrases", c.harmless_phrases);
  return json;
}

void ReadDefinition(const Json& json, const std::string& path, absl::Status& status, Category& c) {
  Reader reader(json, path, status);
  reader.Get("class_name", c.class_name);
  reader.Get("descriptions", c.descriptions, false);
  reader.Get("grounding_descriptions", c.grounding_descriptions, false);
  reader.Get("normal_states", c.normal_states, false);
  reader.Get("abnormal_states", c.abnormal_states, false);
  reader.Get("harmless_phrases", c.harmless_phrases, false);
  reader.Finish();
}

Json SettingsToJson(const InspectionSettings& s) {
  Json json = Json::object();
  Put(json, "score_threshold", s.score_threshold);
  Put(json, "unsure_margin", s.unsure_margin);
  Put(json, "pixel_threshold", s.pixel_threshold);
  Put(json, "minimum_area", s.minimum_area);
  if (!s.inspect.empty()) json["inspect"] = PolygonsToJson(s.inspect);
  if (!s.ignore.empty()) json["ignore"] = PolygonsToJson(s.ignore);
  Put(json, "millimetres_per_pixel", s.millimetres_per_pixel);
  if (s.tiling.has_value())
    json["tiling"] = {{"tile_size", s.tiling->tile_size}, {"overlap", s.tiling->overlap}};
  Put(json, "subtract_baseline", s.subtract_baseline);
  return json;
}

void ReadSettings(const Json& json, const std::string& path, absl::Status& status, InspectionSettings& s) {
  Reader reader(json, path, status);
  reader.Get("score_threshold", s.score_threshold, false);
  reader.Get("unsure_margin", s.unsure_margin, false);
  reader.Get("pixel_threshold", s.pixel_threshold, false);
  reader.Get("minimum_area", s.minimum_area, false);
  reader.Get("inspect", s.inspect, false);
  reader.Get("ignore", s.ignore, false);
  reader.Get("millimetres_per_pixel", s.millimetres_per_pixel, false);
  reader.With("tiling", [&](const Json& value, const std::string& where) {
    Reader tiling(value, where, status);
    s.tiling.emplace();
    tiling.Get("tile_size", s.tiling->tile_size);
    tiling.Get("overlap", s.tiling->overlap);
    tiling.Finish();
  });
  reader.Get("subtract_baseline", s.subtract_baseline, false);
  reader.Finish();
}

Json ReferenceToJson(const Reference& r) {
  return {{"id", r.id},
          {"sha256", r.sha256},
          {"width", r.width},
          {"height", r.height},
          {"create_time", absl::ToUnixNanos(r.create_time)}};
}

void ReadReferences(const Json& json, const std::string& path, absl::Status& status,
                    std::vector<Reference>& out) {
  if (!json.is_array()) {
    status = absl::DataLossError(fmt::format("stored category: {} is not a list", path));
    return;
  }
  for (const Json& item : json) {
    Reference& r = out.emplace_back();
    Reader reader(item, path, status);
    reader.Get("id", r.id);
    reader.Get("sha256", r.sha256);
    reader.Get("width", r.width);
    reader.Get("height", r.height);
    reader.Get("create_time", r.create_time);
    reader.Finish();
  }
}

Json CalibrationToJson(const Calibration& c) {
  Json json{{"id", c.id},
            {"create_time", absl::ToUnixNanos(c.create_time)},
            {"bundle_digest", c.bundle_digest},
            {"category_revision", c.category_revision},
            {"definition_digest", c.definition_digest},
            {"settings_digest", c.settings_digest},
            {"good_images", c.good_images},
            {"defective_images", c.defective_images},
            {"score_threshold", c.score_threshold},
            {"pixel_threshold", c.pixel_threshold},
            {"map_min", c.map_min},
            {"map_max", c.map_max},
            {"score_scale", c.score_scale},
            {"false_reject_rate", c.false_reject_rate},
            {"false_reject_rate_upper", c.false_reject_rate_upper},
            {"baseline_id", c.baseline_id}};
  Put(json, "detection_rate", c.detection_rate);
  return json;
}

void ReadCalibration(const Json& json, const std::string& path, absl::Status& status, Calibration& c) {
  Reader reader(json, path, status);
  reader.Get("id", c.id);
  reader.Get("create_time", c.create_time);
  reader.Get("bundle_digest", c.bundle_digest);
  reader.Get("category_revision", c.category_revision);
  reader.Get("definition_digest", c.definition_digest);
  reader.Get("settings_digest", c.settings_digest);
  reader.Get("good_images", c.good_images);
  reader.Get("defective_images", c.defective_images);
  reader.Get("score_threshold", c.score_threshold);
  reader.Get("pixel_threshold", c.pixel_threshold);
  reader.Get("map_min", c.map_min);
  reader.Get("map_max", c.map_max);
  reader.Get("score_scale", c.score_scale);
  reader.Get("false_reject_rate", c.false_reject_rate);
  reader.Get("false_reject_rate_upper", c.false_reject_rate_upper);
  reader.Get("detection_rate", c.detection_rate, false);
  reader.Get("baseline_id", c.baseline_id);
  reader.Finish();
}

}  // namespace

InspectionSettings Override(const InspectionSettings& stored, const InspectionSettings& request) {
  InspectionSettings out = stored;
  const auto take = [](auto& into, const auto& from) {
    if (from.has_value()) into = from;
  };
  take(out.score_threshold, request.score_threshold);
  take(out.unsure_margin, request.unsure_margin);
  take(out.pixel_threshold, request.pixel_threshold);
  take(out.minimum_area, request.minimum_area);
  if (!request.inspect.empty()) out.inspect = request.inspect;
  if (!request.ignore.empty()) out.ignore = request.ignore;
  take(out.millimetres_per_pixel, request.millimetres_per_pixel);
  take(out.tiling, request.tiling);
  take(out.subtract_baseline, request.subtract_baseline);
  return out;
}

std::string SettingsDigest(const InspectionSettings& settings) {
  InspectionSettings relevant;
  relevant.inspect = settings.inspect;
  relevant.ignore = settings.ignore;
  relevant.tiling = settings.tiling;
  if (settings.subtract_baseline.value_or(false)) relevant.subtract_baseline = true;
  return Sha256Hex(SettingsToJson(relevant).dump());
}

std::string ToJson(const Record& record) {
  Json json{{"format", kFormat},
            {"id", record.id()},
            {"definition", DefinitionToJson(record.definition)},
            {"revision", record.revision},
            {"etag", record.etag},
            {"create_time", absl::ToUnixNanos(record.create_time)},
            {"update_time", absl::ToUnixNanos(record.update_time)}};
  if (const Json settings = SettingsToJson(record.inspection); !settings.empty())
    json["inspection"] = settings;
  if (!record.labels.empty()) json["labels"] = record.labels;
  for (const Reference& reference : record.references)
    json["references"].push_back(ReferenceToJson(reference));
  if (record.calibration.has_value()) json["calibration"] = CalibrationToJson(*record.calibration);
  // Ill-formed UTF-8 is refused before a record is stored (validation.h); should any come here, it must not
  // throw.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<Record> FromJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) return absl::DataLossError("stored category: is no JSON");
  absl::Status status;
  Record record;
  Reader reader(json, "category", status);
  int format = 0;
  reader.Get("format", format);
  if (status.ok() && format != kFormat) {
    return absl::DataLossError(
        fmt::format("stored category: format is {}; this program reads {}", format, kFormat));
  }
  reader.Get("id", record.definition.name);
  reader.With("definition", [&](const Json& value, const std::string& path) {
    ReadDefinition(value, path, status, record.definition);
  });
  reader.Get("revision", record.revision);
  reader.Get("etag", record.etag);
  reader.Get("create_time", record.create_time);
  reader.Get("update_time", record.update_time);
  reader.With("inspection", [&](const Json& value, const std::string& path) {
    ReadSettings(value, path, status, record.inspection);
  });
  reader.Get("labels", record.labels, false);
  reader.With("references", [&](const Json& value, const std::string& path) {
    ReadReferences(value, path, status, record.references);
  });
  reader.With("calibration", [&](const Json& value, const std::string& path) {
    ReadCalibration(value, path, status, record.calibration.emplace());
  });
  reader.Finish();
  if (!status.ok()) return status;
  return record;
}

}  // namespace filo::category
