#include "client/detect/input_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace filo::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class InputFiles : public ::testing::Test {
 protected:
  InputFiles() {
    std::string pattern = ::testing::TempDir() + "filo-inputs-XXXXXX";
    root_ = mkdtemp(pattern.data());
    std::filesystem::create_directories(root_ + "/sub/empty");
    for (const char* name : {"/b.jpg", "/a.PNG", "/notes.txt", "/sub/c.tiff"})
      std::ofstream(root_ + name) << name;
  }
  ~InputFiles() override { std::filesystem::remove_all(root_); }

  std::vector<std::string> Expand(const std::vector<std::string>& arguments, bool recursive = false) {
    const auto files = ExpandInputs(arguments, recursive);
    if (!files.ok()) return {std::string(files.status().message())};
    std::vector<std::string> names;
    for (const InputFile& file : *files)
      names.push_back(file.path.substr(std::min(file.path.size(), root_.size())));
    return names;
  }
  std::string root_;
};

TEST_F(InputFiles, FilesFoldersPatternsAndLists) {
  EXPECT_THAT(Expand({root_}), ElementsAre("/a.PNG", "/b.jpg"));
  EXPECT_THAT(Expand({root_}, true), ElementsAre("/a.PNG", "/b.jpg", "/sub/c.tiff"));
  EXPECT_THAT(Expand({root_ + "/notes.txt"}), ElementsAre("/notes.txt"));
  EXPECT_THAT(Expand({root_ + "/*.*"}), ElementsAre("/a.PNG", "/b.jpg", "/notes.txt"));
  std::ofstream(root_ + "/list") << root_ << "/b.jpg\r\n\n" << root_ << "/a.PNG\n";
  EXPECT_THAT(Expand({"@" + root_ + "/list"}), ElementsAre("/b.jpg", "/a.PNG"));
}

TEST_F(InputFiles, ErrorsNameTheArgument) {
  EXPECT_THAT(Expand({root_ + "/nope.jpg"})[0], HasSubstr("nope.jpg"));
  EXPECT_THAT(Expand({root_ + "/x*.jpg"})[0], HasSubstr("nothing matches"));
  EXPECT_THAT(Expand({root_ + "/sub/empty"})[0], HasSubstr("holds no photographs"));
  std::filesystem::remove(root_ + "/a.PNG");
  std::filesystem::remove(root_ + "/b.jpg");
  EXPECT_THAT(Expand({root_})[0], HasSubstr("--recursive"));
  EXPECT_THAT(Expand({"-", "-"})[0], HasSubstr("only once"));
  EXPECT_FALSE(ExpandInputs({}, false).ok());
}

TEST_F(InputFiles, ReadsUpToTheLimit) {
  EXPECT_EQ(*ReadInput({root_ + "/b.jpg", "b"}, 100), "/b.jpg");
  EXPECT_EQ(ReadInput({root_ + "/b.jpg", "b"}, 3).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(ReadInput({root_ + "/sub", "sub"}, 3).ok());
}

}  // namespace
}  // namespace filo::client
