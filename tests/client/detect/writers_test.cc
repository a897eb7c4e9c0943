#include "client/detect/writers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/detect/progress.h"
#include "client/report/detect_report.h"
#include "client/report/page.h"
#include "nlohmann/json.hpp"

namespace filo::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Answer MakeAnswer(const std::string& name, double score) {
  Answer answer;
  answer.file = {name, name};
  answer.result.set_score(score);
  return answer;
}

TEST(Fit, CutsInTheMiddleByCodePoints) {
  EXPECT_EQ(Fit("short", 10), "short");
  EXPECT_EQ(Columns("äöü"), 3u);
  const std::string fitted = Fit("äöüäöüäöü.jpg", 8);
  EXPECT_EQ(Columns(fitted), 8u);
  EXPECT_THAT(fitted, HasSubstr("…"));
  EXPECT_THAT(fitted, HasSubstr(".jpg"));
}

TEST(Verdict, ServersWordGoesBeforeTheClientsThreshold) {
  Answer answer = MakeAnswer("a", 0.7);
  EXPECT_EQ(VerdictOf(answer), filo::v1::VERDICT_UNSPECIFIED);
  answer.threshold = 0.5;
  EXPECT_EQ(VerdictOf(answer), filo::v1::VERDICT_NG);
  answer.result.mutable_decision()->set_verdict(filo::v1::VERDICT_UNSURE);
  EXPECT_EQ(VerdictOf(answer), filo::v1::VERDICT_UNSURE);
  answer.status = grpc::Status(grpc::StatusCode::INTERNAL, "x");
  EXPECT_EQ(VerdictOf(answer), filo::v1::VERDICT_UNSPECIFIED);
}

TEST(TopBoxOf, CountingBoxesGoFirst) {
  filo::v1::DetectionResult result;
  EXPECT_EQ(TopBox(result), nullptr);
  result.add_boxes()->set_confidence(0.9F);
  auto* counting = result.add_boxes();
  counting->set_confidence(0.3F);
  counting->set_counts(true);
  EXPECT_EQ(TopBox(result), counting);
}

TEST(AnswerJsonLine, SurvivesNamesThatAreNotUtf8) {
  const auto line = nlohmann::json::parse(AnswerJson(MakeAnswer("b\xff.jpg", 0.5)), nullptr, false);
  ASSERT_FALSE(line.is_discarded());
  EXPECT_EQ(line["result"]["score"], 0.5);
}

TEST(ProgressBarText, ShowsDoneFoundAndTimeLeft) {
  EXPECT_EQ(ProgressBar::Draw(5, 10, 2, 4.0, 10), "[#####-----] 5/10  2 NG  1.2/s  4.00 s left");
  EXPECT_EQ(ProgressBar::Draw(0, 10, 0, 0, 4), "[----] 0/10");
}

TEST(Report, EscapesWhatOthersWrote) {
  Answer answer = MakeAnswer("<script>alert(1)</script>.jpg", 0.5);
  answer.result.add_boxes()->set_phrase("<b>bold</b>");
  answer.result.add_warnings("a & b");
  DetectReport report("<i>x</i>", "server", 100);
  report.Add(answer, "");
  const std::string html = report.Html();
  EXPECT_THAT(html, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(html, Not(HasSubstr("<b>bold")));
  EXPECT_THAT(html, HasSubstr("a &amp; b"));
  EXPECT_THAT(html, Not(HasSubstr("<i>x")));
  EXPECT_EQ(ScriptJson(R"({"a":"</script>"})"), R"({"a":"<\/script>"})");
}

}  // namespace
}  // namespace filo::client
