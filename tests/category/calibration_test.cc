#include "server/category/calibration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "server/category/statistics.h"

namespace filo::category {
namespace {

using testing::Contains;
using testing::HasSubstr;

// Values of scipy.special.betainc and scipy.stats.beta.
TEST(StatisticsTest, KnownValues) {
  EXPECT_NEAR(IncompleteBeta(2, 3, 0.4), 0.5248, 1e-12);
  EXPECT_NEAR(IncompleteBeta(0.5, 0.5, 0.5), 0.5, 1e-12);
  EXPECT_NEAR(IncompleteBeta(1, 1, 0.3), 0.3, 1e-12);
  EXPECT_NEAR(IncompleteBeta(50, 950, 0.05), 0.5173695437269733, 1e-11);
  EXPECT_NEAR(IncompleteBeta(1e4, 2e4, 0.3344), 0.6528651568640582, 1e-9);
  EXPECT_NEAR(UpperBound(0, 12, 0.95), 1 - std::pow(0.05, 1.0 / 12), 1e-9);
  EXPECT_NEAR(UpperBound(1, 10, 0.95), 0.39416330243650466, 1e-12);
  EXPECT_NEAR(LowerBound(9, 10, 0.95), 0.6058366975634952, 1e-12);
  EXPECT_EQ(UpperBound(3, 3, 0.95), 1);
  EXPECT_EQ(UpperBound(0, 0, 0.95), 1);
  EXPECT_EQ(LowerBound(0, 5, 0.95), 0);
  EXPECT_EQ(TrialsToShow(0.01, 0.95), 299);
  EXPECT_LE(UpperBound(0, 299, 0.95), 0.01);
  EXPECT_GT(UpperBound(0, 298, 0.95), 0.01);
}

std::vector<LabelledScore> Scores(const std::vector<double>& good,
                                  const std::vector<double>& defective = {}) {
  std::vector<LabelledScore> out;
  for (const double s : good)
    out.push_back({.score = s, .map_max = s / 2, .map_median = s / 8, .defective = false});
  for (const double s : defective)
    out.push_back({.score = s, .map_max = s / 2, .map_median = s / 8, .defective = true});
  return out;
}

CalibrationReport Calibrated(double rate, const std::vector<LabelledScore>& images) {
  CalibrationRequest request;
  request.false_reject_rate = rate;
  const auto report = Calibrate(request, images);
  EXPECT_TRUE(report.ok()) << report.status();
  return *report;
}

TEST(CalibrateTest, AllowsTheWantedShareAboveTheThreshold) {
  std::vector<double> good;
  for (int i = 1; i <= 100; ++i) good.push_back(i / 100.0);
  const Calibration c = Calibrated(0.05, Scores(good)).calibration;
  EXPECT_DOUBLE_EQ(c.score_threshold, 0.955);  // 0.96 … 1.00 are five
  EXPECT_NEAR(c.false_reject_rate_upper, UpperBound(5, 100, 0.95), 1e-12);
  EXPECT_EQ(c.good_images, 100);
  EXPECT_EQ(c.detection_rate, std::nullopt);
}

TEST(CalibrateTest, WithFewImagesTheThresholdLiesAboveAllAndSaysSo) {
  const CalibrationReport report = Calibrated(0.01, Scores({0.1, 0.2, 0.3}));
  EXPECT_DOUBLE_EQ(report.calibration.score_threshold, 0.31);
  EXPECT_THAT(report.warnings,
              Contains(HasSubstr("3 good images cannot show a false-reject rate below 0.63")));
  EXPECT_THAT(report.warnings, Contains(HasSubstr("at least 299")));
  EXPECT_THAT(report.warnings, Contains(HasSubstr("no defective images")));
}

TEST(CalibrateTest, StaysBelowADefectThatIsNear) {
  const Calibration c = Calibrated(0.01, Scores({0.1, 0.2, 0.3}, {0.304, 0.9})).calibration;
  EXPECT_DOUBLE_EQ(c.score_threshold, 0.302);
  EXPECT_EQ(c.detection_rate, 1.0);
}

TEST(CalibrateTest, MissedDefectsAreSaid) {
  const CalibrationReport report = Calibrated(0.01, Scores({0.1, 0.2, 0.3}, {0.25, 0.9, 0.8, 0.7}));
  EXPECT_EQ(report.calibration.detection_rate, 0.75);
  EXPECT_THAT(report.warnings, Contains(HasSubstr("1 of the 4 defective images")));
}

TEST(CalibrateTest, EqualScoresAreNeverSplit) {
  const Calibration c = Calibrated(0.3, Scores(std::vector<double>(50, 0.5))).calibration;
  EXPECT_GT(c.score_threshold, 0.5);
  EXPECT_LT(c.score_threshold, 0.500002);
  const double up = std::nextafter(0.5, 1);
  EXPECT_EQ(Calibrated(0.5, Scores({0.5, up})).calibration.score_threshold, up);
}

TEST(CalibrateTest, TheMapRangeHoldsTheThreshold) {
  for (const auto& images : {Scores({0, 0}), Scores({2, 2, 2}), Scores({0.1, 0.2}, {1.9}), Scores({1, 2}),
                             Scores({0.5, 0.5}, {0.1})}) {
    const Calibration c = Calibrated(0.01, images).calibration;
    EXPECT_LT(c.map_min, c.pixel_threshold);
    EXPECT_LT(c.pixel_threshold, c.map_max);
    EXPECT_GE(c.map_min, 0);
    EXPECT_LE(c.map_max, 1);
    EXPECT_GT(c.score_scale, 0);
  }
  EXPECT_DOUBLE_EQ(Calibrated(0.01, Scores({0.1, 0.2}, {1.9})).calibration.map_max, 0.95);
}

TEST(CalibrateTest, ErrorsNameWhatIsWrong) {
  CalibrationRequest request;
  EXPECT_EQ(Calibrate(request, Scores({1})).status().code(), absl::StatusCode::kFailedPrecondition);
  for (const double rate : {0.0, 1.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    request.false_reject_rate = rate;
    EXPECT_EQ(Calibrate(request, Scores({1, 1})).status().code(), absl::StatusCode::kInvalidArgument);
  }
  request.false_reject_rate = 0.01;
  EXPECT_THAT(
      std::string(
          Calibrate(request, Scores({1, std::numeric_limits<double>::infinity()})).status().message()),
      HasSubstr("images[1]"));
}

// The statement holds: over many calibrations on fresh samples the true rate exceeds its bound in at most 5 %
// of them.
TEST(CalibrateTest, TheConfidenceStatementIsTrue) {
  std::mt19937 random(12);
  std::normal_distribution<double> normal(0.4, 0.1);
  for (const auto& [n, rate] : std::vector<std::pair<int, double>>{{10, 0.01}, {40, 0.1}, {200, 0.05}}) {
    int wrong = 0;
    constexpr int kRuns = 2000;
    for (int run = 0; run < kRuns; ++run) {
      std::vector<double> good(static_cast<std::size_t>(n));
      for (double& s : good) s = std::clamp(normal(random), 0.0, 2.0);
      const Calibration c = Calibrated(rate, Scores(good)).calibration;
      const double truth = std::erfc((c.score_threshold - 0.4) / 0.1 / std::sqrt(2.0)) / 2;
      wrong += truth > c.false_reject_rate_upper;
    }
    EXPECT_LE(wrong, kRuns * 0.065) << n;  // 5 % and three standard errors
  }
}

TEST(WhyStaleTest, AChangeOfWhatMadeTheScoresIsSeen) {
  Record record;
  record.definition.class_name = "nut";
  CalibrationRequest request;
  request.bundle_digest = "b1";
  request.category = &record;
  const auto report = Calibrate(request, Scores({0.1, 0.2}));
  ASSERT_TRUE(report.ok());
  const Calibration& c = report->calibration;
  EXPECT_EQ(WhyStale(c, "b1", record.definition, {}), "");
  EXPECT_THAT(WhyStale(c, "b2", record.definition, {}), HasSubstr("bundle"));
  Category renamed = record.definition;
  renamed.class_name = "bolt";
  EXPECT_THAT(WhyStale(c, "b1", renamed, {}), HasSubstr("class name"));
  InspectionSettings tiled;
  tiled.tiling = Tiling{512, 64};
  EXPECT_THAT(WhyStale(c, "b1", record.definition, tiled), HasSubstr("tiling"));
  InspectionSettings harmless;
  harmless.minimum_area = 10;
  EXPECT_EQ(WhyStale(c, "b1", record.definition, harmless), "");
}

TEST(CalibratedScoreTest, HalfIsTheThresholdToTheLastBit) {
  for (const double threshold : {0.3, 0.7123456789, 1.5, -0.2}) {
    for (const double scale : {1e-12, 1e-3, 0.1, 100.0}) {
      EXPECT_EQ(CalibratedScore(threshold, threshold, scale), 0.5);
      EXPECT_LT(CalibratedScore(std::nextafter(threshold, -9), threshold, scale), 0.5);
      EXPECT_GE(CalibratedScore(std::nextafter(threshold, 9), threshold, scale), 0.5);
    }
  }
}

TEST(CalibratedScoreTest, IsMonotoneAndBounded) {
  double last = 0;
  for (double s = -5; s <= 5; s += 0.001) {
    const double value = CalibratedScore(s, 0.4, 0.05);
    EXPECT_GE(value, last);
    EXPECT_LE(value, 1);
    last = value;
  }
  const CalibrationReport report = Calibrated(0.01, Scores({0.1, 0.2, 0.3}));
  EXPECT_NEAR(CalibratedScore(0.2, report.calibration.score_threshold, report.calibration.score_scale), 0.05,
              1e-9);
}

}  // namespace
}  // namespace filo::category
