#include "client/rpc/retry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "client/rpc/connection.h"
#include "client/rpc/error.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace filo::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

grpc::Status WithRetryInfo(int wait_seconds) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(wait_seconds);
  google::rpc::Status status;
  status.add_details()->PackFrom(retry);
  return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", status.SerializeAsString());
}

TEST(Retry, WaitsGrowWithJitterAndEnd) {
  RetryPolicy policy({.retries = 4, .initial = milliseconds(100), .maximum = milliseconds(350)}, 1);
  const grpc::Status away(grpc::StatusCode::UNAVAILABLE, "");
  for (const int ceiling : {100, 200, 350, 350}) {
    const auto wait = policy.NextWait(away);
    ASSERT_TRUE(wait.has_value());
    EXPECT_LE(*wait, milliseconds(ceiling));
    EXPECT_GE(*wait, Nanos(0));
  }
  EXPECT_FALSE(policy.NextWait(away).has_value());
}

TEST(Retry, DifferentClientsDoNotComeBackInStep) {
  const grpc::Status away(grpc::StatusCode::UNAVAILABLE, "");
  EXPECT_NE(*RetryPolicy({}, 1).NextWait(away), *RetryPolicy({}, 2).NextWait(away));
}

TEST(Retry, ObeysTheServersWish) {
  RetryPolicy policy({.initial = milliseconds(100)}, 1);
  const auto wait = policy.NextWait(WithRetryInfo(7));
  ASSERT_TRUE(wait.has_value());
  EXPECT_GE(*wait, seconds(7));
  EXPECT_LE(*wait, milliseconds(7100));
}

TEST(Retry, OnlyTransientErrors) {
  RetryPolicy policy({}, 1);
  for (const auto code : {grpc::StatusCode::INVALID_ARGUMENT, grpc::StatusCode::INTERNAL,
                          grpc::StatusCode::DEADLINE_EXCEEDED, grpc::StatusCode::ABORTED}) {
    EXPECT_FALSE(policy.NextWait(grpc::Status(code, "")).has_value());
  }
}

TEST(RpcError, ReadsDetailsAndNamesFieldsOnce) {
  google::rpc::BadRequest bad_request;
  auto* violation = bad_request.add_field_violations();
  violation->set_field("image");
  violation->set_description("is empty");
  google::rpc::Status rpc;
  rpc.add_details()->PackFrom(bad_request);
  const grpc::Status status(grpc::StatusCode::INVALID_ARGUMENT, "bad", rpc.SerializeAsString());
  EXPECT_EQ(ShortError(status), "INVALID_ARGUMENT: bad (image is empty)");
  EXPECT_EQ(
      ShortError(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "image is empty", rpc.SerializeAsString())),
      "INVALID_ARGUMENT: image is empty");
  EXPECT_TRUE(IsRpcError(RpcError(status, "s")));
  EXPECT_FALSE(IsRpcError(absl::InvalidArgumentError("x")));
  EXPECT_TRUE(ReadDetails(grpc::Status(grpc::StatusCode::UNKNOWN, "", "garbage")).violations.empty());
}

TEST(Connection, RefusesContradictions) {
  const auto message = [](std::string ConnectionOptions::*field, const char* value) {
    ConnectionOptions options;
    options.*field = std::string(value);
    return std::string(Connection::Create(options).status().message());
  };
  EXPECT_THAT(message(&ConnectionOptions::tls_cert, "cert.pem"), HasSubstr("--tls-key"));
  EXPECT_THAT(message(&ConnectionOptions::tls_ca, "/no/such.pem"), HasSubstr("/no/such.pem"));
  EXPECT_THAT(message(&ConnectionOptions::compression, "zip"), HasSubstr("--compression"));
  EXPECT_THAT(message(&ConnectionOptions::load_balancing, "random"), HasSubstr("--load-balancing"));
  EXPECT_THAT(message(&ConnectionOptions::token, "with blank"), HasSubstr("printable"));
  EXPECT_THAT(message(&ConnectionOptions::server, ""), HasSubstr("--server"));
  EXPECT_TRUE(IsLoopback("[::1]:5") && IsLoopback("localhost:5") && IsLoopback("127.0.0.2:5"));
  EXPECT_FALSE(IsLoopback("localhost.example.org:5"));
}

}  // namespace
}  // namespace filo::client
