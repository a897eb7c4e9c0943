// What belongs to the server as a whole: health, reflection, models, wire-level nonsense, stopping.
#include "server/rpc/server.h"

#include <chrono>
#include <future>
#include <thread>

#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "grpcpp/generic/generic_stub.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "tests/rpc/fake_detector.h"

namespace filo::rpc {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

grpc::Status Check(const TestServer& server, const std::string& service, HealthCheckResponse* response) {
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service(service);
  return Health::NewStub(server.Channel())->Check(&context, request, response);
}

TEST(HealthTest, CheckKnowsTheServerAndEachService) {
  TestServer server(Plain());
  HealthCheckResponse response;
  for (const char* service : {"", "filo.v1.DetectorService", "filo.v1.ModelService"}) {
    ASSERT_TRUE(Check(server, service, &response).ok()) << service;
    EXPECT_EQ(response.status(), HealthCheckResponse::SERVING) << service;
  }
  server.server().SetServing(false);
  for (const char* service : {"", "filo.v1.DetectorService", "filo.v1.ModelService"}) {
    ASSERT_TRUE(Check(server, service, &response).ok()) << service;
    EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING) << service;
  }
  EXPECT_EQ(Check(server, "filo.v1.Other", &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST(HealthTest, WatchTellsOfEveryChange) {
  TestServer server(Plain());
  grpc::ClientContext context;
  HealthCheckRequest request;
  request.set_service("filo.v1.DetectorService");
  auto stub = Health::NewStub(server.Channel());
  auto watch = stub->Watch(&context, request);
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  server.server().SetServing(false);
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  server.server().SetServing(true);
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  context.TryCancel();
  watch->Finish();
}

TEST(HealthTest, AnswersWhileEveryWorkerIsBusy) {
  std::promise<void> open;
  std::shared_future<void> opened = open.get_future().share();
  TestServer server([opened](const image::Image& image, const auto&, const auto&) {
    opened.wait();
    return absl::StatusOr<detection::Result>(PlainResult(image));
  });
  std::vector<std::future<Outcome>> calls;
  for (int i = 0; i < 20; ++i) {
    calls.push_back(std::async(std::launch::async, [&] { return Detect(server, GoodRequest()); }));
  }
  while (server.server().scheduler().waiting() < 19) std::this_thread::yield();
  HealthCheckResponse response;
  EXPECT_TRUE(Check(server, "", &response).ok());
  EXPECT_EQ(response.status(), HealthCheckResponse::SERVING);
  open.set_value();
  for (auto& call : calls) EXPECT_TRUE(call.get().status.ok());
}

// Calls any method with any bytes.
grpc::Status CallRaw(const TestServer& server, const std::string& method, const std::string& bytes,
                     std::string* reply = nullptr) {
  grpc::GenericStub stub(server.Channel());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  grpc::CompletionQueue queue;
  grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  grpc::ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (reply != nullptr && status.ok()) {
    std::vector<grpc::Slice> slices;
    if (response.Dump(&slices).ok()) {
      for (const grpc::Slice& part : slices)
        reply->append(reinterpret_cast<const char*>(part.begin()), part.size());
    }
  }
  return status;
}

TEST(WireTest, BytesThatAreNoMessageAreTheCallersFault) {
  TestServer server(Plain());
  for (const std::string& bytes :
       {std::string("\xff\xff\xff\xff"), std::string(1000, '\x0a'), std::string("\x12\x02\xff\xfe", 4)}) {
    const grpc::Status status = CallRaw(server, "/filo.v1.DetectorService/Detect", bytes);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  }
  EXPECT_TRUE(Detect(server, GoodRequest()).status.ok());
}

TEST(WireTest, UnknownMethodsAreUnimplementedAndNotCounted) {
  TestServer server(Plain());
  EXPECT_EQ(CallRaw(server, "/filo.v1.DetectorService/Guess", "").error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(CallRaw(server, "/no.Such/Service", "").error_code(), grpc::StatusCode::UNIMPLEMENTED);
  const std::string text = prometheus::TextSerializer().Serialize(server.metrics().registry()->Collect());
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("Guess")));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("no.Such")));
}

