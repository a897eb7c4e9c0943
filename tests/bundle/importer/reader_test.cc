// Hostile and damaged ZIP files, pickles and ONNX files, made by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "server/bundle/importer/tensor_source.h"

namespace filo::bundle::importer {
namespace {

using testing::HasSubstr;

template <typename T>
std::string Raw(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}
std::string Message(const absl::Status& status) { return std::string(status.message()); }

struct ZipPart {
  std::string name, data;
};
// A ZIP of stored entries. `overlap`: the second entry's directory record points at the first.
std::string Zip(const std::vector<ZipPart>& parts, bool overlap = false) {
  std::string file, directory;
  std::uint32_t first = 0;
  for (const ZipPart& part : parts) {
    const auto crc = static_cast<std::uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(part.data.data()), static_cast<uInt>(part.data.size())));
    const auto size = static_cast<std::uint32_t>(part.data.size());
    const std::uint32_t offset = overlap ? first : static_cast<std::uint32_t>(file.size());
    const std::string common = Raw<std::uint16_t>(0) + Raw<std::uint16_t>(0) + Raw<std::uint32_t>(0) +
                               Raw(crc) + Raw(size) + Raw(size) +
                               Raw(static_cast<std::uint16_t>(part.name.size()));
    file += "PK\x03\x04" + Raw<std::uint16_t>(20) + common + Raw<std::uint16_t>(0) + part.name + part.data;
    directory += "PK\x01\x02" + Raw<std::uint16_t>(20) + Raw<std::uint16_t>(20) + common +
                 Raw<std::uint16_t>(0) + Raw<std::uint16_t>(0) + Raw<std::uint16_t>(0) +
                 Raw<std::uint16_t>(0) + Raw<std::uint32_t>(0) + Raw(offset) + part.name;
  }
  const auto count = static_cast<std::uint16_t>(parts.size());
  const auto at = static_cast<std::uint32_t>(file.size());
  return file + directory + "PK\x05\x06" + Raw<std::uint32_t>(0) + Raw(count) + Raw(count) +
         Raw(static_cast<std::uint32_t>(directory.size())) + Raw(at) + Raw<std::uint16_t>(0);
}

std::string Text(const std::string& text) {
  return "X" + Raw(static_cast<std::uint32_t>(text.size())) + text;
}
std::string Number(std::int32_t value) { return "J" + Raw(value); }
// A pickled tensor over storage "0" of `elements` floats.
std::string Tensor(std::int32_t elements, std::int32_t offset, const std::string& shape,
                   const std::string& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + Text("storage") + "ctorch\nFloatStorage\n" + Text("0") +
         Text("cpu") + Number(elements) + "tQ" + Number(offset) + "(" + shape + "t(" + strides + "t\x89" +
         "ccollections\nOrderedDict\n)RtR";
}
std::string Dict(const std::string& items) { return "\x80\x02}(" + items + "u."; }

class ReaderTest : public testing::Test {
 protected:
  ReaderTest()
      : path_(testing::TempDir() + "filo_reader_test." +
              testing::UnitTest::GetInstance()->current_test_info()->name()) {}
  ~ReaderTest() override { std::filesystem::remove(path_); }
  absl::StatusOr<TensorSource> Open(const std::string& contents) {
    std::ofstream(path_, std::ios::binary) << contents;
    return OpenTensorSource(path_);
  }
  std::string TorchError(const std::string& pickle, const std::string& storage = std::string(16, '\0')) {
    const auto source = Open(Zip({{"archive/data.pkl", pickle}, {"archive/data/0", storage}}));
    return source.ok() ? "" : Message(source.status());
  }
  std::string path_;
};

TEST_F(ReaderTest, NestedAndStridedTensorsAreRead) {
  const float values[6] = {1, 2, 3, 4, 5, 6};
  const std::string storage(reinterpret_cast<const char*>(values), sizeof values);
  const std::string inner =
      Text("t") + Tensor(6, 0, Number(3) + Number(2), Number(1) + Number(3));  // transposed [2, 3]
  const std::string pickle = Dict(Text("model") + "}(" + inner + "u" + Text("epoch") + Number(3));
  const auto source = Open(Zip({{"archive/data.pkl", pickle}, {"archive/data/0", storage}}));
  ASSERT_TRUE(source.ok()) << source.status();
  ASSERT_TRUE(source->tensors.contains("model.t"));
  const std::vector<std::byte> bytes = Gather(source->tensors.at("model.t"));
  const float wanted[6] = {1, 4, 2, 5, 3, 6};
  EXPECT_EQ(std::memcmp(bytes.data(), wanted, sizeof wanted), 0);
}

TEST_F(ReaderTest, PicklesAreNeverObeyed) {
  EXPECT_THAT(TorchError("\x80\x02"
                         "cos\nsystem\n" +
                         Text("touch x") + "\x85R."),
              HasSubstr("names os.system"));
  EXPECT_THAT(TorchError("\x80\x04" + Text("builtins") + Text("eval") + "\x93."),
              HasSubstr("names builtins.eval"));
  EXPECT_THAT(TorchError("\x80\x02"
                         "cnumpy.core.multiarray\nscalar\n."),
              HasSubstr("names numpy.core.multiarray.scalar"));
  EXPECT_THAT(TorchError("\x80\x02"
                         "ctorch.storage\n_load_from_bytes\n."),
              HasSubstr("names torch.storage._load_from_bytes"));
  EXPECT_THAT(TorchError("\x80\x02i"
                         "os\nsystem\n."),
              HasSubstr("instruction 0x69"));
}

