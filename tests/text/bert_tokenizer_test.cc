#include "server/text/bert_tokenizer.h"

#include <gtest/gtest.h>

#include "tests/text/golden_lines.h"

namespace filo::text {
namespace {

std::unique_ptr<const BertTokenizer> Load() {
  auto tokenizer = BertTokenizer::Load(FILO_TEST_DATA "/vocab/bert_base_uncased_vocab.txt");
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

TEST(BertTokenizerTest, EqualsTheReferenceOnEveryGoldenString) {
  const auto tokenizer = Load();
  EXPECT_EQ(tokenizer->vocabulary_size(), 30522);
  const auto lines = GoldenLines("text/bert_wordpiece.jsonl");
  EXPECT_EQ(lines.size(), 246u);
  for (const auto& line : lines) {
    const std::string text = line["text"];
    const std::vector<std::int64_t> ids = tokenizer->Encode(text);
    EXPECT_EQ(ids, line["ids"].get<std::vector<std::int64_t>>()) << text;
    EXPECT_EQ(tokenizer->Decode(ids), line["decoded"].get<std::string>()) << text;
    std::vector<std::string> tokens;
    for (const std::int64_t id : ids) tokens.emplace_back(tokenizer->Token(id));
    EXPECT_EQ(tokens, line["tokens"].get<std::vector<std::string>>()) << text;
  }
}

TEST(BertTokenizerTest, SpecialTokensInTheTextAreThemselves) {
  const auto tokenizer = Load();
  EXPECT_EQ(tokenizer->Encode("a[MASK]b [cls]"),
            (std::vector<std::int64_t>{101, 1037, 103, 1038, 1031, 18856, 2015, 1033, 102}));
}

TEST(BertTokenizerTest, WordsOfMoreThanAHundredCharactersAreUnknown) {
  const auto tokenizer = Load();
  EXPECT_EQ(tokenizer->Encode(std::string(101, 'a')), (std::vector<std::int64_t>{101, 100, 102}));
  EXPECT_GT(tokenizer->Encode(std::string(100, 'a')).size(), 3u);
}

TEST(BertTokenizerTest, DecodeSkipsIdsOutsideTheVocabulary) {
  const auto tokenizer = Load();
  const std::vector<std::int64_t> ids = {-1, 14015, 24072, 99999999};
  EXPECT_EQ(tokenizer->Decode(ids), "hazelnut");
  EXPECT_EQ(tokenizer->Decode({}), "");
}

TEST(BertTokenizerTest, BrokenVocabulariesAreErrorsThatSaySo) {
  EXPECT_EQ(BertTokenizer::Load("/nonexistent/vocab.txt").status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(BertTokenizer::FromVocabulary("a\nb\n").status().message().find("\"[CLS]\" is missing"),
            std::string::npos);
  EXPECT_NE(BertTokenizer::FromVocabulary("a\nb\na\n").status().message().find("line 3"), std::string::npos);
}

}  // namespace
}  // namespace filo::text
