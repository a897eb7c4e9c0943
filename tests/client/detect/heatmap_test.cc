#include "client/detect/heatmap.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <opencv2/imgcodecs.hpp>
#include <vector>

namespace filo::client {
namespace {

// A gray photograph and a 4 x 2 map whose last column is hot.
std::string GrayPng(int width, int height) {
  std::vector<unsigned char> file;
  cv::imencode(".png", cv::Mat(height, width, CV_8UC3, cv::Scalar(100, 100, 100)), file);
  return std::string(file.begin(), file.end());
}

Answer AnswerWithMap(int width, int height) {
  Answer answer;
  cv::Mat codes(2, 4, CV_16U, cv::Scalar(0));
  codes.col(3).setTo(65535);
  std::vector<unsigned char> file;
  cv::imencode(".png", codes, file);
  auto* map = answer.result.add_maps();
  map->set_data(file.data(), file.size());
  map->mutable_to_image()->set_xx(width / 4.0);
  map->mutable_to_image()->set_x0(width / 8.0 - 0.5);
  map->mutable_to_image()->set_yy(height / 2.0);
  map->mutable_to_image()->set_y0(height / 4.0 - 0.5);
  return answer;
}

cv::Mat Decode(const std::string& bytes) {
  return cv::imdecode(std::vector<unsigned char>(bytes.begin(), bytes.end()), cv::IMREAD_COLOR);
}

TEST(Heatmap, ColoursTheHotPartWhereItLies) {
  const auto picture = DrawHeatmap(AnswerWithMap(80, 40), GrayPng(80, 40), {.opacity = 1, .caption = false});
  ASSERT_TRUE(picture.ok()) << picture.status();
  const cv::Mat pixels = Decode(*picture);
  ASSERT_EQ(pixels.size(), cv::Size(80, 40));
  const auto hot = pixels.at<cv::Vec3b>(20, 75), cold = pixels.at<cv::Vec3b>(20, 20);
  EXPECT_GT(hot[2], hot[0] + 60) << "turbo's hot end is red";
  EXPECT_NEAR(cold[0], 100, 40) << "the photograph shines through";
}

TEST(Heatmap, SizeBesideAndBoxes) {
  Answer answer = AnswerWithMap(80, 40);
  auto* box = answer.result.add_boxes();
  box->set_phrase("Kratzer ü");
  box->set_counts(true);
  box->mutable_rectangle()->set_x_min(10);
  box->mutable_rectangle()->set_x_max(1000);  // beyond the picture: must not crash
  box->mutable_rectangle()->set_y_min(-5);
  box->mutable_rectangle()->set_y_max(30);
  const auto beside = DrawHeatmap(answer, GrayPng(80, 40), {.beside = true, .max_side = 40});
  ASSERT_TRUE(beside.ok());
  EXPECT_EQ(Decode(*beside).size(), cv::Size(80, 20));
}

TEST(Heatmap, SaysWhatIsMissing) {
  EXPECT_EQ(DrawHeatmap(Answer(), GrayPng(8, 8), {}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(DrawHeatmap(AnswerWithMap(8, 8), "no image", {}).ok());
  Answer broken = AnswerWithMap(8, 8);
  broken.result.mutable_maps(0)->set_data("no png");
  EXPECT_FALSE(DrawHeatmap(broken, GrayPng(8, 8), {}).ok());
}

}  // namespace
}  // namespace filo::client
