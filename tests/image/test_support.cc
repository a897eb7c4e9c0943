#include "tests/image/test_support.h"

#include <openssl/sha.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "fmt/format.h"

namespace filo::image::testing {

Buffer ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  const std::vector<char> chars((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Buffer buffer(chars.size());
  if (!chars.empty()) std::memcpy(buffer.data(), chars.data(), chars.size());
  return buffer;
}

std::string Sha256(std::span<const std::uint8_t> bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(bytes.data(), bytes.size(), digest);
  std::string hex;
  for (unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

Buffer ToBuffer(std::span<const std::uint8_t> bytes) {
  const auto view = std::as_bytes(bytes);
  return {view.begin(), view.end()};
}

}  // namespace filo::image::testing
