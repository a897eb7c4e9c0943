#include "client/engine/half_request.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "fmt/format.h"

namespace filo::client {
namespace {

constexpr std::size_t kMaxFrame = 16384;  // HTTP/2's smallest limit, which every server takes

std::string BigEndian(std::size_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out += static_cast<char>((value >> shift) & 0xFFu);
  return out;
}

// RFC 9113 section 4.1.
std::string FrameHeader(std::size_t length, int type, int flags, int stream) {
  std::string out = BigEndian(length, 3);
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(flags));
  return out.append(BigEndian(static_cast<std::size_t>(stream), 4));
}

// RFC 7541 sections 5.1 and 5.2: a string of less than 2^14 bytes, not Huffman-coded.
std::string HpackString(const std::string& text) {
  constexpr std::size_t kPrefix = 127;
  std::string out;
  out.push_back(static_cast<char>(std::min(text.size(), kPrefix)));
  if (text.size() >= kPrefix) {
    const std::size_t rest = text.size() - kPrefix;
    if (rest >= 128) out.push_back(static_cast<char>(0x80u | (rest & 0x7Fu)));
    out.push_back(static_cast<char>(rest < 128 ? rest : rest >> 7));
  }
  return out.append(text);
}

// Literal header field without indexing, new name (section 6.2.2).
std::string Header(const std::string& name, const std::string& value) {
  std::string out;
  out.push_back('\0');
  return out.append(HpackString(name)).append(HpackString(value));
}

int Connect(const std::string& server) {
  const std::size_t colon = server.rfind(':');
  if (colon == std::string::npos) return -1;
  std::string host = server.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), server.substr(colon + 1).c_str(), &hints, &found) != 0) return -1;
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    const int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, address->ai_addr, address->ai_addrlen) == 0) return fd;
    if (fd >= 0) close(fd);
  }
  return -1;
}

}  // namespace

std::string HalfARequest(const std::string& server, const std::string& method,
                         const std::string& authorization, const std::string& message) {
  constexpr int kData = 0, kHeaders = 1, kSettings = 4, kEndHeaders = 4;
  std::string block = Header(":method", "POST") + Header(":scheme", "http") + Header(":path", method) +
                      Header(":authority", server) + Header("content-type", "application/grpc") +
                      Header("te", "trailers");
  if (!authorization.empty()) block += Header("authorization", authorization);
  std::string body;
  body.push_back('\0');  // not compressed
  body.append(BigEndian(message.size(), 4)).append(message);
  const std::size_t promised = std::min(body.size(), kMaxFrame);
  return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + FrameHeader(0, kSettings, 0, 0) +
         FrameHeader(block.size(), kHeaders, kEndHeaders, 1) + block + FrameHeader(promised, kData, 0, 1) +
         body.substr(0, promised / 2);
}

absl::Status SendHalfARequest(const std::string& server, const std::string& method,
                              const std::string& authorization, const std::string& message) {
  const int fd = Connect(server);
  if (fd < 0) return absl::UnavailableError(fmt::format("cannot connect to {}", server));
  const std::string bytes = HalfARequest(server, method, authorization, message);
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t now = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (now <= 0) break;
    sent += static_cast<std::size_t>(now);
  }
  // Long enough for the server to read it; then a reset instead of an orderly close.
  usleep(20'000);
  const linger hard{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  close(fd);
  return absl::OkStatus();
}

}  // namespace filo::client
