// Loading a bundle: its self-test, and what happens when something does not fit.
#include "server/detection/detector.h"

#include <filesystem>
#include <fstream>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/file.h"
#include "server/base/status.h"
#include "server/detection/self_test.h"
#include "server/image/resize.h"
#include "tests/detection/tiny_pipeline.h"
#include "tests/support/golden_images.h"

namespace filo::detection {
namespace {

namespace fs = std::filesystem;
using bundle::Profile;
using testing::HasSubstr;

// A copy of a TINY bundle that a test may change.
class BundleCopy {
 public:
  explicit BundleCopy(Profile profile) : path_(testing::TempDir() + fmt::format("bundle-{}", ::getpid())) {
    fs::remove_all(path_);
    fs::copy(support::TinyBundle(profile), path_, fs::copy_options::recursive);
  }
  ~BundleCopy() { fs::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

absl::StatusOr<std::unique_ptr<Detector>> Create(const std::string& directory, Options options = {}) {
  return Detector::Create(OpenBundle(directory), options);
}

SelfTestRecipe SmallRecipe() {
  SelfTestRecipe recipe;
  recipe.image =
      image::ResizeRgb(image::ConvertToRgb(support::GoldenImage("synth")), 60, 80, image::Filter::kBicubic);
  recipe.class_name = "hazelnut";
  recipe.descriptions = {"crack", "hole in the shell"};
  return recipe;
}

TEST(Detector, RepeatsTheSelfTestOfItsBundle) {
  const BundleCopy copy(Profile::kPaper);
  ASSERT_TRUE(Create(copy.path()).ok()) << "a bundle without self-test loads";
  const absl::Status added = AddSelfTest(copy.path(), SmallRecipe());
  ASSERT_TRUE(added.ok()) << added;
  const auto bundle = OpenBundle(copy.path());
  EXPECT_EQ(bundle->manifest().self_test.class_name, "hazelnut");
  ASSERT_NE(bundle->tensors("self_test"), nullptr);
  const auto detector = Create(copy.path());
  EXPECT_TRUE(detector.ok()) << detector.status();
  EXPECT_TRUE(AddSelfTest(copy.path(), SmallRecipe()).ok()) << "it can be replaced";
}

// Changes one number of the bundle's expected answers.
void Falsify(const std::string& directory, const std::string& tensor, double by) {
  const auto bundle = OpenBundle(directory);
  bundle::TensorMap tensors = bundle->tensors("self_test")->tensors();
  std::vector<std::byte> bytes(tensors[tensor].bytes.begin(), tensors[tensor].bytes.end());
  if (tensors[tensor].dtype == bundle::DType::kF64) {
    *reinterpret_cast<double*>(bytes.data()) += by;
  } else {
    *reinterpret_cast<float*>(bytes.data()) += static_cast<float>(by);
  }
  tensors[tensor].bytes = bytes;
  ASSERT_TRUE(bundle::WriteTensorFile(directory + "/self_test.safetensors", tensors, {}).ok());
  bundle::Manifest manifest = bundle->manifest();
  manifest.files["self_test"] =
      *bundle::DescribeFile(directory, "self_test.safetensors", "a test", "CC0-1.0");
  ASSERT_TRUE(bundle::WriteManifest(directory, manifest).ok());
}

TEST(Detector, ADeviatingSelfTestIsRefusedWithTheNumbers) {
  const BundleCopy copy(Profile::kReleased);
  ASSERT_TRUE(AddSelfTest(copy.path(), SmallRecipe()).ok());
  for (const char* tensor : {"score", "global_score", "map"}) Falsify(copy.path(), tensor, 0.0005);
  EXPECT_TRUE(Create(copy.path()).ok()) << "deviates by less than is allowed";
  for (const char* tensor : {"score", "global_score", "map"}) {
    Falsify(copy.path(), tensor, 0.01);
    const absl::Status status = Create(copy.path()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << tensor;
    EXPECT_THAT(std::string(status.message()), HasSubstr("instead of"));
    EXPECT_THAT(std::string(status.message()), HasSubstr("allowed 0.001"));
    Falsify(copy.path(), tensor, -0.01);
  }
  Falsify(copy.path(), "score", 1);
  EXPECT_TRUE(Create(copy.path(), {.self_test = false}).ok());
}

TEST(Detector, WorksWithoutGrounding) {
  const BundleCopy copy(Profile::kReleased);
  bundle::Manifest manifest = OpenBundle(copy.path())->manifest();
  manifest.has_grounding = false;
  manifest.files.erase("grounding");
  manifest.files.erase("bert_vocabulary");
  ASSERT_TRUE(bundle::WriteManifest(copy.path(), manifest).ok());
  const auto detector = Create(copy.path());
  ASSERT_TRUE(detector.ok()) << detector.status();
  const auto result = (*detector)->Detect(support::GoldenImage("good04"), Hazelnut(), nullptr);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(result->boxes.empty());
  EXPECT_FALSE(result->position.has_value());
  EXPECT_DOUBLE_EQ(result->map_max, *std::ranges::max_element(result->map.values)) << "nothing was damped";
}

TEST(Detector, TensorsThatDoNotFitAreNamed) {
  const BundleCopy copy(Profile::kPaper);
  const auto bundle = OpenBundle(copy.path());
  bundle::TensorMap tensors = bundle->tensors("filo")->tensors();
  bundle::TensorView adapter = tensors["adapter.fc.0.weight"];
  tensors.erase("adapter.fc.0.weight");
  tensors["adapter.fc.9.weight"] = adapter;
  std::vector<std::byte> bytes(tensors["normal_prompt_learner.ctx"].bytes.begin(),
                               tensors["normal_prompt_learner.ctx"].bytes.end());
  bytes[0] = std::byte{0x00};
  bytes[1] = std::byte{0x7c};  // infinity in F16
  tensors["normal_prompt_learner.ctx"].bytes = bytes;
  ASSERT_TRUE(bundle::WriteTensorFile(copy.path() + "/other.safetensors", tensors, {}).ok());
  bundle::Manifest manifest = bundle->manifest();
  manifest.files["filo"] = *bundle::DescribeFile(copy.path(), "other.safetensors", "a test", "CC0-1.0");
  ASSERT_TRUE(bundle::WriteManifest(copy.path(), manifest).ok());
  const absl::Status status = Create(copy.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  for (const char* part : {"other.safetensors", "adapter.fc.0.weight [16, 32] is missing",
                           "adapter.fc.9.weight [16, 32] belongs to no part",
                           "normal_prompt_learner.ctx holds values that are not finite"}) {
    EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }
}

TEST(Detector, AnUnknownDeviceIsRefused) {
  for (const char* device : {"tpu", "cuda:99", ""}) {
    const absl::Status status = Create(support::TinyBundle(Profile::kPaper), {.device = device}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << device;
    ASSERT_TRUE(GetFieldViolation(status).has_value());
    EXPECT_EQ(GetFieldViolation(status)->field, "device");
  }
}

}  // namespace
}  // namespace filo::detection
