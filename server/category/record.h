// A category as it is stored: what the networks are told, how parts are judged, and everything that the
// server adds. Plain values, freely copyable; immutable once shared.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/category/category.h"

namespace filo::category {

struct Point {
  double x = 0, y = 0;  // original pixels
  friend bool operator==(const Point&, const Point&) = default;
};

using Polygon = std::vector<Point>;  // simple, closed from its last point to its first

struct Tiling {
  int tile_size = 0;  // side of a square tile, original pixels
  int overlap = 0;    // original pixels, less than half of tile_size
  friend bool operator==(const Tiling&, const Tiling&) = default;
};

// How an image is judged once its map and score are known. An empty field means: the calibration's, or the
// bundle's.
struct InspectionSettings {
  std::optional<double> score_threshold;        // raw score from which a part is NG
  std::optional<double> unsure_margin;          // half width of the UNSURE band, raw score, >= 0
  std::optional<double> pixel_threshold;        // map value from which a pixel belongs to a region, [0, 1]
  std::optional<double> minimum_area;           // original pixels (area), >= 0
  std::vector<Polygon> inspect;                 // only inside these; empty = the whole image
  std::vector<Polygon> ignore;                  // not inside these; wins over inspect
  std::optional<double> millimetres_per_pixel;  // > 0
  std::optional<Tiling> tiling;
  std::optional<bool> subtract_baseline;

  friend bool operator==(const InspectionSettings&, const InspectionSettings&) = default;
};

// `request` over `stored`: every field that the request sets wins; a polygon list wins when it is not empty.
InspectionSettings Override(const InspectionSettings& stored, const InspectionSettings& request);

// A photograph of a good part that a category keeps; its bytes stay in the store.
struct Reference {
  std::string id;
  std::string sha256;  // of the file, lower-case hex
  int width = 0, height = 0;
  absl::Time create_time;

  friend bool operator==(const Reference&, const Reference&) = default;
};

// Thresholds found from images with known labels (calibration.h).
struct Calibration {
  std::string id;
  absl::Time create_time;
  std::string bundle_digest;
  std::int64_t category_revision = 0;  // for people; staleness goes by the two digests
  std::string definition_digest;       // DefinitionDigest of what the networks were told
  std::string settings_digest;         // SettingsDigest of how the score was made
  int good_images = 0;
  int defective_images = 0;
  double score_threshold = 0;
  double pixel_threshold = 0;
  double map_min = 0,
         map_max = 1;            // fixed range for pictures of the map; map_min < pixel_threshold < map_max
  double score_scale = 1;        // > 0: raw score per unit of the calibrated score's logistic curve
  double false_reject_rate = 0;  // wanted
  double false_reject_rate_upper = 1;    // one-sided 95 % confidence bound of the true one
  std::optional<double> detection_rate;  // share of the defective images at or above the threshold
  std::string baseline_id;               // blob with the baseline map; empty = none

  friend bool operator==(const Calibration&, const Calibration&) = default;
};

struct Record {
  Category definition;  // definition.name is the id
  InspectionSettings inspection;
  std::map<std::string, std::string> labels;
  std::vector<Reference> references;       // in order of create_time
  std::optional<Calibration> calibration;  // the latest
  // The store's own: set by it, ignored in what it is given.
  std::int64_t revision =
      0;             // counts the writes, from 1; goes on counting when a deleted id is created again
  std::string etag;  // changes with every write
  absl::Time create_time, update_time;

  const std::string& id() const { return definition.name; }
  friend bool operator==(const Record&, const Record&) = default;
};

// SHA-256 (hex) over the settings that change a raw score or a map: polygons, tiling, baseline.
std::string SettingsDigest(const InspectionSettings& settings);

// JSON text of a record as the store keeps it, and back. Reading is strict: an unknown key, a wrong type or a
// format newer than this program's is kDataLoss naming the key. Everything is kept, bit for bit.
std::string ToJson(const Record& record);
absl::StatusOr<Record> FromJson(std::string_view json);

}  // namespace filo::category
