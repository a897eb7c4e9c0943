#include "server/evaluation/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "opencv2/imgcodecs.hpp"
#include "server/evaluation/report.h"

namespace filo::evaluation {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Two good and two bad photographs of 8 x 8 pixels whose top left pixel is the score that the fake detector
// gives.
class EvaluateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            (std::string("evaluate_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(root_);
    data_.name = "nut <1>";
    for (int value : {10, 40}) data_.test.push_back({Write("good", value), "", "good", false});
    for (int value : {30, 200}) data_.test.push_back({Write("bent", value), mask_, "bent", true});
    for (int value : {5, 20, 35, 25}) data_.train_normal.push_back(Write("train", value));
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string Write(const std::string& kind, int value) {
    cv::Mat image(8, 8, CV_8U, cv::Scalar(0));
    image.at<std::uint8_t>(0, 0) = 255;
    mask_ = (root_ / "mask.png").string();
    cv::imwrite(mask_, image);
    image.setTo(value);
    const std::string path = (root_ / (kind + std::to_string(value) + ".png")).string();
    cv::imwrite(path, image);
    return path;
  }

  static absl::StatusOr<Answer> FakeDetector(const std::string&, const std::string& path) {
    const cv::Mat image = cv::imread(path, cv::IMREAD_GRAYSCALE);
    Answer answer;
    answer.score = image.at<std::uint8_t>(0, 0) / 255.0;
    answer.height = answer.width = 8;
    answer.map.assign(64, 0.1f);
    answer.map[0] = static_cast<float>(answer.score);
    answer.seconds = 0.5;
    return answer;
  }

  fs::path root_;
  std::string mask_;
  CategoryData data_;
};

TEST_F(EvaluateTest, FiguresFollowFromTheScores) {
  std::size_t calls = 0;
  const auto result = EvaluateCategory(data_, {}, FakeDetector,
                                       [&](const std::string&, std::size_t, std::size_t) { ++calls; });
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(calls, 4u);
  EXPECT_DOUBLE_EQ(result->image.auroc.value(), 0.75);  // 30 < 40 is the one wrong pair of four
  EXPECT_GT(result->pixel.auroc.value(), 0.9);
  EXPECT_GT(result->aupro.value(), 0.5);
  // The threshold is the highest of the four good photographs, 35: one false alarm (40), one miss (30).
  EXPECT_DOUBLE_EQ(result->threshold.value(), 35 / 255.0);
  EXPECT_DOUBLE_EQ(result->false_alarm_rate.value(), 0.5);
  EXPECT_DOUBLE_EQ(result->miss_rate.value(), 0.5);
  EXPECT_EQ(result->median_seconds, 0.5);
  // Worst first: the anomalous one with the lowest score, then the good one with the highest.
  ASSERT_EQ(result->misses.size(), 4u);
  EXPECT_EQ(result->misses[0].sample, 2u);
  EXPECT_EQ(result->misses[2].sample, 1u);
  EXPECT_FALSE(result->misses[0].jpeg.empty());
}

TEST_F(EvaluateTest, DetectorErrorNamesTheImage) {
  const auto result = EvaluateCategory(
      data_, {}, [](const std::string&, const std::string&) { return absl::UnavailableError("gone"); },
      nullptr);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("good10.png: gone"));
}

TEST_F(EvaluateTest, ReportsAgree) {
  auto result = EvaluateCategory(data_, {}, FakeDetector, nullptr);
  ASSERT_TRUE(result.ok());
  const std::vector<CategoryResult> results = {*result, *result};
  const RunInfo info{"data/\"x\"", "bundle b", "b", "abc", "paper", 1, "2026-11-25T00:00:00Z", 0.3};
  const nlohmann::json json = ReportJson(info, results, true);
  EXPECT_EQ(json["categories"][0]["image_auroc"], 0.75);
  EXPECT_EQ(json["mean"]["image_auroc"], 0.75);
  EXPECT_EQ(json["categories"][1]["samples"].size(), 4u);
  EXPECT_THAT(TableText(info, results), HasSubstr("75.0"));
  const std::string html = ReportHtml(info, results);
  EXPECT_THAT(html, HasSubstr("nut &lt;1&gt;"));
  EXPECT_THAT(html, ::testing::Not(HasSubstr("nut <1>")));
  EXPECT_THAT(html, HasSubstr("data:image/jpeg;base64,"));
  EXPECT_THAT(html, ::testing::Not(HasSubstr("http")));  // nothing is loaded from anywhere
}

TEST(MeanTest, SkipsUndefined) {
  std::vector<CategoryResult> results(2);
  results[0].aupro = 0.5;
  EXPECT_EQ(Mean(results, [](const CategoryResult& r) { return r.aupro; }), 0.5);
  EXPECT_FALSE(Mean(results, [](const CategoryResult& r) { return r.image.ap; }).has_value());
}

}  // namespace
}  // namespace filo::evaluation
