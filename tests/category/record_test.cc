#include "server/category/record.h"

#include <gtest/gtest.h>

namespace filo::category {
namespace {

Record Full() {
  Record r;
  r.definition.name = "metal-nut";
  r.definition.class_name = "metal nut";
  r.definition.descriptions = {"bent", "uneven shape "};
  r.definition.grounding_descriptions = {"bent edge"};
  r.definition.normal_states = {"{}"};
  r.definition.abnormal_states = {"broken {}"};
  r.definition.harmless_phrases = {"serial number"};
  r.inspection = {.score_threshold = 0.1 + 0.2,
                  .unsure_margin = 1e-17,
                  .pixel_threshold = 0.25,
                  .minimum_area = 30,
                  .inspect = {{{0, 0}, {10.5, 0}, {0, 7}}},
                  .ignore = {{{1, 1}, {2, 1}, {2, 2}}, {{3, 3}, {4, 3}, {4, 4}}},
                  .millimetres_per_pixel = 0.05,
                  .tiling = Tiling{512, 64},
                  .subtract_baseline = true};
  r.labels = {{"line", "3"}, {"ä", ""}};
  r.references = {{"r1", "ab", 640, 480, absl::FromUnixNanos(1700000000123456789)}};
  r.calibration = Calibration{.id = "c1",
                              .create_time = absl::FromUnixNanos(5),
                              .bundle_digest = "d",
                              .category_revision = 7,
                              .definition_digest = "x",
                              .settings_digest = "y",
                              .good_images = 30,
                              .defective_images = 4,
                              .score_threshold = 0.7,
                              .pixel_threshold = 0.4,
                              .map_min = 0.1,
                              .map_max = 0.9,
                              .score_scale = 0.02,
                              .false_reject_rate = 0.01,
                              .false_reject_rate_upper = 0.095,
                              .detection_rate = 0.75,
                              .baseline_id = "b"};
  r.revision = 9;
  r.etag = "e";
  r.create_time = absl::FromUnixNanos(1);
  r.update_time = absl::FromUnixNanos(2);
  return r;
}

TEST(RecordTest, JsonKeepsEverything) {
  const auto back = FromJson(ToJson(Full()));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, Full());
  Record small;
  small.definition.name = "a";
  small.definition.class_name = "a";
  const auto small_back = FromJson(ToJson(small));
  ASSERT_TRUE(small_back.ok()) << small_back.status();
  EXPECT_EQ(*small_back, small);
}

TEST(RecordTest, DamagedJsonIsDataLossNamingTheKey) {
  const std::string good = ToJson(Full());
  const auto message = [&](std::string from, const std::string& to) {
    std::string json = good;
    const std::size_t at = json.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    json.replace(at, from.size(), to);
    const auto status = FromJson(json).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << json;
    return std::string(status.message());
  };
  EXPECT_NE(message("\"tile_size\":512", "\"tile_size\":\"x\"").find("category.inspection.tiling.tile_size"),
            std::string::npos);
  EXPECT_NE(message("\"format\":1", "\"format\":2").find("format is 2"), std::string::npos);
  EXPECT_NE(message("\"bent\"", "7").find("descriptions"), std::string::npos);
  EXPECT_NE(message("\"minimum_area\"", "\"maximum_area\"").find("maximum_area"), std::string::npos);
  EXPECT_NE(message("\"class_name\":\"metal nut\",", "").find("class_name"), std::string::npos);
  message("{", "[");
  message(good, "[]");
}

TEST(RecordTest, EveryPrefixOfTheJsonIsRefused) {
  const std::string good = ToJson(Full());
  for (std::size_t n = 0; n < good.size(); ++n) EXPECT_FALSE(FromJson(good.substr(0, n)).ok());
}

TEST(OverrideTest, WhatTheRequestSetsWins) {
  const InspectionSettings stored = Full().inspection;
  EXPECT_EQ(Override(stored, {}), stored);
  const InspectionSettings request{.score_threshold = 5,
                                   .unsure_margin = {},
                                   .pixel_threshold = {},
                                   .minimum_area = 0,
                                   .inspect = {{{0, 0}, {1, 0}, {0, 1}}},
                                   .ignore = {},
                                   .millimetres_per_pixel = {},
                                   .tiling = {},
                                   .subtract_baseline = false};
  const InspectionSettings merged = Override(stored, request);
  EXPECT_EQ(merged.score_threshold, 5);
  EXPECT_EQ(merged.minimum_area, 0);
  EXPECT_EQ(merged.pixel_threshold, 0.25);
  EXPECT_EQ(merged.inspect, request.inspect);
  EXPECT_EQ(merged.ignore, stored.ignore);
  EXPECT_EQ(merged.subtract_baseline, false);
}

TEST(DigestTest, DefinitionDigestSeesEveryTextButNotTheName) {
  const Category base = Full().definition;
  std::vector<Category> others(6, base);
  others[0].class_name = "nut";
  others[1].descriptions = {"bentuneven shape "};
  others[2].grounding_descriptions.clear();
  others[3].normal_states.push_back("");
  others[4].abnormal_states = {"broken {}", ""};
  others[5].harmless_phrases = {};
  for (const Category& other : others) EXPECT_NE(DefinitionDigest(other), DefinitionDigest(base));
  Category renamed = base;
  renamed.name = "other";
  EXPECT_EQ(DefinitionDigest(renamed), DefinitionDigest(base));
  // A text moved from one list to the next is another definition.
  Category a, b;
  a.descriptions = {"x"};
  b.grounding_descriptions = {"x"};
  EXPECT_NE(DefinitionDigest(a), DefinitionDigest(b));
}

TEST(DigestTest, SettingsDigestSeesOnlyWhatChangesScores) {
  InspectionSettings settings = Full().inspection;
  const std::string digest = SettingsDigest(settings);
  settings.score_threshold = 9;
  settings.minimum_area.reset();
  settings.millimetres_per_pixel = 2;
  EXPECT_EQ(SettingsDigest(settings), digest);
  settings.tiling->overlap = 32;
  EXPECT_NE(SettingsDigest(settings), digest);
  InspectionSettings off, unset;
  off.subtract_baseline = false;
  EXPECT_EQ(SettingsDigest(off), SettingsDigest(unset));
}

}  // namespace
}  // namespace filo::category
