#include "server/base/status.h"

#include <gtest/gtest.h>

#include <string>

namespace filo {
namespace {

TEST(FieldErrorTest, NamesFieldValueAndWhatWouldBeRight) {
  const absl::Status status = FieldError("category.class_name", "", "be 1 to 64 characters long");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "category.class_name is \"\"; it must be 1 to 64 characters long");
  const auto violation = GetFieldViolation(status);
  ASSERT_TRUE(violation.has_value());
  EXPECT_EQ(violation->field, "category.class_name");
  EXPECT_EQ(violation->description, "is \"\"; it must be 1 to 64 characters long");
}

TEST(FieldErrorTest, LongValueIsCutBetweenCharacters) {
  std::string value;
  for (int i = 0; i < 100; ++i) value += "ä";  // two bytes each
  const std::string message(FieldError("x", "a" + value, "be short").message());
  EXPECT_EQ(message.find('\xC3', message.find("…") - 1),
            std::string::npos);  // no lead byte right before the cut
  EXPECT_NE(message.find("(201 bytes)"), std::string::npos);
}

TEST(AnnotateTest, KeepsCodeAndViolation) {
  const absl::Status status = Annotate(FieldError("f", "v", "e"), "while reading x");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message().substr(0, 17), "while reading x: ");
  EXPECT_EQ(GetFieldViolation(status)->field, "f");
  EXPECT_TRUE(Annotate(absl::OkStatus(), "x").ok());
}

TEST(GetFieldViolationTest, NoneOnOtherErrors) {
  EXPECT_FALSE(GetFieldViolation(absl::InternalError("boom")).has_value());
}

}  // namespace
}  // namespace filo
