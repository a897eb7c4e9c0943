#include "server/text/clip_tokenizer.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "nlohmann/json.hpp"
#include "tests/text/golden_lines.h"

namespace filo::text {
namespace {

constexpr char kMerges[] = FILO_TEST_DATA "/vocab/clip_bpe_simple_vocab_16e6.txt.gz";

std::unique_ptr<const ClipTokenizer> Load() {
  auto tokenizer = ClipTokenizer::Load(kMerges);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

std::string Unzipped() {
  std::string text;
  gzFile file = gzopen(kMerges, "rb");
  char buffer[4096];
  for (int n = 0; (n = gzread(file, buffer, sizeof(buffer))) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  gzclose(file);
  return text;
}

TEST(ClipTokenizerTest, EqualsTheReferenceOnEveryGoldenString) {
  const auto tokenizer = Load();
  const auto lines = GoldenLines("text/clip_bpe.jsonl");
  EXPECT_EQ(lines.size(), 246u);
  for (const auto& line : lines) {
    const std::string text = line["text"];
    std::vector<std::int64_t> ids = tokenizer->Encode(text);
    EXPECT_EQ(ids.size() - 2, line["n_raw"].get<std::size_t>()) << text;
    ids = CutLikeReference(std::move(ids), 77, tokenizer->end_token());
    const auto end = std::find(ids.begin(), ids.end(), tokenizer->end_token());
    EXPECT_EQ(static_cast<std::size_t>(end - ids.begin()), line["eot_index"].get<std::size_t>()) << text;
    ids.resize(77, 0);
    EXPECT_EQ(ids, line["ids"].get<std::vector<std::int64_t>>()) << text;
  }
}

TEST(ClipTokenizerTest, KnowsItsSpecialTokensAndSize) {
  const auto tokenizer = Load();
  EXPECT_EQ(tokenizer->start_token(), 49406);
  EXPECT_EQ(tokenizer->end_token(), 49407);
  EXPECT_EQ(tokenizer->vocabulary_size(), 49408);
  EXPECT_EQ(tokenizer->Encode(""), (std::vector<std::int64_t>{49406, 49407}));
}

// Hugging Face's form of the same vocabulary gives the same ids.
TEST(ClipTokenizerTest, ReadsVocabularyAndMerges) {
  const std::string all = Unzipped();
  nlohmann::json vocabulary;
  std::string merges = "#version: 0.2\n";
  // Ids in OpenAI's order, found by encoding each byte and merge with the first tokenizer would be circular:
  // build them from the byte alphabet, written here as the two printable ranges and their stand-ins.
  std::vector<std::string> alphabet;
  const auto utf8 = [](unsigned c) {
    return c < 0x80 ? std::string(1, static_cast<char>(c))
                    : std::string{static_cast<char>(0xC0 | (c >> 6)), static_cast<char>(0x80 | (c & 0x3F))};
  };
  for (unsigned c = 0x21; c <= 0x7E; ++c) alphabet.push_back(utf8(c));
  for (unsigned c = 0xA1; c <= 0xFF; ++c) {
    if (c != 0xAD) alphabet.push_back(utf8(c));
  }
  for (unsigned c = 0x100; alphabet.size() < 256; ++c) alphabet.push_back(utf8(c));
  int id = 0;
  for (const auto& c : alphabet) vocabulary[c] = id++;
  for (const auto& c : alphabet) vocabulary[c + "</w>"] = id++;
  std::size_t at = all.find('\n') + 1;
  for (int i = 0; i < 48894; ++i) {
    const std::size_t end = all.find('\n', at);
    const std::string line = all.substr(at, end - at);
    merges += line + "\n";
    const std::size_t space = line.find(' ');
    vocabulary[line.substr(0, space) + line.substr(space + 1)] = id++;
    at = end + 1;
  }
  vocabulary["<|startoftext|>"] = id++;
  vocabulary["<|endoftext|>"] = id++;
  const auto other = ClipTokenizer::FromVocabularyAndMerges(vocabulary.dump(), merges);
  ASSERT_TRUE(other.ok()) << other.status();
  const auto tokenizer = Load();
  EXPECT_EQ((*other)->vocabulary_size(), 49408);
  for (const auto& line : GoldenLines("text/clip_bpe.jsonl")) {
    const std::string text = line["text"];
    EXPECT_EQ((*other)->Encode(text), tokenizer->Encode(text)) << text;
  }
  // The same from a folder.
  const auto folder = std::filesystem::path(testing::TempDir()) / "clip_tokenizer_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "vocab.json") << vocabulary.dump();
  std::ofstream(folder / "merges.txt") << merges;
  const auto loaded = ClipTokenizer::Load(folder.string());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->Encode("a bent wire"), tokenizer->Encode("a bent wire"));
  std::filesystem::remove_all(folder);
}

TEST(ClipTokenizerTest, LongWordsStayQuickAndAnyBytesAreTaken) {
  const auto tokenizer = Load();
  EXPECT_GT(tokenizer->Encode(std::string(200000, 'a')).size(), 1000u);
  EXPECT_GT(tokenizer->Encode(std::string("\xFF\xC0\x80\xED\xA0\x80 ok", 9)).size(), 3u);
  EXPECT_EQ(tokenizer->Encode(std::string("a\0b", 3)), tokenizer->Encode("ab"));
}

TEST(ClipTokenizerTest, BrokenFilesAreErrorsThatSaySo) {
  EXPECT_EQ(ClipTokenizer::Load("/nonexistent/x.txt").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(ClipTokenizer::FromMerges("").ok());
  EXPECT_FALSE(ClipTokenizer::FromMerges("\x1f\x8b garbage").ok());
  const auto status = ClipTokenizer::FromMerges("#version\na b\nthree words here\n").status();
  EXPECT_NE(status.message().find("line 3"), std::string::npos) << status;
  EXPECT_NE(ClipTokenizer::FromMerges("#\nqqq zzz\n").status().message().find("\"qqq\" is missing"),
            std::string::npos);
  EXPECT_FALSE(ClipTokenizer::FromVocabularyAndMerges("[1]", "#\na b\n").ok());
  EXPECT_FALSE(ClipTokenizer::FromVocabularyAndMerges(R"({"a": -1})", "#\na b\n").ok());
  EXPECT_FALSE(ClipTokenizer::FromVocabularyAndMerges(R"({"a": 1})", "#\na b\n").ok());
}

TEST(CutLikeReferenceTest, KeepsShortOnesAndEndsLongOnes) {
  EXPECT_EQ(CutLikeReference({1, 2, 9}, 3, 9), (std::vector<std::int64_t>{1, 2, 9}));
  EXPECT_EQ(CutLikeReference({1, 2, 3, 4, 9}, 3, 9), (std::vector<std::int64_t>{1, 2, 9}));
}

}  // namespace
}  // namespace filo::text
