// One inspection from bytes to answer: decode, detect, encode what was asked for. No protobuf and no queue
// here.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/image/decode.h"
#include "server/image/map_codec.h"
#include "server/serving/call_state.h"
#include "server/serving/category_directory.h"
#include "server/serving/model_slot.h"
#include "server/telemetry/metrics.h"

namespace filo::serving {

enum class MapSize { kModel, kImage, kGrid };

struct WantedMap {
  image::MapFormat format = image::MapFormat::kPng8;
  MapSize size = MapSize::kModel;
};

// The values of every map lie in this range, whatever the image: what a PNG's smallest and largest codes
// stand for.
inline constexpr image::ValueRange kMapRange{0.0f, 1.0f};

struct EncodedMap {
  WantedMap wanted;
  int height = 0;
  int width = 0;
  std::string data;
  // Original pixel of column c: x = c * step_x + first_x; rows likewise.
  double step_x = 1, step_y = 1, first_x = 0, first_y = 0;
};

struct InspectionRequest {
  std::span<const std::byte> encoded;  // must stay until the inspection is done
  image::DecodeOptions decode;
  ResolvedCategory category;
  std::vector<WantedMap> maps;
};

struct Inspection {
  detection::Result result;
  int image_height = 0;  // original pixels
  int image_width = 0;
  int orientation = 1;  // EXIF, as stated by the file; not applied
  std::vector<EncodedMap> maps;
  std::vector<std::string> warnings;  // of the decoder and the detector
  std::vector<std::pair<std::string, double>> stage_seconds;
  std::shared_ptr<const LoadedModel> model;
};

// Runs in the calling thread. `call` is asked before decoding, between the detector's stages and before
// encoding; `metrics` may be null. Errors: kInvalidArgument on the field "image" (reason INVALID_IMAGE or
// IMAGE_TOO_LARGE) or a field of "category"; kCancelled and kDeadlineExceeded from `call`; kResourceExhausted
// (reason OUT_OF_MEMORY).
absl::StatusOr<Inspection> Inspect(const InspectionRequest& request, const image::DecodeLimits& limits,
                                   std::shared_ptr<const LoadedModel> model, const CallState& call,
                                   telemetry::Metrics* metrics);

}  // namespace filo::serving
