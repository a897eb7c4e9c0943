#include "server/text/prompts.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>

#include "nlohmann/json.hpp"
#include "server/base/status.h"
#include "server/text/clip_tokenizer.h"
#include "tests/support/hazelnut.h"

namespace filo::text {
namespace {

bundle::Prompts Published() {
  bundle::Prompts prompts;
  prompts.context_vectors = 12;
  prompts.normal_states = {"{}",
                           "flawless {}",
                           "perfect {}",
                           "unblemished {}",
                           "{} without flaw",
                           "{} without defect",
                           "{} without damage"};
  prompts.description_templates = {"abnormal {} with {description}"};
  prompts.abnormal_states = {"damaged {}", "broken {}", "{} with flaw", "{} with defect", "{} with damage"};
  prompts.positions = {"top left", "top",         "top right", "left",        "center",
                       "right",    "bottom left", "bottom",    "bottom right"};
  return prompts;
}

using support::Hazelnut;

std::unique_ptr<const ClipTokenizer> Load() {
  auto tokenizer = ClipTokenizer::Load(FILO_TEST_DATA "/vocab/clip_bpe_simple_vocab_16e6.txt.gz");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

// int64 tensor `name` of a safetensors file, flat.
std::vector<std::int64_t> Ids(const std::string& file, const std::string& name) {
  std::ifstream in(file, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(in), {});
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), 8);
  const auto header = nlohmann::json::parse(bytes.substr(8, header_bytes));
  const auto& entry = header.at(name);
  const std::size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
  std::vector<std::int64_t> out;
  const std::size_t width = entry["dtype"] == "I64" ? 8 : 4;
  for (std::size_t at = begin; at < end; at += width) {
    std::int64_t wide = 0;
    std::int32_t narrow = 0;
    std::memcpy(width == 8 ? static_cast<void*>(&wide) : &narrow, bytes.data() + 8 + header_bytes + at,
                width);
    out.push_back(width == 8 ? wide : narrow);
  }
  return out;
}

TEST(PromptsTest, HazelnutPromptsAndIdsEqualTheReference) {
  std::ifstream in(FILO_GOLDENS "/tiny/prompts_hazelnut.json");
  const auto golden = nlohmann::json::parse(in);
  const auto tokenizer = Load();
  for (const std::string kind : {"normal", "abnormal"}) {
    const auto sentences = kind == "normal" ? NormalPrompts(Published(), Hazelnut())
                                            : AbnormalPromptsEverywhere(Published(), Hazelnut());
    const auto wanted = golden[kind].get<std::vector<std::string>>();
    const auto wanted_ids = Ids(FILO_GOLDENS "/tiny/prompts_hazelnut_ids.safetensors", kind);
    ASSERT_EQ(sentences.size(), wanted.size());
    ASSERT_EQ(wanted_ids.size(), wanted.size() * 77);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_EQ(WithContext(12, sentences[i]), wanted[i]);
      auto ids = EncodePrompt(*tokenizer, 12, sentences[i], 77);
      ASSERT_TRUE(ids.ok());
      ids->resize(77, 0);
      EXPECT_EQ(*ids,
                std::vector<std::int64_t>(wanted_ids.begin() + static_cast<std::ptrdiff_t>(i) * 77,
                                          wanted_ids.begin() + static_cast<std::ptrdiff_t>(i + 1) * 77));
    }
  }
}

TEST(PromptsTest, OnePositionIsEveryNinthOfAll) {
  const auto everywhere = AbnormalPromptsEverywhere(Published(), Hazelnut());
  for (int position = 0; position < 9; ++position) {
    const auto here = AbnormalPrompts(Published(), Hazelnut(), position);
    ASSERT_EQ(here.size() * 9, everywhere.size());
    for (std::size_t state = 0; state < here.size(); ++state) {
      EXPECT_EQ(here[state], everywhere[state * 9 + static_cast<std::size_t>(position)]);
    }
  }
  EXPECT_EQ(AbnormalPrompts(Published(), Hazelnut(), std::nullopt).front(),
            "abnormal hazelnut with fungal growth.");
}

TEST(PromptsTest, ACategorysOwnStatesReplaceTheBundles) {
  category::Category category = Hazelnut();
  category.normal_states = {"good {}"};
  category.abnormal_states = {"bad {}"};
  category.descriptions = {"a {} in {description}"};  // braces in a description mean nothing
  EXPECT_EQ(NormalPrompts(Published(), category), (std::vector<std::string>{"good hazelnut."}));
  EXPECT_EQ(AbnormalPrompts(Published(), category, 0),
            (std::vector<std::string>{"abnormal hazelnut with a {} in {description} at top left.",
                                      "bad hazelnut at top left."}));
}

TEST(PromptsTest, TooLongNamesTheFieldThePromptAndTheSurplus) {
  const auto tokenizer = Load();
  EXPECT_TRUE(CheckPrompts(*tokenizer, Published(), 77, Hazelnut()).ok());
  category::Category category = Hazelnut();
  category.descriptions[3] = "crack";
  for (int i = 0; i < 60; ++i) category.descriptions[3] += " crack";
  const auto status = CheckPrompts(*tokenizer, Published(), 77, category);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetFieldViolation(status)->field, "category.descriptions[3]");
  // start + 12 + "abnormal hazelnut with" + 61 + "at top left ." + end = 82.
  EXPECT_NE(status.message().find("has 82, 5 too many"), std::string::npos) << status;
}

}  // namespace
}  // namespace filo::text
