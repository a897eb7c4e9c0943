#include "server/base/sha256.h"

#include <gtest/gtest.h>

#include <string>

namespace filo {
namespace {

// FIPS 180-4 examples.
TEST(Sha256Test, KnownAnswers) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256Test, PiecesGiveTheSameAsTheWhole) {
  Sha256 hash;
  const std::string text = "ab";
  hash.Update(std::as_bytes(std::span(text)));
  hash.Update({});
  hash.Update(std::as_bytes(std::span("c", 1)));
  EXPECT_EQ(hash.Finish(), Sha256Hex("abc"));
}

}  // namespace
}  // namespace filo
