#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "tests/rpc/fake_detector.h"

namespace filo::rpc {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Key;

std::string MetricsText(TestServer& server) {
  return prometheus::TextSerializer().Serialize(server.metrics().registry()->Collect());
}

TEST(DetectTest, TheReplyHoldsWhatTheDetectorFound) {
  TestServer server(Plain());
  filo::v1::DetectRequest request = GoodRequest();
  request.mutable_trace()->set_request_id("abc");
  request.mutable_trace()->set_part_serial("part 7");
  const Outcome outcome = Detect(server, request);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  const filo::v1::DetectionResult& result = outcome.result;
  EXPECT_EQ(result.score(), 0.75);
  EXPECT_EQ(result.global_score(), 0.5);
  EXPECT_EQ(result.map_maximum(), 1);
  EXPECT_EQ(result.position(), "right");
  ASSERT_EQ(result.boxes_size(), 1) << "boxes that do not count only come when asked for";
  EXPECT_EQ(result.boxes(0).phrase(), "crack");
  EXPECT_EQ(result.boxes(0).rectangle().x_max(), 30);
  EXPECT_EQ(result.position_box(), 0u);
  EXPECT_EQ(result.maps_size(), 0);
  EXPECT_EQ(result.model().bundle(), "fake");
  EXPECT_EQ(result.model().digest(), "0123");
  EXPECT_EQ(result.category().name(), "categories/hazelnut");
  EXPECT_EQ(result.category().revision(), 1);
  EXPECT_EQ(result.decision().verdict(), filo::v1::VERDICT_UNSPECIFIED);
  EXPECT_EQ(result.trace().request_id(), "abc");
  EXPECT_EQ(result.trace().part_serial(), "part 7");
  EXPECT_EQ(result.result_id().size(), 26u);
  EXPECT_THAT(result.warnings(), Contains("a warning of the detector"));
  std::vector<std::string> stages;
  for (const auto& time : result.stage_times()) stages.push_back(time.stage());
  EXPECT_THAT(stages, testing::ElementsAre("queue", "decode", "preprocess", "grounding", "image_tower",
                                           "text", "maps", "encode"));
  EXPECT_LT(result.ByteSizeLong(), 1000u) << "the default reply stays small";
}

TEST(DetectTest, AllBoxesWhenAskedFor) {
  TestServer server(Plain());
  filo::v1::DetectRequest request = GoodRequest();
  request.mutable_outputs()->set_uncounted_boxes(true);
  EXPECT_EQ(Detect(server, request).result.boxes_size(), 2);
}

TEST(DetectTest, TheInlineDefinitionReachesTheDetector) {
  category::Category seen;
  TestServer server([&seen](const image::Image& image, const category::Category& category, const auto&) {
    seen = category;
    return absl::StatusOr<detection::Result>(PlainResult(image));
  });
  filo::v1::DetectRequest request = GoodRequest();
  request.mutable_inline_category()->set_class_name("metal nut");
  request.mutable_inline_category()->add_descriptions("bent");
  request.mutable_inline_category()->add_normal_states("perfect {}");
  const Outcome outcome = Detect(server, request);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  EXPECT_EQ(seen.class_name, "metal nut");
  EXPECT_THAT(seen.descriptions, testing::ElementsAre("bent"));
  EXPECT_THAT(seen.normal_states, testing::ElementsAre("perfect {}"));
  EXPECT_EQ(outcome.result.category().name(), "");
  EXPECT_EQ(outcome.result.category().class_name(), "metal nut");
}

TEST(DetectTest, AThresholdGivesAVerdict) {
  TestServer server(Plain());
  filo::v1::DetectRequest request = GoodRequest();
  const auto verdict = [&](double threshold, double margin) {
    request.mutable_inspection()->set_score_threshold(threshold);
    request.mutable_inspection()->set_unsure_margin(margin);
    return Detect(server, request).result.decision();
  };
  EXPECT_EQ(verdict(0.75, 0).verdict(), filo::v1::VERDICT_NG) << "at the threshold is NG";
  EXPECT_EQ(verdict(0.76, 0).verdict(), filo::v1::VERDICT_OK);
  EXPECT_EQ(verdict(0.80, 0.1).verdict(), filo::v1::VERDICT_UNSURE);
  EXPECT_EQ(verdict(0.76, 0).threshold(), 0.76);
  EXPECT_EQ(verdict(0.76, 0).settings().score_threshold(), 0.76);
}

TEST(DetectTest, MapsInEveryEncodingAndSize) {
  TestServer server(Plain());
  filo::v1::DetectRequest request = GoodRequest();
  const filo::v1::MapEncoding encodings[] = {filo::v1::MAP_ENCODING_PNG8, filo::v1::MAP_ENCODING_PNG16,
                                             filo::v1::MAP_ENCODING_ZSTD_FLOAT16};
  const image::MapFormat formats[] = {image::MapFormat::kPng8, image::MapFormat::kPng16,
                                      image::MapFormat::kZstdFloat16};
  for (const auto encoding : encodings) {
    auto* map = request.mutable_outputs()->add_maps();
    map->set_encoding(encoding);
    map = request.mutable_outputs()->add_maps();
    map->set_encoding(encoding);
    map->set_size(filo::v1::MAP_SIZE_GRID);
  }
  auto* large = request.mutable_outputs()->add_maps();
  large->set_encoding(filo::v1::MAP_ENCODING_ZSTD_FLOAT16);
  large->set_size(filo::v1::MAP_SIZE_IMAGE);
  const Outcome outcome = Detect(server, request);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  ASSERT_EQ(outcome.result.maps_size(), 7);
  const double width = outcome.result.image().width();
  const auto decode = [](const filo::v1::AnomalyMap& map, image::MapFormat format) {
    return image::DecodeMap(std::as_bytes(std::span(map.data())), format, static_cast<int>(map.height()),
                            static_cast<int>(map.width()), {map.value_min(), map.value_max()});
  };
  for (int i = 0; i < 3; ++i) {
    const auto& model_size = outcome.result.maps(2 * i);
    EXPECT_EQ(model_size.width(), 4u);
    EXPECT_EQ(model_size.value_min(), 0);
    EXPECT_EQ(model_size.value_max(), 1);
    EXPECT_DOUBLE_EQ(model_size.to_image().xx(), width / 4);
    EXPECT_DOUBLE_EQ(model_size.to_image().x0(), width / 8 - 0.5);
    const auto values = decode(model_size, formats[i]);
    ASSERT_TRUE(values.ok()) << values.status();
    for (int k = 0; k < 16; ++k) EXPECT_NEAR(values->values[static_cast<std::size_t>(k)], k / 15.0, 0.002);
    const auto& grid = outcome.result.maps(2 * i + 1);
    EXPECT_EQ(grid.width(), 2u);
    EXPECT_DOUBLE_EQ(grid.to_image().xx(), width / 2);
    const auto means = decode(grid, formats[i]);
    ASSERT_TRUE(means.ok()) << means.status();
    EXPECT_NEAR(means->values[0], (0 + 1 + 4 + 5) / 60.0, 0.003);
  }
  const auto& whole = outcome.result.maps(6);
  EXPECT_EQ(whole.width(), outcome.result.image().width());
  EXPECT_EQ(whole.height(), outcome.result.image().height());
  EXPECT_EQ(whole.to_image().xx(), 1);
  EXPECT_EQ(whole.to_image().x0(), 0);
  EXPECT_TRUE(decode(whole, image::MapFormat::kZstdFloat16).ok());
}

TEST(DetectTest, ErrorsOfTheArithmeticNameTheRequestsField) {
  TestServer server([](const auto&, const auto&, const auto&) {
    return absl::StatusOr<detection::Result>(
        FieldError("category.descriptions[0]", "x", "have at most 77 tokens with its template"));
  });
  filo::v1::DetectRequest request = GoodRequest();
  request.mutable_inline_category()->set_class_name("nut");
  request.mutable_inline_category()->add_descriptions("x");
  const Outcome outcome = Detect(server, request);
  EXPECT_EQ(outcome.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(outcome.Field(), "inline_category.descriptions[0]");
}

TEST(DetectTest, AnExceptionIsAnErrorNotACrash) {
  TestServer server([](const auto&, const auto&, const auto&) -> absl::StatusOr<detection::Result> {
    throw std::bad_alloc();
  });
  const Outcome outcome = Detect(server, GoodRequest());
  EXPECT_EQ(outcome.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(outcome.Reason(), "OUT_OF_MEMORY");
  EXPECT_FALSE(Detect(server, GoodRequest()).status.ok()) << "and the worker lives";
}

TEST(DetectTest, BeforeTheModelIsLoadedCallsAreTurnedAway) {
  TestServer server(Plain(), {}, false);
  const Outcome outcome = Detect(server, GoodRequest());
  EXPECT_EQ(outcome.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(outcome.Reason(), "STARTING");
  EXPECT_THAT(outcome.trailers, Contains(Key("grpc-retry-pushback-ms")));
}

TEST(DetectTest, AFullQueueIsAnsweredAtOnceWithADelay) {
  Gate gate;
  ServerOptions options;
  options.scheduler = {.workers = 1, .max_line = 1, .max_backlog = 1};
  TestServer server(gate.Function(), options);
  auto running = std::async(std::launch::async, [&] { return Detect(server, GoodRequest()); });
  gate.entered.get_future().wait();
  auto waiting = std::async(std::launch::async, [&] { return Detect(server, GoodRequest()); });
  while (server.server().scheduler().waiting() < 1) std::this_thread::yield();
  const Outcome refused = Detect(server, GoodRequest());
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.Reason(), "QUEUE_FULL");
  EXPECT_GT(refused.Detail<google::rpc::RetryInfo>().retry_delay().nanos(), 0);
  EXPECT_THAT(refused.trailers, Contains(Key("grpc-retry-pushback-ms")));
  gate.open.set_value();
  EXPECT_TRUE(running.get().status.ok());
  EXPECT_TRUE(waiting.get().status.ok());
}

TEST(DetectTest, BytesInFlightAreBounded) {
  Gate gate;
  ServerOptions options;
  options.max_bytes_in_flight = 100'000;  // the photograph has more
  TestServer server(gate.Function(), options);
  auto running = std::async(std::launch::async, [&] { return Detect(server, GoodRequest()); });
  gate.entered.get_future().wait();
  const Outcome refused = Detect(server, GoodRequest());
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.Reason(), "TOO_MANY_BYTES");
  gate.open.set_value();
  EXPECT_TRUE(running.get().status.ok());
  EXPECT_TRUE(Detect(server, GoodRequest()).status.ok()) << "the bytes came back";
}

TEST(DetectTest, ACancelledCallStopsAtTheNextStageAndAWaitingOneIsNeverComputed) {
  Gate gate;
  TestServer server(gate.Function());
  grpc::ClientContext first;
  grpc::ClientContext second;
  auto running = std::async(std::launch::async, [&] { return Detect(server, GoodRequest(), &first); });
  gate.entered.get_future().wait();
  auto waiting = std::async(std::launch::async, [&] { return Detect(server, GoodRequest(), &second); });
  while (server.server().scheduler().waiting() < 1) std::this_thread::yield();
  second.TryCancel();
  EXPECT_EQ(waiting.get().status.error_code(), grpc::StatusCode::CANCELLED);
  while (server.server().scheduler().waiting() > 0) std::this_thread::yield();
  first.TryCancel();
  EXPECT_EQ(running.get().status.error_code(), grpc::StatusCode::CANCELLED);
  // The server learns of it on another thread; let it, then open the gate.
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  gate.open.set_value();
  EXPECT_TRUE(server.server().scheduler().WaitIdle(absl::Seconds(10)));
  EXPECT_EQ(gate.entries, 1);
  EXPECT_THAT(MetricsText(server), HasSubstr(R"(filo_dropped_total{reason="cancelled",where="stage"} 1)"));
  EXPECT_THAT(MetricsText(server), HasSubstr(R"(filo_dropped_total{reason="cancelled",where="dequeue"} 1)"));
}

TEST(DetectTest, ADeadlineThatPassesDuringTheWorkEndsIt) {
  std::promise<absl::Status> asked;
  std::atomic<bool> entered{false};
  TestServer server(
      [&](const auto&, const auto&,
          const std::function<absl::Status()>& keep_going) -> absl::StatusOr<detection::Result> {
        const bool first = !entered.exchange(true);
        absl::Status status;
        while ((status = keep_going()).ok()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        if (first) asked.set_value(status);
        return status;
      });
  // On a machine that is busy with other things the deadline may pass before the detector is reached.
  for (int milliseconds = 300; !entered && milliseconds < 60000; milliseconds *= 2) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(milliseconds));
    EXPECT_EQ(Detect(server, GoodRequest(), &context).status.error_code(),
              grpc::StatusCode::DEADLINE_EXCEEDED);
  }
  ASSERT_TRUE(entered);
  // Whichever the server notices first: its own clock, or that gRPC has cancelled the call.
  const absl::Status status = asked.get_future().get();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status) || absl::IsCancelled(status)) << status;
}

