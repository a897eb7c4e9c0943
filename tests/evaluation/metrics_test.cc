#include "server/evaluation/metrics.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace filo::evaluation {
namespace {

// Figures that scikit-learn, scikit-image and a direct AUPRO give: reference/make_metrics.py.
nlohmann::json Reference() {
  std::ifstream file(FILO_TEST_SOURCE "/reference/metrics.json");
  return nlohmann::json::parse(file);
}

TEST(MetricsTest, RankedScoresEqualScikitLearn) {
  const nlohmann::json reference = Reference();
  ASSERT_EQ(reference["ranked"].size(), 6u);
  for (const auto& task : reference["ranked"]) {
    SCOPED_TRACE(task["name"].get<std::string>());
    Scores scores;
    for (std::size_t i = 0; i < task["scores"].size(); ++i) {
      (task["labels"][i] == 1 ? scores.anomalous : scores.normal).push_back(task["scores"][i].get<float>());
    }
    const Figures figures = Evaluate(scores);
    EXPECT_NEAR(figures.auroc.value(), task["auroc"].get<double>(), 1e-12);
    EXPECT_NEAR(figures.ap.value(), task["ap"].get<double>(), 1e-12);
    EXPECT_NEAR(figures.f1_max.value(), task["f1_max"].get<double>(), 1e-12);
    // The threshold must really give that F1.
    double tp = 0, fp = 0;
    for (float s : scores.anomalous) tp += static_cast<double>(s) >= *figures.f1_threshold;
    for (float s : scores.normal) fp += static_cast<double>(s) >= *figures.f1_threshold;
    EXPECT_NEAR(2 * tp / (tp + fp + static_cast<double>(scores.anomalous.size())), *figures.f1_max, 1e-12);
  }
}

TEST(MetricsTest, RegionOverlapEqualsItsDefinition) {
  const nlohmann::json reference = Reference();
  ASSERT_EQ(reference["regional"].size(), 3u);
  for (const auto& task : reference["regional"]) {
    SCOPED_TRACE(task["name"].get<std::string>());
    RegionOverlap overlap;
    for (std::size_t k = 0; k < task["maps"].size(); ++k) {
      overlap.Add(task["maps"][k].get<std::vector<float>>(),
                  task["masks"][k].get<std::vector<std::uint8_t>>(), task["height"], task["width"]);
    }
    EXPECT_NEAR(overlap.Area(0.3).value(), task["aupro"].get<double>(), 1e-6);
    EXPECT_NEAR(overlap.Area(1.0).value(), task["aupro_full"].get<double>(), 1e-6);
  }
}

TEST(MetricsTest, UndefinedWithoutBothClasses) {
  EXPECT_FALSE(Evaluate({.normal = {1, 2}, .anomalous = {}}).auroc.has_value());
  EXPECT_FALSE(Evaluate({.normal = {}, .anomalous = {1}}).ap.has_value());
  RegionOverlap overlap;
  overlap.Add({0, 1}, {0, 0}, 1, 2);
  EXPECT_FALSE(overlap.Area().has_value());
}

TEST(MetricsTest, CurvesStayShortAndKeepTheirEnds) {
  Scores scores;
  for (int i = 0; i < 20000; ++i) {
    scores.normal.push_back(static_cast<float>(i));
    scores.anomalous.push_back(static_cast<float>(i) + 5000.5f);
  }
  const Figures figures = Evaluate(scores, 50);
  EXPECT_LE(figures.roc.size(), 50u);
  EXPECT_GT(figures.roc.size(), 20u);
  EXPECT_EQ(figures.roc.front().y, 0);
  EXPECT_EQ(figures.roc.back().x, 1);
  EXPECT_EQ(figures.roc.back().y, 1);
  EXPECT_EQ(figures.precision_recall.back().x, 1);
}

}  // namespace
}  // namespace filo::evaluation