TEST(ModelTest, GetModelDescribesTheBundle) {
  TestServer server(Plain());
  grpc::ClientContext context;
  filo::v1::GetModelResponse response;
  ASSERT_TRUE(filo::v1::ModelService::NewStub(server.Channel())->GetModel(&context, {}, &response).ok());
  EXPECT_EQ(response.model().reference().bundle(), "fake");
  EXPECT_EQ(response.model().reference().profile(), filo::v1::PROFILE_PAPER);
  ASSERT_EQ(response.model().files_size(), 1);
  EXPECT_EQ(response.model().files(0).licence(), "MIT");
  EXPECT_EQ(response.model().positions_size(), 9);
}

TEST(StartTest, WithoutTlsOnlyThisMachineIsServedUnlessToldOtherwise) {
  serving::ModelSlot models([](const std::string&) {
    return absl::StatusOr<std::shared_ptr<const serving::LoadedModel>>(absl::NotFoundError("none"));
  });
  serving::FixedCategories categories;
  telemetry::Metrics metrics;
  const serving::RealClock clock;
  ServerOptions options;
  for (const char* address : {"0.0.0.0:0", "[::]:0", "10.1.2.3:0", "example.com:0"}) {
    options.listen = address;
    const auto refused = Server::Start(options, &models, &categories, &metrics, &clock);
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument) << address;
  }
  options.listen = "0.0.0.0:0";
  options.insecure_bind_any = true;
  EXPECT_TRUE(Server::Start(options, &models, &categories, &metrics, &clock).ok());
}

TEST(StartTest, APortThatIsTakenIsAnErrorNotASecondServer) {
  TestServer first(Plain());
  serving::FixedCategories categories;
  telemetry::Metrics metrics;
  const serving::RealClock clock;
  ServerOptions options;
  options.listen = "127.0.0.1:" + std::to_string(first.server().port());
  const auto second = Server::Start(options, &first.models(), &categories, &metrics, &clock);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(second.status().message()), testing::HasSubstr("be an address that can be bound"));
}

TEST(DrainTest, WhatIsHereIsAnsweredAndWhatComesIsSentElsewhere) {
  Gate gate;
  TestServer server(gate.Function());
  auto running = std::async(std::launch::async, [&] { return Detect(server, GoodRequest()); });
  gate.entered.get_future().wait();
  auto drained = std::async(std::launch::async,
                            [&] { return server.server().Drain(absl::ZeroDuration(), absl::Seconds(30)); });
  HealthCheckResponse response;
  do {
    ASSERT_TRUE(Check(server, "", &response).ok());
  } while (response.status() != HealthCheckResponse::NOT_SERVING);
  Outcome refused;
  do {  // one that slips into the queue before it closes waits behind the gate, until its deadline
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
    refused = Detect(server, GoodRequest(), &context);
  } while (refused.status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(refused.Reason(), "DRAINING");
  gate.open.set_value();
  EXPECT_TRUE(running.get().status.ok());
  EXPECT_TRUE(drained.get());
}

TEST(DrainTest, TheGraceEnds) {
  std::atomic<bool> cancelled{false};
  std::promise<void> entered;
  TestServer server(
      [&](const auto&, const auto&,
          const std::function<absl::Status()>& keep_going) -> absl::StatusOr<detection::Result> {
        entered.set_value();
        absl::Status status;
        while ((status = keep_going()).ok()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        cancelled = true;
        return status;
      });
  auto running = std::async(std::launch::async, [&] { return Detect(server, GoodRequest()); });
  entered.get_future().wait();
  EXPECT_FALSE(server.server().Drain(absl::ZeroDuration(), absl::Milliseconds(100)));
  EXPECT_FALSE(running.get().status.ok());
  EXPECT_TRUE(cancelled);
}

TEST(DrainTest, AHealthWatcherDoesNotHoldTheServerBack) {
  TestServer server(Plain());
  grpc::ClientContext context;
  auto stub = Health::NewStub(server.Channel());
  auto watch = stub->Watch(&context, HealthCheckRequest());
  HealthCheckResponse response;
  ASSERT_TRUE(watch->Read(&response));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_TRUE(server.server().Drain(absl::ZeroDuration(), absl::Seconds(60)));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
  ASSERT_TRUE(watch->Read(&response));
  EXPECT_EQ(response.status(), HealthCheckResponse::NOT_SERVING);
  while (watch->Read(&response)) {
  }
  watch->Finish();
}

}  // namespace
}  // namespace filo::rpc