TEST(DetectTest, StartedEqualsHandledWhateverHappens) {
  TestServer server(Plain());
  filo::v1::DetectRequest bad = GoodRequest();
  bad.clear_image();
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(Detect(server, GoodRequest()).status.ok());
    EXPECT_FALSE(Detect(server, bad).status.ok());
  }
  server.Stop();
  const std::string text = MetricsText(server);
  constexpr char kMethod[] =
      R"(grpc_method="Detect",grpc_service="filo.v1.DetectorService",grpc_type="unary"})";
  EXPECT_THAT(text, HasSubstr(std::string("grpc_server_started_total{") + kMethod + " 10"));
  EXPECT_THAT(text, HasSubstr(std::string(R"(grpc_server_handled_total{grpc_code="OK",)") + kMethod + " 5"));
  EXPECT_THAT(text, HasSubstr(std::string(R"(grpc_server_handled_total{grpc_code="INVALID_ARGUMENT",)") +
                              kMethod + " 5"));
  EXPECT_THAT(text, HasSubstr("filo_bytes_in_flight 0"));
}

TEST(DetectTest, MadeUpCategoryNamesAddNoSeries) {
  TestServer server(Plain());
  EXPECT_TRUE(Detect(server, GoodRequest()).status.ok());
  const auto lines = [&] {
    const std::string text = MetricsText(server);
    return std::count(text.begin(), text.end(), '\n');
  };
  filo::v1::DetectRequest request = GoodRequest();
  request.set_category("made-up");
  EXPECT_EQ(Detect(server, request).Reason(), "CATEGORY_NOT_FOUND");
  const auto before = lines();
  for (int i = 0; i < 50; ++i) {
    request.set_category("made-up-" + std::to_string(i));
    EXPECT_EQ(Detect(server, request).status.error_code(), grpc::StatusCode::NOT_FOUND);
  }
  EXPECT_EQ(lines(), before);
}

}  // namespace
}  // namespace filo::rpc
