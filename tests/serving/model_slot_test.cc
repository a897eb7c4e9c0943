#include "server/serving/model_slot.h"

#include <future>
#include <thread>

#include "gtest/gtest.h"

namespace filo::serving {
namespace {

absl::StatusOr<std::shared_ptr<const LoadedModel>> LoadNamed(const std::string& directory) {
  if (directory == "bad") return absl::InvalidArgumentError("bad: the self-test deviates");
  auto model = std::make_shared<LoadedModel>();
  model->directory = directory;
  return std::shared_ptr<const LoadedModel>(std::move(model));
}

TEST(ModelSlotTest, ANewModelTakesOverAndTheOldOneIsFreed) {
  ModelSlot slot(LoadNamed);
  EXPECT_EQ(slot.Current(), nullptr);
  ASSERT_TRUE(slot.Load("a").ok());
  std::weak_ptr<const LoadedModel> first = slot.Current();
  const auto replaced = slot.Load("b");
  ASSERT_TRUE(replaced.ok());
  EXPECT_EQ((*replaced)->directory, "a");
  EXPECT_EQ(slot.Current()->directory, "b");
}

TEST(ModelSlotTest, TheOldModelGoesWithItsLastRequest) {
  ModelSlot slot(LoadNamed);
  ASSERT_TRUE(slot.Load("a").ok());
  std::shared_ptr<const LoadedModel> request = slot.Current();
  const std::weak_ptr<const LoadedModel> watch = request;
  ASSERT_TRUE(slot.Load("b").ok());
  EXPECT_FALSE(watch.expired());
  request.reset();
  EXPECT_TRUE(watch.expired());
}

TEST(ModelSlotTest, ABadBundleLeavesThePresentOne) {
  ModelSlot slot(LoadNamed);
  ASSERT_TRUE(slot.Load("a").ok());
  const auto result = slot.Load("bad");
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(slot.Current()->directory, "a");
}

TEST(ModelSlotTest, OneLoadAtATime) {
  std::promise<void> inside;
  std::promise<void> go_on;
  ModelSlot slot([&](const std::string& directory) {
    inside.set_value();
    go_on.get_future().wait();
    return LoadNamed(directory);
  });
  std::jthread slow([&] { EXPECT_TRUE(slot.Load("slow").ok()); });
  inside.get_future().wait();
  EXPECT_EQ(slot.Load("second").status().code(), absl::StatusCode::kAborted);
  go_on.set_value();
}

}  // namespace
}  // namespace filo::serving
