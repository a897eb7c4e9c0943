#include "client/rpc/connection.h"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "client/load/parse.h"
#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeCredentials(const ConnectionOptions& options,
                                                                          bool tls) {
  if (!tls) return grpc::InsecureChannelCredentials();
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key belong together; give both or neither");
  }
  grpc::SslCredentialsOptions ssl;
  if (!options.tls_ca.empty()) {
    FILO_ASSIGN_OR_RETURN(ssl.pem_root_certs, ReadFile("--tls-ca", options.tls_ca));
  }
  if (!options.tls_cert.empty()) {
    FILO_ASSIGN_OR_RETURN(ssl.pem_cert_chain, ReadFile("--tls-cert", options.tls_cert));
    FILO_ASSIGN_OR_RETURN(ssl.pem_private_key, ReadFile("--tls-key", options.tls_key));
  }
  return grpc::SslCredentials(ssl);
}

absl::Status AddChannelArg(grpc::ChannelArguments& arguments, const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    return FieldError("--channel-arg", text, "look like KEY=VALUE");
  const std::string key = text.substr(0, equals);
  const std::string value = text.substr(equals + 1);
  const auto number = ParseNumber("--channel-arg", value);
  if (number.ok() && *number == static_cast<int>(*number)) {
    arguments.SetInt(key, static_cast<int>(*number));
  } else {
    arguments.SetString(key, value);
  }
  return absl::OkStatus();
}

absl::StatusOr<grpc::ChannelArguments> MakeArguments(const ConnectionOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetUserAgentPrefix("filo-client");
  arguments.SetMaxReceiveMessageSize(
      static_cast<int>(std::min<std::size_t>(options.max_message_bytes, INT32_MAX)));
  arguments.SetMaxSendMessageSize(-1);
  // Retries are ours: they are counted, and obey the server's RetryInfo.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // A server that starts a second after the client should be found soon, not at the end of a long back-off.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5000);
  if (options.keepalive > Nanos(0)) {
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(ToMillis(options.keepalive)));
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  }
  if (options.compression == "gzip") {
    arguments.SetCompressionAlgorithm(GRPC_COMPRESS_GZIP);
  } else if (options.compression == "deflate") {
    arguments.SetCompressionAlgorithm(GRPC_COMPRESS_DEFLATE);
  } else if (options.compression != "none") {
    return FieldError("--compression", options.compression, "be none, gzip or deflate");
  }
  if (options.load_balancing != "pick_first" && options.load_balancing != "round_robin") {
    return FieldError("--load-balancing", options.load_balancing, "be pick_first or round_robin");
  }
  arguments.SetLoadBalancingPolicyName(options.load_balancing);
  if (!options.tls_server_name.empty()) arguments.SetSslTargetNameOverride(options.tls_server_name);
  for (const std::string& text : options.channel_args) FILO_RETURN_IF_ERROR(AddChannelArg(arguments, text));
  return arguments;
}

absl::StatusOr<std::string> MakeAuthorization(const ConnectionOptions& options, bool tls) {
  std::string token = options.token;
  if (!options.token_file.empty()) {
    if (!token.empty()) return absl::InvalidArgumentError("--token and --token-file contradict each other");
    FILO_ASSIGN_OR_RETURN(token, ReadFile("--token-file", options.token_file));
    while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' '))
      token.pop_back();
  }
  if (token.empty()) return std::string();
  if (std::any_of(token.begin(), token.end(), [](char c) { return c < 0x21 || c > 0x7e; })) {
    return absl::InvalidArgumentError("the token must consist of printable ASCII characters without blanks");
  }
  if (!tls && !IsLoopback(options.server) && !options.token_without_tls) {
    return absl::InvalidArgumentError(
        fmt::format("the token would travel to {} unencrypted; use --tls, or --token-without-tls if the "
                    "network is trusted",
                    options.server));
  }
  return "Bearer " + token;
}

}  // namespace

bool IsLoopback(const std::string& server) {
  const auto starts = [&](const char* prefix) { return server.rfind(prefix, 0) == 0; };
  return starts("localhost:") || server == "localhost" || starts("127.") || starts("[::1]") ||
         starts("unix:");
}

absl::StatusOr<std::string> ReadFile(const std::string& flag, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(fmt::format("{}: cannot read {}", flag, path));
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Create(const ConnectionOptions& options) {
  std::unique_ptr<Connection> connection(new Connection(options));
  if (options.server.empty())
    return FieldError("--server", options.server, "be HOST:PORT, e.g. localhost:50051");
  if (options.deadline <= Nanos(0)) return FieldError("--deadline", "0", "be longer than 0");
  connection->tls_ = options.tls || !options.tls_ca.empty() || !options.tls_cert.empty() ||
                     !options.tls_key.empty() || !options.tls_server_name.empty();
  FILO_ASSIGN_OR_RETURN(connection->credentials_, MakeCredentials(options, connection->tls_));
  FILO_ASSIGN_OR_RETURN(connection->arguments_, MakeArguments(options));
  FILO_ASSIGN_OR_RETURN(connection->authorization_, MakeAuthorization(options, connection->tls_));
  connection->channel_ = connection->NewChannel();
  return connection;
}

std::shared_ptr<grpc::Channel> Connection::NewChannel() const {
  static std::atomic<int> next{0};
  grpc::ChannelArguments arguments = arguments_;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt("filo.channel", next++);
  return grpc::CreateCustomChannel(options_.server, credentials_, arguments);
}

void Connection::Prepare(grpc::ClientContext& context) const {
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::system_clock::duration>(options_.deadline));
  context.set_wait_for_ready(options_.wait_for_ready);
  if (!authorization_.empty()) context.AddMetadata("authorization", authorization_);
}

grpc::Status Connection::Call(const std::function<grpc::Status(grpc::ClientContext&)>& call,
                              int* attempts) const {
  const auto give_up = std::chrono::steady_clock::now() + options_.deadline;
  RetryPolicy policy(options_.retry, std::random_device{}());
  for (int attempt = 1;; ++attempt) {
    if (attempts != nullptr) *attempts = attempt;
    const Nanos left = give_up - std::chrono::steady_clock::now();
    grpc::ClientContext context;
    Prepare(context);
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::duration_cast<std::chrono::system_clock::duration>(left));
    grpc::Status status = call(context);
    if (status.ok()) return status;
    const std::optional<Nanos> wait = policy.NextWait(status);
    if (!wait.has_value() || std::chrono::steady_clock::now() + *wait >= give_up) return status;
    std::this_thread::sleep_for(*wait);
  }
}

}  // namespace filo::client
