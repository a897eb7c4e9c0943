#include "server/serving/inspector.h"

#include <chrono>
#include <exception>
#include <new>
#include <utility>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/serving/errors.h"

namespace filo::serving {
namespace {

class StopWatch {
 public:
  // Seconds since construction or the last lap.
  double Lap() {
    const auto now = std::chrono::steady_clock::now();
    return std::chrono::duration<double>(now - std::exchange(begin_, now)).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

absl::StatusOr<image::Image> DecodeImage(const InspectionRequest& request, const image::DecodeLimits& limits,
                                         telemetry::Metrics* metrics) {
  auto decoded = image::Decode(request.encoded, limits, request.decode);
  if (decoded.ok() || decoded.status().code() != absl::StatusCode::kInvalidArgument) return decoded;
  // The same limits that Decode checked against the header, to tell the two reasons apart.
  image::DecodeLimits none;
  none.max_bytes = request.encoded.size();
  none.max_pixels = std::int64_t{1} << 62;
  none.max_side = 1 << 30;
  none.min_side = 1;
  const auto header = image::ReadHeader(request.encoded, none);
  const bool too_large =
      request.encoded.size() > limits.max_bytes ||
      (header.ok() && (header->height > limits.max_side || header->width > limits.max_side ||
                       std::int64_t{header->height} * header->width > limits.max_pixels));
  if (metrics != nullptr) metrics->ImageRefused(too_large ? "too_large" : "corrupt");
  return WithReason(decoded.status(), too_large ? "IMAGE_TOO_LARGE" : "INVALID_IMAGE");
}

// kModel: as the pipeline made it; kGrid: the mean over each patch; kImage: one value per original pixel.
absl::StatusOr<EncodedMap> Encode(const image::FloatMap& map, const WantedMap& wanted,
                                  const image::Image& image, int grid) {
  image::FloatMap resized;
  if (wanted.size == MapSize::kImage) resized = image::ResizeMap(map, image.height, image.width);
  if (wanted.size == MapSize::kGrid) {
    FILO_ASSIGN_OR_RETURN(resized, image::PoolMap(map, grid, grid));
  }
  const image::FloatMap& chosen = wanted.size == MapSize::kModel ? map : resized;
  EncodedMap out;
  out.wanted = wanted;
  out.height = chosen.height;
  out.width = chosen.width;
  FILO_ASSIGN_OR_RETURN(out.data, image::EncodeMap(chosen, wanted.format, kMapRange));
  out.step_x = static_cast<double>(image.width) / chosen.width;
  out.step_y = static_cast<double>(image.height) / chosen.height;
  out.first_x = 0.5 * out.step_x - 0.5;
  out.first_y = 0.5 * out.step_y - 0.5;
  return out;
}

void NoteStages(const detection::StageTimes& times, Inspection* out) {
  for (const auto& [stage, seconds] : {std::pair{"preprocess", times.preprocess},
                                       {"grounding", times.grounding},
                                       {"image_tower", times.image_tower},
                                       {"text", times.text},
                                       {"maps", times.maps}}) {
    out->stage_seconds.emplace_back(stage, seconds);
  }
}

absl::StatusOr<Inspection> Run(const InspectionRequest& request, const image::DecodeLimits& limits,
                               std::shared_ptr<const LoadedModel> model, const CallState& call,
                               telemetry::Metrics* metrics) {
  Inspection out;
  StopWatch watch;
  FILO_RETURN_IF_ERROR(call.KeepGoing());
  FILO_ASSIGN_OR_RETURN(const image::Image image, DecodeImage(request, limits, metrics));
  out.image_height = image.height;
  out.image_width = image.width;
  out.orientation = image.orientation;
  out.warnings = image.warnings;
  out.stage_seconds.emplace_back("decode", watch.Lap());

  FILO_ASSIGN_OR_RETURN(out.result, model->detector->Detect(image, request.category.category,
                                                            [&call] { return call.KeepGoing(); }));
  out.warnings.insert(out.warnings.end(), out.result.warnings.begin(), out.result.warnings.end());
  NoteStages(out.result.times, &out);
  watch.Lap();

  if (!request.maps.empty()) {
    FILO_RETURN_IF_ERROR(call.KeepGoing());
    const bundle::ImageTower& tower = model->manifest.image_tower;
    const int grid = tower.patch_size > 0 ? tower.image_size / tower.patch_size : 1;
    const detection::Map& map = out.result.map;
    const image::FloatMap values{map.height, map.width, map.values};
    for (const WantedMap& wanted : request.maps) {
      FILO_ASSIGN_OR_RETURN(EncodedMap encoded, Encode(values, wanted, image, grid));
      out.maps.push_back(std::move(encoded));
    }
  }
  out.stage_seconds.emplace_back("encode", watch.Lap());
  out.model = std::move(model);
  if (metrics != nullptr) {
    for (const auto& [stage, seconds] : out.stage_seconds) metrics->Stage(stage, seconds);
  }
  return out;
}

}  // namespace

absl::StatusOr<Inspection> Inspect(const InspectionRequest& request, const image::DecodeLimits& limits,
                                   std::shared_ptr<const LoadedModel> model, const CallState& call,
                                   telemetry::Metrics* metrics) {
  try {
    return Run(request, limits, std::move(model), call, metrics);
  } catch (const std::bad_alloc&) {
    return WithReason(absl::ResourceExhaustedError("there is not enough memory for this request"),
                      "OUT_OF_MEMORY");
  } catch (const std::exception& error) {
    return absl::InternalError(fmt::format("the inspection failed: {}", error.what()));
  }
}

}  // namespace filo::serving
