// A detector that looks at nothing: its answers follow from the image's bytes, so that tests of the client
// know them.
//
//   filo_fake_server [--listen 127.0.0.1:0] [--delay-ms 0] [--workers 4] [--fail-every N] [--wrong-every N]
//                    [--token TEXT] [--threshold X] [--unavailable-first N]
//
// An image that starts with "junk" is refused as the real server refuses it; the score is FNV-1a of the bytes
// scaled to [0, 1]. Prints "listening on HOST:PORT"; SIGTERM ends it.
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <opencv2/imgcodecs.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "filo/v1/detector_service.grpc.pb.h"
#include "filo/v1/model_service.grpc.pb.h"
#include "fmt/format.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace {

struct Options {
  std::string listen = "127.0.0.1:0";
  int delay_ms = 0;
  int fail_every = 0;
  int wrong_every = 0;
  int unavailable_first = 0;
  std::string token;
  std::optional<double> threshold;
};

double ScoreOf(const std::string& bytes) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return static_cast<double>(hash >> 40) / (1 << 24);
}

grpc::Status Refuse(const std::string& field, const std::string& description) {
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field(field);
  violation->set_description(description);
  google::rpc::Status status;
  status.set_code(3);
  status.set_message(field + " " + description);
  status.add_details()->PackFrom(bad_request);
  return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, status.message(), status.SerializeAsString());
}

class Detector final : public filo::v1::DetectorService::Service {
 public:
  explicit Detector(Options options) : options_(std::move(options)) {}

  grpc::Status Detect(grpc::ServerContext* context, const filo::v1::DetectRequest* request,
                      filo::v1::DetectResponse* response) override {
    const int number = ++count_;
    if (number <= options_.unavailable_first) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "starting");
    if (!options_.token.empty()) {
      const auto found = context->client_metadata().find("authorization");
      if (found == context->client_metadata().end() || found->second != "Bearer " + options_.token) {
        return grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "no valid token");
      }
    }
    if (options_.delay_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(options_.delay_ms));
    if (options_.fail_every > 0 && number % options_.fail_every == 0) {
      return grpc::Status(grpc::StatusCode::INTERNAL, "made to fail");
    }
    const std::string& bytes = request->image().encoded();
    if (bytes.rfind("junk", 0) == 0)
      return Refuse("image", "is not an image; it must be a JPEG, PNG, BMP, TIFF or WebP file");
    if (request->category() == "unknown")
      return grpc::Status(grpc::StatusCode::NOT_FOUND, "there is no category \"unknown\"");
    Fill(*request, number, *response->mutable_result());
    return grpc::Status::OK;
  }

 private:
  void Fill(const filo::v1::DetectRequest& request, int number, filo::v1::DetectionResult& result) const {
    result.set_result_id(fmt::format("{:026d}", number));
    result.set_score(ScoreOf(request.image().encoded()));
    if (options_.wrong_every > 0 && number % options_.wrong_every == 0) result.set_score(result.score() + 1);
    result.set_global_score(0.25);
    result.set_position("top left");
    result.mutable_category()->set_class_name(
        request.has_inline_category() ? request.inline_category().class_name() : request.category());
    result.mutable_model()->set_bundle("fake");
    result.mutable_model()->set_digest("0123456789abcdef0123");
    const auto threshold = request.inspection().has_score_threshold()
                               ? std::optional<double>(request.inspection().score_threshold())
                               : options_.threshold;
    if (threshold.has_value()) {
      result.mutable_decision()->set_threshold(*threshold);
      result.mutable_decision()->set_verdict(result.score() >= *threshold ? filo::v1::VERDICT_NG
                                                                          : filo::v1::VERDICT_OK);
    }
    auto* box = result.add_boxes();
    box->set_phrase(request.has_inline_category() && request.inline_category().descriptions_size() > 0
                        ? request.inline_category().descriptions(0)
                        : "crack");
    box->set_confidence(0.75F);
    box->set_counts(true);
    box->mutable_rectangle()->set_x_min(40);
    box->mutable_rectangle()->set_y_min(60);
    box->mutable_rectangle()->set_x_max(200);
    box->mutable_rectangle()->set_y_max(180);
    for (const auto& [stage, seconds] : {std::pair("decode", 0.001), std::pair("image_tower", 0.004)}) {
      auto* time = result.add_stage_times();
      time->set_stage(stage);
      time->set_seconds(seconds);
    }
    result.set_total_seconds(0.005);
    if (request.outputs().maps_size() > 0) FillMap(request, *result.add_maps());
  }

  // A bright spot in the middle of the box above.
  static void FillMap(const filo::v1::DetectRequest& request, filo::v1::AnomalyMap& map) {
    const std::string& bytes = request.image().encoded();
    const cv::Mat image =
        cv::imdecode(std::vector<unsigned char>(bytes.begin(), bytes.end()), cv::IMREAD_GRAYSCALE);
    constexpr int kSide = 64;
    const double scale_x = static_cast<double>(image.cols) / kSide,
                 scale_y = static_cast<double>(image.rows) / kSide;
    cv::Mat codes(kSide, kSide, CV_16U);
    for (int y = 0; y < kSide; ++y) {
      for (int x = 0; x < kSide; ++x) {
        const double dx = (x + 0.5) * scale_x - 120, dy = (y + 0.5) * scale_y - 120;
        codes.at<std::uint16_t>(y, x) =
            static_cast<std::uint16_t>(6000 + 55000 * std::exp(-(dx * dx + dy * dy) / 4000));
      }
    }
    std::vector<unsigned char> file;
    cv::imencode(".png", codes, file);
    map.set_encoding(request.outputs().maps(0).encoding());
    map.set_width(kSide);
    map.set_height(kSide);
    map.set_data(file.data(), file.size());
    map.set_value_max(1);
    map.mutable_to_image()->set_xx(scale_x);
    map.mutable_to_image()->set_x0(0.5 * scale_x - 0.5);
    map.mutable_to_image()->set_yy(scale_y);
    map.mutable_to_image()->set_y0(0.5 * scale_y - 0.5);
  }

  Options options_;
  std::atomic<int> count_{0};
};

class Models final : public filo::v1::ModelService::Service {
  grpc::Status GetModel(grpc::ServerContext*, const filo::v1::GetModelRequest*,
                        filo::v1::GetModelResponse* response) override {
    response->mutable_model()->mutable_reference()->set_bundle("fake");
    response->mutable_model()->mutable_reference()->set_digest("0123456789abcdef0123");
    response->mutable_model()->set_device("cpu");
    return grpc::Status::OK;
  }
};

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("A detector that looks at nothing");
  app.add_option("--listen", options.listen);
  app.add_option("--delay-ms", options.delay_ms);
  app.add_option("--fail-every", options.fail_every);
  app.add_option("--wrong-every", options.wrong_every);
  app.add_option("--unavailable-first", options.unavailable_first);
  app.add_option("--token", options.token);
  app.add_option("--threshold", options.threshold);
  CLI11_PARSE(app, argc, argv);

  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);

  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  Detector detector(options);
  Models models;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&detector);
  builder.RegisterService(&models);
  builder.SetMaxReceiveMessageSize(-1);
  const auto server = builder.BuildAndStart();
  if (server == nullptr) return 3;
  fmt::print("listening on {}:{}\n", options.listen.substr(0, options.listen.rfind(':')), port);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&stop_signals, &signal);
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  return 0;
}
