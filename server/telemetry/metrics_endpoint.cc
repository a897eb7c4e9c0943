#include "server/telemetry/metrics_endpoint.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "prometheus/exposer.h"
#include "server/base/status.h"

// civetweb, which is inside prometheus::Exposer, gives its threads stacks of 100 KB. glibc takes the
// thread-local storage of all loaded libraries off that, and refuses to create the thread (EINVAL) when
// nothing is left: with OpenBLAS loaded, which OpenCV may bring along, that is so. civetweb has no option for
// it, so that the one call through which it asks for the small stack is answered here with a larger one.
// Larger requests are left as they are.
extern "C" int pthread_attr_setstacksize(pthread_attr_t* attributes, std::size_t size) {
  using Function = int (*)(pthread_attr_t*, std::size_t);
  static const auto next = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_attr_setstacksize"));
  constexpr std::size_t kLeast = std::size_t{1} << 20;
  return next(attributes, std::max(size, kLeast));
}

namespace filo::telemetry {
namespace {

// civetweb's listener looks at its stop flag only when a connection comes or two seconds have passed.
// Connecting to it until it is gone makes a stop take milliseconds.
void Knock(const std::stop_token& stopped, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  while (!stopped.stop_requested()) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
      // Whether it succeeds does not matter: at worst the stop takes its two seconds.
      (void)connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
      close(fd);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(const std::string& address) {
  const std::vector<std::string> options = {"listening_ports",    address, "num_threads",           "2",
                                            "request_timeout_ms", "5000",  "keep_alive_timeout_ms", "500"};
  try {
    return std::unique_ptr<MetricsEndpoint>(
        new MetricsEndpoint(std::make_unique<prometheus::Exposer>(options)));
  } catch (const std::exception& error) {
    return FieldError("metrics", address, fmt::format("be an address that can be bound ({})", error.what()));
  }
}

MetricsEndpoint::MetricsEndpoint(std::unique_ptr<prometheus::Exposer> exposer)
    : exposer_(std::move(exposer)) {}

MetricsEndpoint::~MetricsEndpoint() {
  const std::jthread knocker(Knock, port());
  exposer_.reset();
}

void MetricsEndpoint::Add(const std::weak_ptr<prometheus::Collectable>& source) {
  exposer_->RegisterCollectable(source);
}

int MetricsEndpoint::port() const { return exposer_->GetListeningPorts().at(0); }

}  // namespace filo::telemetry
