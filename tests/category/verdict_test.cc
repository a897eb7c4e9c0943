#include "server/category/verdict.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace filo::category {
namespace {

class DecideTest : public testing::Test {
 protected:
  DecideTest() {
    definition_.class_name = "nut";
    calibration_.bundle_digest = "b";
    calibration_.definition_digest = DefinitionDigest(definition_);
    calibration_.settings_digest = SettingsDigest({});
    calibration_.score_threshold = 0.6;
    calibration_.pixel_threshold = 0.3;
    calibration_.map_min = 0.1;
    calibration_.map_max = 0.8;
    calibration_.score_scale = 0.05;
  }
  Decision Decided(double score, const InspectionSettings& request = {},
                   std::string_view bundle = "b") const {
    return Decide({.score = score,
                   .definition = &definition_,
                   .stored = &stored_,
                   .request = &request,
                   .calibration = &calibration_,
                   .bundle_digest = bundle});
  }

  Category definition_;
  InspectionSettings stored_;
  Calibration calibration_;
};

TEST_F(DecideTest, ByTheCalibration) {
  EXPECT_EQ(Decided(0.59).verdict, Verdict::kOk);
  EXPECT_EQ(Decided(0.6).verdict, Verdict::kNg);
  const Decision d = Decided(0.7);
  EXPECT_EQ(d.threshold, 0.6);
  EXPECT_EQ(d.pixel_threshold, 0.3);
  EXPECT_EQ(d.map_max, 0.8);
  EXPECT_GT(*d.calibrated_score, 0.5);
}

TEST_F(DecideTest, SettingsWinOverCalibrationAndRequestOverSettings) {
  stored_.score_threshold = 0.8;
  EXPECT_EQ(Decided(0.7).verdict, Verdict::kOk);
  InspectionSettings request;
  request.score_threshold = 0.65;
  request.pixel_threshold = 0.9;
  const Decision d = Decided(0.7, request);
  EXPECT_EQ(d.verdict, Verdict::kNg);
  EXPECT_EQ(d.settings.score_threshold, 0.65);
  EXPECT_EQ(d.map_max, 0.9);  // the threshold in force stays inside the range
  EXPECT_GE(*d.calibrated_score, 0.5);
}

TEST_F(DecideTest, TheUnsureBandLiesAroundTheThreshold) {
  stored_.unsure_margin = 0.05;
  EXPECT_EQ(Decided(0.54).verdict, Verdict::kOk);
  EXPECT_EQ(Decided(0.56).verdict, Verdict::kUnsure);
  EXPECT_EQ(Decided(0.6).verdict, Verdict::kUnsure);
  EXPECT_EQ(Decided(0.64).verdict, Verdict::kUnsure);
  EXPECT_EQ(Decided(0.66).verdict, Verdict::kNg);
}

TEST_F(DecideTest, AStaleCalibrationIsShownButNotUsed) {
  const Decision d = Decided(0.7, {}, "other");
  EXPECT_EQ(d.verdict, Verdict::kNone);
  EXPECT_EQ(d.threshold, std::nullopt);
  EXPECT_EQ(d.calibrated_score, std::nullopt);
  EXPECT_FALSE(d.stale.empty());
  EXPECT_TRUE(d.calibration.has_value());
  EXPECT_EQ(d.pixel_threshold, 0.5);
}

TEST_F(DecideTest, InlineCategoriesHaveOnlyTheRequest) {
  InspectionSettings request;
  DecisionInput input{.score = 0.7, .definition = &definition_, .request = &request, .bundle_digest = "b"};
  EXPECT_EQ(Decide(input).verdict, Verdict::kNone);
  request.score_threshold = 0.5;
  EXPECT_EQ(Decide(input).verdict, Verdict::kNg);
}

// 0.5 in the calibrated score always means the same verdict as raw against threshold.
TEST_F(DecideTest, CalibratedAndRawAgreeOnRandomScores) {
  std::mt19937_64 random(5);
  std::uniform_real_distribution<double> uniform(-0.5, 2);
  for (int i = 0; i < 100000; ++i) {
    calibration_.score_threshold = uniform(random);
    calibration_.score_scale = std::pow(10.0, -12 * std::abs(uniform(random)) / 2);
    const double score = i % 3 == 0   ? uniform(random)
                         : i % 3 == 1 ? std::nextafter(calibration_.score_threshold, -1)
                                      : calibration_.score_threshold;
    const Decision d = Decided(score);
    ASSERT_EQ(d.verdict == Verdict::kNg, *d.calibrated_score >= 0.5)
        << score << " " << calibration_.score_threshold;
  }
}

TEST(WorseTest, NgThenUnsureThenOk) {
  EXPECT_EQ(Worse(Verdict::kOk, Verdict::kNg), Verdict::kNg);
  EXPECT_EQ(Worse(Verdict::kUnsure, Verdict::kOk), Verdict::kUnsure);
  EXPECT_EQ(Worse(Verdict::kNone, Verdict::kOk), Verdict::kOk);
  EXPECT_EQ(Worse(Verdict::kNone, Verdict::kNone), Verdict::kNone);
}

}  // namespace
}  // namespace filo::category