TEST_F(ReaderTest, TensorsStayInsideTheirStorage) {
  const std::string four = Number(4), one = Number(1);
  EXPECT_EQ(TorchError(Dict(Text("t") + Tensor(4, 0, four, one))), "");
  EXPECT_THAT(TorchError(Dict(Text("t") + Tensor(4, 1, four, one))),
              HasSubstr("tensor t, which reaches outside"));
  EXPECT_THAT(TorchError(Dict(Text("t") + Tensor(4, 0, four, Number(2)))), HasSubstr("reaches outside"));
  EXPECT_THAT(TorchError(Dict(Text("t") + Tensor(4, -1, four, one))), HasSubstr("begins outside"));
  EXPECT_THAT(TorchError(Dict(Text("t") + Tensor(4, 9, four, one))), HasSubstr("begins outside"));
  EXPECT_THAT(TorchError(Dict(Text("t") + Tensor(5, 0, four, one))),
              HasSubstr("storage of 5 elements in 16 bytes"));
  EXPECT_THAT(TorchError(Dict(Text("t") + Tensor(4, 0, Number(-4), one))), HasSubstr("reaches outside"));
  const std::string huge = Number(0x7fffffff);
  EXPECT_THAT(
      TorchError(Dict(Text("t") + Tensor(4, 0, huge + huge + huge, Number(0) + Number(0) + Number(0)))),
      HasSubstr("reaches outside"));
  EXPECT_THAT(TorchError(Dict(Text("t") + Tensor(4, 0, huge, Number(0)))),
              HasSubstr("more elements than its storage"));
}

TEST_F(ReaderTest, CirclesAndEndlessRepetitionEnd) {
  EXPECT_THAT(TorchError("\x80\x02}q\x01(" + Text("self") + "h\x01u."), HasSubstr("contains itself"));
  std::string bomb = "\x80\x02]q";
  bomb += std::string(1, '\0');
  for (char level = 1; level < 40; ++level) {  // each list holds the one before ten times
    bomb += std::string("](") +
            [&] {
              std::string refs;
              for (int i = 0; i < 10; ++i) refs += std::string("h") + static_cast<char>(level - 1);
              return refs;
            }() +
            "eq" + level;
  }
  bomb += std::string("q\x29") + "0";
  EXPECT_FALSE(TorchError(bomb).empty());
  EXPECT_THAT(TorchError("\x80\x02" + std::string(3000000, 'N') + "."), HasSubstr("more values than"));
}

TEST_F(ReaderTest, DamagedArchivesAreRefused) {
  const std::string pickle = Dict(Text("t") + Tensor(4, 0, Number(4), Number(1)));
  const std::string good = Zip({{"archive/data.pkl", pickle}, {"archive/data/0", std::string(16, 'x')}});
  ASSERT_TRUE(Open(good).ok());
  for (std::size_t length = 4; length < good.size(); length += 3)
    EXPECT_FALSE(Open(good.substr(0, length)).ok()) << length;
  std::string flipped = good;
  flipped[good.find("xxxx")] = 'y';
  EXPECT_THAT(Message(Open(flipped).status()), HasSubstr("archive/data/0 is damaged: its checksum is wrong"));
  for (std::size_t at = 4; at < good.size(); ++at) {  // any single damaged byte: an answer, not a crash
    std::string damaged = good;
    damaged[at] = static_cast<char>(damaged[at] ^ 0xff);
    (void)Open(damaged).ok();
  }
  EXPECT_THAT(Message(Open(Zip({{"a", "1"}, {"a", "2"}})).status()), HasSubstr("entry a is there twice"));
  EXPECT_THAT(Message(Open(Zip({{"a", "1"}, {"b", "2"}}, true)).status()), HasSubstr("another name"));
  EXPECT_THAT(Message(Open(Zip({{"a", "1"}})).status()), HasSubstr("no data.pkl"));
  EXPECT_THAT(Message(Open(Zip({{"a/data.pkl", pickle}, {"b/data.pkl", pickle}})).status()),
              HasSubstr("two data.pkl"));
  EXPECT_THAT(TorchError("\x80\x02}(" + Text("t")), HasSubstr("damaged or cut off"));
}

TEST_F(ReaderTest, OnnxInitialisersAreNamedAfterTheirNodes) {
  const auto field = [](int number, const std::string& bytes) {
    return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(bytes.size()) + bytes;
  };
  const std::string data(24, '\0');
  const std::string tensor =
      std::string("\x08\x02\x08\x03\x10\x01", 6) + field(8, "onnx::MatMul_7") + field(9, data);
  const std::string node = field(1, "x") + field(1, "onnx::MatMul_7") + field(3, "/a/b/MatMul");
  const std::string good = std::string("\x08\x08", 2) + field(7, field(1, node) + field(5, tensor));
  const auto source = Open(good);
  ASSERT_TRUE(source.ok()) << source.status();
  ASSERT_TRUE(source->tensors.contains("a.b.MatMul.input1"));
  EXPECT_EQ(source->tensors.at("a.b.MatMul.input1").shape, (std::vector<std::int64_t>{2, 3}));
  for (std::size_t length = 1; length < good.size(); ++length)
    EXPECT_FALSE(Open(good.substr(0, length)).ok()) << length;
  const std::string wrong = std::string("\x08\x02\x08\x09\x10\x01", 6) + field(8, "w") + field(9, data);
  EXPECT_THAT(Message(Open(std::string("\x08\x08", 2) + field(7, field(5, wrong))).status()),
              HasSubstr("tensor w, which reaches outside"));
  const std::string external = tensor + "\x70\x01";
  EXPECT_THAT(Message(Open(std::string("\x08\x08", 2) + field(7, field(5, external))).status()),
              HasSubstr("in another file"));
}

}  // namespace
}  // namespace filo::bundle::importer
