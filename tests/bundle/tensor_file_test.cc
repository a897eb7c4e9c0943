#include "server/bundle/tensor_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "server/base/file.h"

namespace filo::bundle {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::string Message(const absl::Status& status) { return std::string(status.message()); }

class TensorFileTest : public testing::Test {
 protected:
  TensorFileTest() {
    path_ = testing::TempDir() + "filo_tensor_file_test." +
            testing::UnitTest::GetInstance()->current_test_info()->name() + ".safetensors";
  }
  ~TensorFileTest() override { fs::remove(path_); }

  // A file with this header and `data_bytes` bytes behind it.
  absl::StatusOr<std::shared_ptr<const TensorFile>> OpenWith(const std::string& header,
                                                             std::size_t data_bytes) {
    std::uint64_t length = header.size();
    std::string file(reinterpret_cast<const char*>(&length), sizeof length);
    file += header + std::string(data_bytes, '\1');
    EXPECT_TRUE(WriteFile(path_, file).ok());
    return TensorFile::Open(path_);
  }

  std::string path_;
};

TEST_F(TensorFileTest, WhatIsWrittenIsRead) {
  const std::vector<float> floats{1.5f, -2.0f, 3.25f, 0.0f, 5.0f, 6.0f};
  const std::vector<std::uint8_t> odd{7, 8, 9};
  const std::int64_t scalar = -5;
  const TensorMap tensors{
      {"a.bytes", {DType::kU8, {3}, std::as_bytes(std::span(odd))}},
      {"b.floats", {DType::kF32, {2, 3}, std::as_bytes(std::span(floats))}},
      {"c.scalar", {DType::kI64, {}, std::as_bytes(std::span(&scalar, 1))}},
      {"d.none", {DType::kF16, {4, 0}, {}}},
      {"ünïcode \"quoted\"", {DType::kBool, {1}, std::as_bytes(std::span(odd)).first(1)}},
  };
  ASSERT_TRUE(WriteTensorFile(path_, tensors, {{"format", "pt"}}).ok());
  const auto file = TensorFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->metadata().at("format"), "pt");
  ASSERT_EQ((*file)->tensors().size(), tensors.size());
  for (const auto& [name, wanted] : tensors) {
    const TensorView& view = (*file)->tensors().at(name);
    EXPECT_EQ(view.dtype, wanted.dtype) << name;
    EXPECT_EQ(view.shape, wanted.shape) << name;
    ASSERT_EQ(view.bytes.size(), wanted.bytes.size()) << name;
    if (!wanted.bytes.empty()) {
      EXPECT_EQ(std::memcmp(view.bytes.data(), wanted.bytes.data(), wanted.bytes.size()), 0);
    }
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.bytes.data()) % DTypeBytes(view.dtype), 0u) << name;
  }
  EXPECT_EQ((*file)->tensors().at("b.floats").elements(), 6);
  EXPECT_EQ((*file)->tensors().at("c.scalar").elements(), 1);
}

TEST_F(TensorFileTest, OrderOfWritingDoesNotShow) {
  const std::vector<float> x{1, 2}, y{3, 4};
  const TensorFileWriter::Specs specs{{"x", {DType::kF32, {2}}}, {"y", {DType::kF32, {2}}}};
  std::vector<std::string> files;
  for (const bool forward : {true, false}) {
    auto writer = TensorFileWriter::Create(path_, specs, {});
    ASSERT_TRUE(writer.ok());
    const auto write = [&](std::string_view name) {
      return (*writer)->Write(name, std::as_bytes(std::span(name == "x" ? x : y)));
    };
    ASSERT_TRUE(write(forward ? "x" : "y").ok());
    EXPECT_THAT(Message((*writer)->Finish()),
                HasSubstr(forward ? "tensor y was never" : "tensor x was never"));
    EXPECT_THAT(Message(write(forward ? "x" : "y")), HasSubstr("written twice"));
    ASSERT_TRUE(write(forward ? "y" : "x").ok());
    ASSERT_TRUE((*writer)->Finish().ok());
    files.push_back(*ReadFile(path_, 1000));
  }
  EXPECT_EQ(files[0], files[1]);
}

TEST_F(TensorFileTest, WriterRefusesWhatWasNotAnnounced) {
  auto writer = TensorFileWriter::Create(path_, {{"x", {DType::kF32, {2}}}}, {});
  ASSERT_TRUE(writer.ok());
  const std::vector<float> three{1, 2, 3};
  EXPECT_THAT(Message((*writer)->Write("z", {})), HasSubstr("z was not announced"));
  EXPECT_THAT(Message((*writer)->Write("x", std::as_bytes(std::span(three)))), HasSubstr("has 12 bytes"));
  EXPECT_FALSE(TensorFileWriter::Create(path_, {{"x", {DType::kF32, {-1}}}}, {}).ok());
  EXPECT_FALSE(TensorFileWriter::Create(path_, {{"\xff", {DType::kF32, {1}}}}, {}).ok());
  EXPECT_FALSE(TensorFileWriter::Create(path_, {{"x", {DType::kF32, {std::int64_t{1} << 62, 8}}}}, {}).ok());
}

