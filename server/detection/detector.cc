#include "server/detection/detector.h"

#include <utility>

#include "ATen/Parallel.h"
#include "fmt/format.h"
#include "server/base/status.h"
#include "server/detection/networks.h"
#include "server/detection/pipeline.h"
#include "server/detection/self_test.h"

namespace filo::detection {
namespace {

absl::StatusOr<at::Device> ParseDevice(const std::string& text) {
  constexpr char kExpected[] = "be \"cpu\" or \"cuda:N\" with a GPU that is there";
  try {
    const at::Device device(text);
    if (device.is_cpu() || (device.is_cuda() && at::hasCUDA())) return device;
  } catch (const c10::Error&) {
    // told below
  }
  return FieldError("device", text, kExpected);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Detector>> Detector::Create(std::shared_ptr<const bundle::Bundle> bundle,
                                                           const Options& options) {
  FILO_ASSIGN_OR_RETURN(const at::Device device, ParseDevice(options.device));
  if (options.threads > 0) at::set_num_threads(options.threads);
  FILO_ASSIGN_OR_RETURN(std::shared_ptr<const Networks> networks, Networks::Load(bundle, device, at::kFloat));
  auto pipeline = std::make_unique<Pipeline>(std::move(networks), options);
  if (options.self_test) {
    FILO_RETURN_IF_ERROR(Annotate(RunSelfTest(*pipeline, *bundle), bundle->directory()));
  }
  return pipeline;
}

}  // namespace filo::detection
