#include "server/evaluation/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "opencv2/imgcodecs.hpp"

namespace filo::evaluation {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class DatasetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(::testing::TempDir()) /
            (std::string("dataset_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(root_);
    fs::create_directories(root_);
  }
  void TearDown() override { fs::remove_all(root_); }

  void Put(const std::string& path, int value = 0) {
    fs::create_directories((root_ / path).parent_path());
    cv::Mat image(6, 8, CV_8U, cv::Scalar(0));
    image.at<std::uint8_t>(4, 6) = static_cast<std::uint8_t>(value);
    ASSERT_TRUE(cv::imwrite((root_ / path).string(), image));
  }

  fs::path root_;
};

TEST_F(DatasetTest, ReadsMvtecLayout) {
  Put("nut/train/good/000.png");
  Put("nut/test/good/000.png");
  Put("nut/test/bent/001.png");
  Put("nut/test/bent/000.png");
  Put("nut/ground_truth/bent/000_mask.png");
  Put("nut/ground_truth/bent/001.png");
  Put("cable/test/good/000.jpg");
  fs::create_directories(root_ / "not_a_category");
  const auto data = ReadDataset(root_.string(), {});
  ASSERT_TRUE(data.ok()) << data.status();
  ASSERT_EQ(data->size(), 2u);
  EXPECT_EQ((*data)[0].name, "cable");
  const CategoryData& nut = (*data)[1];
  EXPECT_EQ(nut.train_normal.size(), 1u);
  ASSERT_EQ(nut.test.size(), 3u);
  EXPECT_EQ(nut.test[0].defect, "bent");
  EXPECT_TRUE(nut.test[0].anomalous);
  EXPECT_THAT(nut.test[0].mask, HasSubstr("000_mask.png"));
  EXPECT_THAT(nut.test[1].mask, HasSubstr("001.png"));
  EXPECT_FALSE(nut.test[2].anomalous);

  const auto one = ReadDataset((root_ / "nut").string(), {});
  ASSERT_TRUE(one.ok());
  EXPECT_EQ((*one)[0].name, "nut");
  EXPECT_EQ(ReadDataset(root_.string(), {"nut"})->size(), 1u);
  EXPECT_THAT(std::string(ReadDataset(root_.string(), {"bolt"}).status().message()),
              HasSubstr("it has cable, nut"));
}

TEST_F(DatasetTest, MissingMaskIsNamed) {
  Put("nut/test/bent/007.png");
  const auto data = ReadDataset(root_.string(), {});
  EXPECT_EQ(data.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(data.status().message()), HasSubstr("007_mask.png"));
}

TEST_F(DatasetTest, ReadsVisaLayout) {
  Put("candle/Data/Images/Normal/1.JPG");
  Put("candle/Data/Images/Anomaly/2.JPG");
  Put("candle/Data/Masks/Anomaly/2.png", 3);
  fs::create_directories(root_ / "split_csv");
  std::ofstream(root_ / "split_csv/1cls.csv") << "object,split,label,image,mask\n"
                                              << "candle,train,normal,candle/Data/Images/Normal/1.JPG,\n"
                                              << "candle,test,normal,candle/Data/Images/Normal/1.JPG,\r\n"
                                              << "candle,test,anomaly,candle/Data/Images/Anomaly/2.JPG,"
                                              << "candle/Data/Masks/Anomaly/2.png\n";
  const auto data = ReadDataset(root_.string(), {});
  ASSERT_TRUE(data.ok()) << data.status();
  ASSERT_EQ((*data)[0].test.size(), 2u);
  EXPECT_EQ((*data)[0].train_normal.size(), 1u);
  EXPECT_FALSE((*data)[0].test[0].anomalous);
  ASSERT_TRUE((*data)[0].test[1].anomalous);
  // VisA's masks hold class numbers, not 255.
  const auto mask = ReadMask((*data)[0].test[1].mask, 3, 4);
  ASSERT_TRUE(mask.ok());
  EXPECT_EQ(mask->size(), 12u);
  EXPECT_EQ((*mask)[2 * 4 + 3], 1);
  EXPECT_EQ((*mask)[0], 0);

  std::ofstream(root_ / "split_csv/1cls.csv") << "candle,test,normal,gone.JPG,\n";
  EXPECT_THAT(std::string(ReadDataset(root_.string(), {}).status().message()), HasSubstr("gone.JPG"));
}

TEST_F(DatasetTest, NeitherLayoutIsAnErrorThatSaysBoth) {
  const auto status = ReadDataset(root_.string(), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("split_csv"));
  EXPECT_EQ(ReadDataset((root_ / "absent").string(), {}).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(root_ / "junk.png") << "junk";
  EXPECT_EQ(ReadMask((root_ / "junk.png").string(), 2, 2).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace filo::evaluation
