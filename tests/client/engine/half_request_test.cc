#include "client/engine/half_request.h"

#include <gtest/gtest.h>

namespace filo::client {
namespace {

std::size_t BigEndian(const std::string& bytes, std::size_t at, int count) {
  std::size_t value = 0;
  for (int i = 0; i < count; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)]);
  return value;
}

TEST(HalfRequest, FramesAreWellFormedUntilTheCut) {
  const std::string message(100'000, 'x');
  const std::string bytes = HalfARequest("localhost:1", "/a.B/C", "Bearer " + std::string(300, 't'), message);
  std::size_t at = std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").size();
  EXPECT_EQ(BigEndian(bytes, at, 3), 0u);  // SETTINGS, empty
  EXPECT_EQ(bytes[at + 3], 4);
  at += 9;
  const std::size_t headers = BigEndian(bytes, at, 3);
  EXPECT_EQ(bytes[at + 3], 1);  // HEADERS
  EXPECT_EQ(bytes[at + 4], 4);  // END_HEADERS
  EXPECT_EQ(BigEndian(bytes, at + 5, 4), 1u);
  EXPECT_NE(bytes.substr(at + 9, headers).find("/a.B/C"), std::string::npos);
  at += 9 + headers;
  const std::size_t promised = BigEndian(bytes, at, 3);
  EXPECT_EQ(bytes[at + 3], 0);  // DATA
  EXPECT_EQ(promised, 16384u);
  EXPECT_EQ(bytes.size() - at - 9, promised / 2) << "the second half never comes";
  EXPECT_EQ(BigEndian(bytes, at + 10, 4), message.size());
}

TEST(HalfRequest, NobodyThereIsAnError) {
  EXPECT_EQ(SendHalfARequest("127.0.0.1:1", "/a/b", "", "x").code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(SendHalfARequest("no port", "/a/b", "", "x").ok());
}

}  // namespace
}  // namespace filo::client
