// A connection to a server as the command line describes it: address, TLS, token, channel settings, deadline,
// retries.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/load/clock.h"
#include "client/rpc/retry.h"

namespace filo::client {

struct ConnectionOptions {
  std::string server = "localhost:50051";      // HOST:PORT, or any target that gRPC resolves
  Nanos deadline = std::chrono::seconds(120);  // for one call, all its attempts together
  RetryOptions retry;
  bool wait_for_ready = false;  // wait for the server to come up, within the deadline

  bool tls = false;               // implied by any of the following
  std::string tls_ca;             // PEM file with the authorities to trust; empty = the system's
  std::string tls_cert, tls_key;  // PEM files for mutual TLS; both or neither
  std::string tls_server_name;    // name to expect in the server's certificate; empty = the address

  std::string token;               // bearer token
  std::string token_file;          // file that holds it; read for every new connection
  bool token_without_tls = false;  // send the token in the clear to other machines, too

  std::size_t max_message_bytes = std::size_t{64} << 20;
  Nanos keepalive{0};                         // 0 = no pings
  std::string compression = "none";           // none, gzip, deflate
  std::string load_balancing = "pick_first";  // or round_robin
  std::vector<std::string> channel_args;      // KEY=VALUE
};

// Thread-safe once made.
class Connection {
 public:
  // Reads certificates and token; does not connect yet. Errors name the flag: kInvalidArgument for
  // contradictions, kNotFound for files that cannot be read.
  static absl::StatusOr<std::unique_ptr<Connection>> Create(const ConnectionOptions& options);

  // Another channel with sockets of its own (gRPC would otherwise share them between equal channels).
  std::shared_ptr<grpc::Channel> NewChannel() const;
  // The channel that ordinary commands share.
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // Adds deadline (from now), token and wait-for-ready to a fresh context.
  void Prepare(grpc::ClientContext& context) const;

  // Calls until it succeeds, cannot be retried, or deadline or attempts are used up; sleeps in between.
  // `attempts` may be null.
  grpc::Status Call(const std::function<grpc::Status(grpc::ClientContext&)>& call,
                    int* attempts = nullptr) const;

  const ConnectionOptions& options() const { return options_; }
  bool uses_tls() const { return tls_; }
  const std::string& authorization() const { return authorization_; }

 private:
  explicit Connection(ConnectionOptions options) : options_(std::move(options)) {}

  ConnectionOptions options_;
  bool tls_ = false;
  std::shared_ptr<grpc::ChannelCredentials> credentials_;
  grpc::ChannelArguments arguments_;
  std::string authorization_;  // "Bearer …", or empty
  std::shared_ptr<grpc::Channel> channel_;
};

// True if the host part of HOST:PORT is this machine ("localhost", 127.x.x.x, [::1], unix:…).
bool IsLoopback(const std::string& server);

// Whole file. kNotFound naming the flag and the file.
absl::StatusOr<std::string> ReadFile(const std::string& flag, const std::string& path);

}  // namespace filo::client