TEST_F(TensorFileTest, EveryGoldenFileOpens) {
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(FILO_GOLDENS)) {
    if (entry.path().extension() != ".safetensors") continue;
    const auto file = TensorFile::Open(entry.path().string());
    EXPECT_TRUE(file.ok()) << file.status();
    EXPECT_GT((*file)->tensors().size(), 0u);
    ++files;
  }
  EXPECT_GT(files, 5);
}

TEST_F(TensorFileTest, MissingFileIsNotFound) {
  EXPECT_EQ(TensorFile::Open(path_ + ".none").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(TensorFileTest, HostileHeadersAreRefusedByNameAndReason) {
  struct Case {
    std::string header;
    std::size_t data;
    std::string reason;
  };
  const std::vector<Case> cases{
      {"", 0, "does not begin with {"},
      {"[1]", 0, "does not begin with {"},
      {"{\"a\":", 0, "not a JSON object"},
      {"{\"a\":{}} trailing", 0, "not a JSON object"},
      {"{\"a\xff\":{}}", 0, "not a JSON object"},
      {R"({"a":1})", 0, "tensor a must have dtype, shape and data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4, "and nothing else"},
      {R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4, "tensor a has dtype \"F31\""},
      {R"({"a":{"dtype":32,"shape":[1],"data_offsets":[0,4]}})", 4, "tensor a has dtype 32"},
      {R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4, "not a list"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "not a whole number"},
      {R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4, "not a whole number"},
      {R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4,
       "not a whole number"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})", 4,
       "more than can be addressed"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}})", 0,
       "more than can be addressed"},
      {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4,
       "at most 16"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "has 4 bytes, but F32 [2] needs 8"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", 4, "outside the 4 bytes"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "outside the 4 bytes"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "not two whole numbers"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,"4"]}})", 4, "not two whole numbers"},
      {R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       4, "tensors a and b overlap"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
       2, "tensors a and b overlap"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
       4, "1 bytes before tensor b belong to no tensor"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 3,
       "2 bytes at its end belong to no tensor"},
      {R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
       2, "names a twice"},
      {R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1, "names dtype twice"},
      {R"({"__metadata__":[]})", 0, "__metadata__ is not an object"},
      {R"({"__metadata__":{"k":1}})", 0, "__metadata__.k is not a string"},
      {"{\"a\":" + std::string(100000, '[') + std::string(100000, ']') + "}", 0, "nested too deeply"},
  };
  for (const Case& c : cases) {
    const auto file = OpenWith(c.header, c.data);
    ASSERT_FALSE(file.ok()) << c.header;
    EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(file.status()), HasSubstr(c.reason)) << c.header.substr(0, 200);
    EXPECT_THAT(Message(file.status()), HasSubstr(path_));
  }
}

TEST_F(TensorFileTest, HeaderLengthIsCheckedBeforeUse) {
  for (const std::uint64_t length : {std::uint64_t{100}, std::uint64_t{17} << 20, ~std::uint64_t{0}}) {
    std::string file(reinterpret_cast<const char*>(&length), sizeof length);
    ASSERT_TRUE(WriteFile(path_, file + "{}").ok());
    EXPECT_THAT(Message(TensorFile::Open(path_).status()), HasSubstr("header would be"));
  }
  ASSERT_TRUE(WriteFile(path_, "short").ok());
  EXPECT_THAT(Message(TensorFile::Open(path_).status()), HasSubstr("only 5 bytes"));
  ASSERT_TRUE(WriteFile(path_, "").ok());
  EXPECT_FALSE(TensorFile::Open(path_).ok());
}

// Every prefix of a good file and every single damaged byte of its header ends in an answer, not in a crash.
TEST_F(TensorFileTest, TruncatedAndDamagedFilesNeverCrash) {
  const std::vector<float> x{1, 2, 3};
  ASSERT_TRUE(WriteTensorFile(path_, {{"x", {DType::kF32, {3}, std::as_bytes(std::span(x))}}}, {}).ok());
  const std::string good = *ReadFile(path_, 10000);
  for (std::size_t length = 0; length < good.size(); ++length) {
    std::ofstream(path_, std::ios::binary) << good.substr(0, length);
    EXPECT_FALSE(TensorFile::Open(path_).ok()) << length;
  }
  int opened = 0;
  for (std::size_t at = 0; at < good.size() - 12; ++at) {
    std::string damaged = good;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    std::ofstream(path_, std::ios::binary) << damaged;
    opened += TensorFile::Open(path_).ok();
  }
  EXPECT_LT(opened, 5);  // the name's letter may change, and an offset's spelling; the rest must not
}

}  // namespace
}  // namespace filo::bundle
