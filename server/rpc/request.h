// From the contract's requests to the serving layer's, checking every field on the way. Pure functions,
// thread-safe.
//
// Errors are kInvalidArgument with the path of the field ("inline_category.descriptions[3]"), or
// kUnimplemented (reason UNSUPPORTED) for what the contract knows and this server does not do.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "filo/v1/detector_service.pb.h"
#include "server/serving/inspector.h"
#include "server/serving/scheduler.h"

namespace filo::rpc {

struct Limits {
  image::DecodeLimits decode;
  int max_maps = 8;
};

// What a DetectRequest asks for, apart from the image's pixels and the stored category's contents.
struct ParsedDetect {
  serving::InspectionRequest inspection;  // category.id set, contents empty, when `stored` is true
  bool stored = false;
  serving::Priority priority = serving::Priority::kLine;
};

// `request` must outlive the result, which points at its image bytes.
absl::StatusOr<ParsedDetect> ParseDetect(const filo::v1::DetectRequest& request, const Limits& limits);

// The parts, for requests that share them. `field` is the path of the message itself.
absl::Status ParseImage(const filo::v1::Image& image, const std::string& field, const Limits& limits,
                        serving::InspectionRequest* out);
absl::StatusOr<category::Category> ParseDefinition(const filo::v1::CategoryDefinition& definition,
                                                   const std::string& field);
// "categories/hazelnut" or "hazelnut" -> "hazelnut".
absl::StatusOr<std::string> ParseCategoryName(std::string_view name, const std::string& field);
absl::StatusOr<std::vector<serving::WantedMap>> ParseOutputs(const filo::v1::Outputs& outputs,
                                                             const std::string& field, const Limits& limits);
absl::Status CheckInspection(const filo::v1::InspectionSettings& settings, const std::string& field);
absl::Status CheckTrace(const filo::v1::Trace& trace, const std::string& field);
absl::StatusOr<serving::Priority> ParsePriority(filo::v1::Priority priority, const std::string& field);

// An error of the arithmetic that names "category.…" or "image", renamed to the field of the request.
absl::Status RenameFields(const absl::Status& status, bool inline_category);

}  // namespace filo::rpc
