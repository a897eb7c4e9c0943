#include "client/engine/corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/engine/misbehave.h"
#include "client/engine/reference.h"

namespace filo::client {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

CorpusOptions Hazelnuts() {
  CorpusOptions options;
  options.photos = {FILO_TEST_DATA "/hazelnut"};
  return options;
}

TEST(Corpus, FoldersNameTheCategoryAndRequestsAreReady) {
  const auto corpus = Corpus::FromPhotos(Hazelnuts());
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_THAT(corpus->Categories(), ElementsAre("colour", "good"));
  ASSERT_EQ(corpus->entries().size(), 4u);
  filo::v1::DetectRequest request;
  ASSERT_TRUE(request.ParseFromString(corpus->entries()[0].bytes));
  EXPECT_EQ(request.category(), "colour");
  EXPECT_GT(request.image().encoded().size(), 1000u);
  EXPECT_EQ(corpus->entries()[0].request.Length(), corpus->entries()[0].bytes.size());
}

TEST(Corpus, WeightsSetTheShares) {
  CorpusOptions options = Hazelnuts();
  options.weights = {{"good", 3}};
  const auto corpus = Corpus::FromPhotos(options);
  ASSERT_TRUE(corpus.ok());
  std::mt19937_64 random(1);
  int good = 0;
  for (int i = 0; i < 4000; ++i) good += corpus->entries()[corpus->Pick(random)].category == "good" ? 1 : 0;
  EXPECT_NEAR(good, 3000, 120);
  options.weights = {{"good", 0}};
  const auto only_colour = Corpus::FromPhotos(options);
  for (int i = 0; i < 100; ++i)
    EXPECT_EQ(only_colour->entries()[only_colour->Pick(random)].category, "colour");
}

TEST(Corpus, Refuses) {
  CorpusOptions options = Hazelnuts();
  options.weights = {{"nope", 1}};
  EXPECT_THAT(std::string(Corpus::FromPhotos(options).status().message()), HasSubstr("nope"));
  options.weights = {{"good", 0}, {"colour", 0}};
  EXPECT_FALSE(Corpus::FromPhotos(options).ok());
  options.weights = {{"good", -1}};
  EXPECT_FALSE(Corpus::FromPhotos(options).ok());
  options.weights.clear();
  options.max_bytes = 1000;
  EXPECT_FALSE(Corpus::FromPhotos(options).ok());
}

TEST(Misbehaviours, Parse) {
  const auto shares = ParseMisbehaviour("cancel=5%,disconnect=0.01");
  ASSERT_TRUE(shares.ok()) << shares.status();
  EXPECT_DOUBLE_EQ(shares->at(Misbehaviour::kCancel), 0.05);
  EXPECT_DOUBLE_EQ(shares->at(Misbehaviour::kDisconnect), 0.01);
  for (const char* bad : {"", "cancel", "steal=1%", "cancel=2", "cancel=60%,disconnect=60%"}) {
    EXPECT_FALSE(ParseMisbehaviour(bad).ok()) << bad;
  }
}

TEST(ReferenceAnswers, AnyChangeOfWhatMattersChangesTheDigest) {
  filo::v1::DetectionResult result;
  result.set_score(0.25);
  result.add_boxes()->set_phrase("crack");
  const std::string digest = MakeReferenceAnswer(result).digest;
  filo::v1::DetectionResult other = result;
  other.set_result_id("another");
  other.set_total_seconds(9);
  other.add_stage_times()->set_seconds(3);
  EXPECT_EQ(MakeReferenceAnswer(other).digest, digest) << "ids and times differ from call to call";
  for (int change = 0; change < 5; ++change) {
    other = result;
    if (change == 0) other.set_score(0.25 + 1e-16 * 2);
    if (change == 0 && other.score() == result.score()) other.set_score(std::nextafter(0.25, 1));
    if (change == 1) other.mutable_boxes(0)->set_phrase("cracks");
    if (change == 2) other.mutable_boxes(0)->mutable_rectangle()->set_x_max(1);
    if (change == 3) other.mutable_decision()->set_verdict(filo::v1::VERDICT_NG);
    if (change == 4) other.set_position("left");
    EXPECT_NE(MakeReferenceAnswer(other).digest, digest) << change;
  }
}

}  // namespace
}  // namespace filo::client
