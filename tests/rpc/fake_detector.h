// A detector whose answers a test decides, and a server around it in this process.
#pragma once

#include <atomic>
#include <fstream>
#include <functional>
#include <future>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "filo/v1/detector_service.grpc.pb.h"
#include "filo/v1/model_service.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "server/base/status.h"
#include "server/detection/detector.h"
#include "server/rpc/server.h"

namespace filo::rpc {

class FakeDetector : public detection::Detector {
 public:
  using Function = std::function<absl::StatusOr<detection::Result>(
      const image::Image&, const category::Category&, const std::function<absl::Status()>& keep_going)>;

  explicit FakeDetector(Function function) : function_(std::move(function)) {}

  absl::StatusOr<detection::Result> Detect(const image::Image& image, const category::Category& category,
                                           const std::function<absl::Status()>& keep_going) const override {
    ++calls;
    return function_(image, category, keep_going);
  }

  mutable std::atomic<int> calls{0};

 private:
  const Function function_;
};

// A score of 0.75, a 4 x 4 map that rises from 0 to 1, one counting and one other box, position 5 ("right").
inline detection::Result PlainResult(const image::Image& image) {
  detection::Result result;
  result.score = 0.75;
  result.global_score = 0.5;
  result.map_max = 1;
  result.position = 5;
  result.boxes = {{1, 2, 30, 40, 0.9f, "crack", true}, {5, 6, 7, 8, 0.4f, "shell", false}};
  result.position_box = 0;
  result.map.height = result.map.width = 4;
  result.map.scale_x = image.width / 4.0;
  result.map.scale_y = image.height / 4.0;
  for (int i = 0; i < 16; ++i) result.map.values.push_back(static_cast<float>(i) / 15);
  result.times.image_tower = 0.25;
  result.warnings = {"a warning of the detector"};
  return result;
}

inline FakeDetector::Function Plain() {
  return [](const image::Image& image, const category::Category&, const std::function<absl::Status()>&) {
    return absl::StatusOr<detection::Result>(PlainResult(image));
  };
}

// A detector that holds its first image until it is released.
struct Gate {
  std::promise<void> entered;
  std::promise<void> open;
  std::atomic<int> entries{0};

  FakeDetector::Function Function() {
    return [this](const image::Image& image, const category::Category&,
                  const std::function<absl::Status()>& keep_going) -> absl::StatusOr<detection::Result> {
      if (entries++ == 0) {
        entered.set_value();
        open.get_future().wait();
      }
      if (const absl::Status status = keep_going(); !status.ok()) return status;
      return PlainResult(image);
    };
  }
};

inline std::shared_ptr<const serving::LoadedModel> FakeModel(FakeDetector::Function function) {
  auto model = std::make_shared<serving::LoadedModel>();
  model->detector = std::make_shared<FakeDetector>(std::move(function));
  model->manifest.name = "fake";
  model->manifest.summary = "Answers what a test says.";
  model->manifest.image_tower.image_size = 4;
  model->manifest.image_tower.patch_size = 2;
  model->manifest.prompts.positions = {"top left", "top",         "top right", "left",        "center",
                                       "right",    "bottom left", "bottom",    "bottom right"};
  model->manifest.files["filo"] = {"filo.safetensors", "ab", 12, "made up", "MIT"};
  model->digest = "0123";
  model->device = "cpu";
  return model;
}

inline std::string Photograph() {
  std::ifstream file(std::string(FILO_TEST_DATA) + "/hazelnut/good/04.jpg", std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

// A server on a free port of this machine, with the category "hazelnut" and one worker unless told otherwise.
class TestServer {
 public:
  explicit TestServer(FakeDetector::Function function, ServerOptions options = {}, bool load = true)
      : models_([function](const std::string&) {
          return absl::StatusOr<std::shared_ptr<const serving::LoadedModel>>(FakeModel(function));
        }) {
    category::Category hazelnut;
    hazelnut.name = hazelnut.class_name = "hazelnut";
    hazelnut.descriptions = {"crack"};
    categories_ = serving::FixedCategories({{"hazelnut", hazelnut}});
    options.listen = "127.0.0.1:0";
    EXPECT_TRUE(!load || models_.Load("fake").ok());
    auto started = Server::Start(options, &models_, &categories_, &metrics_, &clock_);
    EXPECT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    server_->SetServing(load);
  }

  std::shared_ptr<grpc::Channel> Channel() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
    arguments.SetMaxReceiveMessageSize(-1);
    return grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(server_->port()),
                                     grpc::InsecureChannelCredentials(), arguments);
  }
  Server& server() { return *server_; }
  serving::ModelSlot& models() { return models_; }
  telemetry::Metrics& metrics() { return metrics_; }
  void Stop() { server_.reset(); }

 private:
  telemetry::Metrics metrics_;
  serving::RealClock clock_;
  serving::FixedCategories categories_;
  serving::ModelSlot models_;
  std::unique_ptr<Server> server_;
};

inline filo::v1::DetectRequest GoodRequest() {
  static const std::string* photograph = new std::string(Photograph());
  filo::v1::DetectRequest request;
  request.mutable_image()->set_encoded(*photograph);
  request.set_category("hazelnut");
  return request;
}

struct Outcome {
  grpc::Status status;
  filo::v1::DetectionResult result;
  std::map<std::string, std::string> trailers;

  // The first detail of type T; an empty one if there is none.
  template <typename T>
  T Detail() const {
    google::rpc::Status details;
    T found;
    if (!details.ParseFromString(status.error_details())) return found;
    for (const auto& detail : details.details()) {
      if (detail.UnpackTo(&found)) return found;
    }
    return T();
  }
  std::string Field() const {
    const auto bad = Detail<google::rpc::BadRequest>();
    return bad.field_violations_size() > 0 ? bad.field_violations(0).field() : "";
  }
  std::string Reason() const { return Detail<google::rpc::ErrorInfo>().reason(); }
};

inline Outcome Detect(const TestServer& server, const filo::v1::DetectRequest& request,
                      grpc::ClientContext* context = nullptr) {
  grpc::ClientContext own;
  grpc::ClientContext* used = context != nullptr ? context : &own;
  filo::v1::DetectResponse response;
  Outcome outcome;
  outcome.status = filo::v1::DetectorService::NewStub(server.Channel())->Detect(used, request, &response);
  outcome.result = std::move(*response.mutable_result());
  for (const auto& [key, value] : used->GetServerTrailingMetadata()) {
    outcome.trailers.emplace(std::string(key.data(), key.size()), std::string(value.data(), value.size()));
  }
  return outcome;
}

}  // namespace filo::rpc
