#include "server/bundle/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "server/base/file.h"
#include "tests/support/golden_bundle.h"

namespace filo::bundle {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class BundleTest : public testing::Test {
 protected:
  BundleTest()
      : copy_(testing::TempDir() + "filo_bundle_test." +
              testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(copy_);
    fs::copy(support::TinyBundle(Profile::kReleased), copy_);
  }
  ~BundleTest() override { fs::remove_all(copy_); }

  // Applies `change` to the bytes of a file.
  template <typename Change>
  void Edit(const std::string& name, const Change& change) {
    std::string contents = *ReadFile(copy_ + "/" + name, 100u << 20);
    change(contents);
    ASSERT_TRUE(WriteFile(copy_ + "/" + name, contents).ok());
  }
  std::string OpenError(bool check_digests) const {
    const auto bundle = Bundle::Open(copy_, {.check_digests = check_digests});
    return bundle.ok() ? "" : std::string(bundle.status().message());
  }

  std::string copy_;
};

TEST_F(BundleTest, OpensAndAccountsForEveryTensor) {
  for (const Profile profile : {Profile::kReleased, Profile::kPaper}) {
    const auto bundle = Bundle::Open(support::TinyBundle(profile), {});
    ASSERT_TRUE(bundle.ok()) << bundle.status();
    EXPECT_EQ((*bundle)->manifest().profile, profile);
    EXPECT_EQ((*bundle)->digest().size(), 64u);
    EXPECT_TRUE((*bundle)->CheckTensors().ok()) << (*bundle)->CheckTensors();
    EXPECT_TRUE((*bundle)->tensors("filo")->tensors().contains("adapter.fc.0.weight"));
    EXPECT_EQ((*bundle)->tensors("clip_vocabulary"), nullptr);
    EXPECT_TRUE(fs::exists((*bundle)->Path("clip_vocabulary")));
    EXPECT_EQ((*bundle)->Path("self_test"), "");
  }
}

TEST_F(BundleTest, DigestNamesTheContentsNotThePlace) {
  const auto here = Bundle::Open(copy_, {});
  const auto there = Bundle::Open(support::TinyBundle(Profile::kReleased), {.check_digests = false});
  ASSERT_TRUE(here.ok() && there.ok());
  EXPECT_EQ((*here)->digest(), (*there)->digest());
  EXPECT_NE((*here)->digest(), (*Bundle::Open(support::TinyBundle(Profile::kPaper), {}))->digest());
}

TEST_F(BundleTest, MissingDirectoryOrFileIsNamed) {
  EXPECT_EQ(Bundle::Open(copy_ + "/none", {}).status().code(), absl::StatusCode::kNotFound);
  fs::remove(copy_ + "/filo.safetensors");
  EXPECT_EQ(Bundle::Open(copy_, {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(OpenError(true), HasSubstr("filo.safetensors"));
}

TEST_F(BundleTest, TruncatedFileIsNamedEvenWithoutDigests) {
  Edit("clip.safetensors", [](std::string& contents) { contents.pop_back(); });
  EXPECT_THAT(OpenError(false), HasSubstr("clip.safetensors has"));
  EXPECT_THAT(OpenError(false), HasSubstr("cut off or was changed"));
}

TEST_F(BundleTest, OneFlippedBitIsFoundByTheDigest) {
  Edit("clip.safetensors", [](std::string& contents) { contents.back() ^= 1; });
  EXPECT_EQ(OpenError(false), "");
  EXPECT_THAT(OpenError(true), HasSubstr("clip.safetensors has SHA-256"));
  Edit("clip.safetensors", [](std::string& contents) { contents.back() ^= 1; });
  Edit("bert_vocab.txt", [](std::string& contents) { contents[0] ^= 1; });
  EXPECT_THAT(OpenError(true), HasSubstr("bert_vocab.txt has SHA-256"));
}

TEST_F(BundleTest, ManifestErrorNamesDirectoryAndKey) {
  Edit("manifest.json", [](std::string& contents) {
    contents.replace(contents.find("\"queries\": 50"), 13, "\"queries\": -5");
  });
  EXPECT_THAT(OpenError(true), HasSubstr(copy_ + ": manifest.json: grounding.queries is \"-5\""));
}

TEST_F(BundleTest, TensorsThatDoNotFitTheSizesAreListed) {
  auto bundle = Bundle::Open(copy_, {});
  ASSERT_TRUE(bundle.ok());
  Manifest manifest = (*bundle)->manifest();
  manifest.grounding.queries = 60;
  manifest.text_tower.layers = 2;
  ASSERT_TRUE(WriteManifest(copy_, manifest).ok());
  bundle = Bundle::Open(copy_, {});
  ASSERT_TRUE(bundle.ok()) << bundle.status();
  const std::string message((*bundle)->CheckTensors().message());
  EXPECT_THAT(message, HasSubstr("13 tensors do not fit"));
  EXPECT_THAT(
      message,
      HasSubstr(
          "grounding.safetensors: transformer.tgt_embed.weight has shape [50, 64]; it must be [60, 64]"));
  EXPECT_THAT(message,
              HasSubstr("clip.safetensors: transformer.resblocks.2.ln_1.bias [32] belongs to no part"));
}

}  // namespace
}  // namespace filo::bundle
