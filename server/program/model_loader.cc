#include "server/program/model_loader.h"

#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "server/base/status.h"
#include "server/bundle/bundle.h"
#include "server/detection/detector.h"

namespace filo::program {
namespace {

absl::StatusOr<std::shared_ptr<const serving::LoadedModel>> Load(const std::string& directory,
                                                                 const detection::Options& options) {
  const absl::Time begin = absl::Now();
  FILO_ASSIGN_OR_RETURN(std::shared_ptr<const bundle::Bundle> bundle,
                        bundle::Bundle::Open(directory, bundle::Bundle::Options()));
  auto model = std::make_shared<serving::LoadedModel>();
  model->manifest = bundle->manifest();
  model->digest = bundle->digest();
  model->directory = directory;
  model->device = options.device;
  FILO_ASSIGN_OR_RETURN(model->detector, detection::Detector::Create(std::move(bundle), options));
  model->load_time = absl::Now();
  model->load_duration = model->load_time - begin;
  return std::shared_ptr<const serving::LoadedModel>(std::move(model));
}

}  // namespace

serving::ModelLoader MakeModelLoader(std::string device, int threads) {
  detection::Options options;
  options.device = std::move(device);
  options.threads = threads;
  return
      [options](const std::string& directory) -> absl::StatusOr<std::shared_ptr<const serving::LoadedModel>> {
        auto model = Load(directory, options);
        if (!model.ok()) return Annotate(model.status(), directory);
        return model;
      };
}

}  // namespace filo::program
