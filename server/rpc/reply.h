// From the serving layer's answers to the contract's. Pure functions, thread-safe.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "filo/v1/detector_service.pb.h"
#include "filo/v1/model_service.pb.h"
#include "server/serving/inspector.h"

namespace filo::rpc {

filo::v1::ModelReference ToModelReference(const serving::LoadedModel& model);
filo::v1::Model ToModel(const serving::LoadedModel& model);

// What beside the inspection belongs in a result.
struct ReplyContext {
  std::string result_id;
  absl::Time arrival;
  absl::Time completion;
  double queue_seconds = 0;
};

// Moves the encoded maps out of `inspection`. `trace` must have its request id already.
void FillResult(serving::Inspection* inspection, const serving::ResolvedCategory& category,
                const filo::v1::Outputs& outputs, const filo::v1::InspectionSettings& settings,
                const filo::v1::Trace& trace, const ReplyContext& context, filo::v1::DetectionResult* out);

// The judgement of a score by the settings' threshold and margin. Verdict unspecified without a threshold.
filo::v1::Decision Decide(double score, const filo::v1::InspectionSettings& settings);

// "ok", "ng", "unsure" or "none", for metrics and logs.
const char* VerdictLabel(filo::v1::Verdict verdict);

}  // namespace filo::rpc
