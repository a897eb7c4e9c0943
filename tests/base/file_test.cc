#include "server/base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace filo {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  FileTest() {
    folder_ = fs::path(testing::TempDir()) / (std::string("filo_file_test.") +
                                              testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~FileTest() override { fs::remove_all(folder_); }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }

  fs::path folder_;
};

TEST_F(FileTest, WritesReadsAndReplaces) {
  ASSERT_TRUE(WriteFile(Path("a"), "first").ok());
  ASSERT_TRUE(WriteFile(Path("a"), std::string_view("se\0cond", 7)).ok());
  const auto read = ReadFile(Path("a"), 7);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, std::string("se\0cond", 7));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1)
      << "a temporary file stays";
}

TEST_F(FileTest, LargerThanAllowedIsRefusedByNameAndSize) {
  ASSERT_TRUE(WriteFile(Path("a"), "12345678").ok());
  const auto read = ReadFile(Path("a"), 7);
  EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(std::string(read.status().message()).find(Path("a") + " has 8 bytes"), std::string::npos);
}

TEST_F(FileTest, TellsMissingFromFolderFromPipe) {
  EXPECT_EQ(ReadFile(Path("none"), 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadFile(folder_.string(), 1).status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(ReadFile(Path("pipe"), 1).status().code(),
            absl::StatusCode::kInvalidArgument);  // and does not wait
  EXPECT_EQ(MappedFile::Open(Path("pipe")).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteFile(Path("none/a"), "x").code(), absl::StatusCode::kNotFound);
}

TEST_F(FileTest, UncommittedFileLeavesTheOldOneAndNoTrace) {
  ASSERT_TRUE(WriteFile(Path("a"), "old").ok());
  {
    const auto file = AtomicFile::Create(Path("a"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->WriteAt(0, std::as_bytes(std::span("new"))).ok());
  }
  EXPECT_EQ(*ReadFile(Path("a"), 10), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(FileTest, MappingOutlivesReplacement) {
  ASSERT_TRUE(WriteFile(Path("a"), "old").ok());
  const auto mapped = MappedFile::Open(Path("a"));
  ASSERT_TRUE(mapped.ok());
  ASSERT_TRUE(WriteFile(Path("a"), "new one").ok());
  EXPECT_EQ((*mapped)->bytes().size(), 3u);
  EXPECT_EQ(static_cast<char>((*mapped)->bytes()[0]), 'o');
  ASSERT_TRUE(WriteFile(Path("empty"), "").ok());
  EXPECT_TRUE((*MappedFile::Open(Path("empty")))->bytes().empty());
}

}  // namespace
}  // namespace filo
