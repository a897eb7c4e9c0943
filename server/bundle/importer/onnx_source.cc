// Reads the initialisers out of an ONNX file: just enough of protobuf's wire format to find them, since the
// graph itself is of no interest.
//
// Exporters drop the names of matrices (they become "onnx::MatMul_1966"). Such a tensor is named after the
// node that reads it: node "/backbone/layer.0/query/MatMul", second input, gives
// "backbone.layer.0.query.MatMul.input1".
#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/bundle/importer/tensor_source.h"

namespace filo::bundle::importer {
namespace {

// Field numbers of onnx.proto.
constexpr std::uint64_t kModelGraph = 7;
constexpr std::uint64_t kGraphNode = 1, kGraphInitializer = 5;
constexpr std::uint64_t kNodeInput = 1, kNodeName = 3;
constexpr std::uint64_t kTensorDims = 1, kTensorType = 2, kTensorFloatData = 4, kTensorName = 8,
                        kTensorRaw = 9, kTensorLocation = 14;

struct Field {
  std::uint64_t number = 0;
  std::uint64_t varint = 0;          // wire type 0
  std::span<const std::byte> bytes;  // wire type 2
  bool is_bytes = false;
};

// Walks the fields of one message.
class Message {
 public:
  explicit Message(std::span<const std::byte> bytes) : rest_(bytes) {}

  // False at the end or after damage, which ok() tells apart.
  bool Next(Field& field) {
    if (rest_.empty() || !ok_) return false;
    const std::uint64_t key = Varint();
    field = {key >> 3, 0, {}, false};
    switch (key & 7) {
      case 0:
        field.varint = Varint();
        break;
      case 1:
        Take(8);
        break;
      case 2:
        field.bytes = Take(Varint());
        field.is_bytes = true;
        break;
      case 5:
        Take(4);
        break;
      default:
        ok_ = false;
    }
    return ok_;
  }
  std::uint64_t Varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = Take(1);
      if (!ok_) return 0;
      value |= (static_cast<std::uint64_t>(byte[0]) & 0x7f) << shift;
      if ((byte[0] & std::byte{0x80}) == std::byte{0}) return value;
    }
    ok_ = false;
    return 0;
  }
  bool empty() const { return rest_.empty(); }
  bool ok() const { return ok_; }

 private:
  std::span<const std::byte> Take(std::uint64_t count) {
    if (count > rest_.size()) ok_ = false;
    if (!ok_) return {};
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

  std::span<const std::byte> rest_;
  bool ok_ = true;
};

std::string Text(std::span<const std::byte> bytes) {
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::optional<DType> FromOnnxType(std::uint64_t type) {
  switch (type) {
    case 1:
      return DType::kF32;
    case 2:
      return DType::kU8;
    case 3:
      return DType::kI8;
    case 6:
      return DType::kI32;
    case 7:
      return DType::kI64;
    case 9:
      return DType::kBool;
    case 10:
      return DType::kF16;
    case 11:
      return DType::kF64;
    case 16:
      return DType::kBF16;
    default:
      return std::nullopt;
  }
}

absl::Status Damaged() { return absl::InvalidArgumentError("is not a valid ONNX file"); }

absl::StatusOr<std::pair<std::string, SourceTensor>> ReadTensor(std::span<const std::byte> bytes) {
  Message message(bytes);
  std::string name;
  SourceTensor tensor;
  std::uint64_t type = 0;
  bool external = false;
  for (Field field; message.Next(field);) {
    if (field.number == kTensorDims && field.is_bytes) {
      for (Message packed(field.bytes); !packed.empty() && packed.ok();) {
        tensor.shape.push_back(static_cast<std::int64_t>(packed.Varint()));
      }
    } else if (field.number == kTensorDims) {
      tensor.shape.push_back(static_cast<std::int64_t>(field.varint));
    } else if (field.number == kTensorType) {
      type = field.varint;
    } else if (field.number == kTensorName) {
      name = Text(field.bytes);
    } else if ((field.number == kTensorRaw || field.number == kTensorFloatData) && field.is_bytes) {
      tensor.storage = field.bytes;  // packed floats are little-endian like raw data
    } else if (field.number == kTensorLocation) {
      external = field.varint != 0;
    }
  }
  if (!message.ok()) return Damaged();
  if (external)
    return absl::InvalidArgumentError(fmt::format("keeps tensor {} in another file: merge them first", name));
  const auto dtype = FromOnnxType(type);
  if (!dtype)
    return absl::InvalidArgumentError(fmt::format("holds tensor {} of an unknown type ({})", name, type));
  tensor.dtype = *dtype;
  tensor.strides = RowMajor(std::vector<std::int64_t>());
  if (tensor.shape.size() <= TensorFile::kMaxDimensions) {
    std::int64_t product = 1;
    for (const std::int64_t size : tensor.shape) {
      if (size < 0 || __builtin_mul_overflow(product, std::max<std::int64_t>(size, 1), &product))
        return Damaged();
    }
    tensor.strides = RowMajor(tensor.shape);
  }
  const absl::Status inside = CheckInside(tensor);
  if (!inside.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("holds tensor {}, which {}", name, std::string(inside.message())));
  }
  return std::pair(std::move(name), std::move(tensor));
}

// The name that the node gives to its anonymous inputs.
void NameInputs(std::span<const std::byte> bytes, std::map<std::string, std::string>& names) {
  Message message(bytes);
  std::string node;
  std::vector<std::string> inputs;
  for (Field field; message.Next(field);) {
    if (field.number == kNodeInput) inputs.push_back(Text(field.bytes));
    if (field.number == kNodeName) node = Text(field.bytes);
  }
  if (node.starts_with('/')) node.erase(0, 1);
  std::replace(node.begin(), node.end(), '/', '.');
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].starts_with("onnx::")) names.emplace(inputs[i], fmt::format("{}.input{}", node, i));
  }
}

}  // namespace

absl::StatusOr<TensorSource> OpenOnnx(std::shared_ptr<const MappedFile> file) {
  TensorSource source{file->path(), "ONNX", {}, {file}};
  std::span<const std::byte> graph;
  Message model(file->bytes());
  for (Field field; model.Next(field);) {
    if (field.number == kModelGraph) graph = field.bytes;
  }
  if (!model.ok() || graph.empty()) return Damaged();
  std::map<std::string, std::string> names;
  std::vector<std::pair<std::string, SourceTensor>> tensors;
  Message fields(graph);
  for (Field field; fields.Next(field);) {
    if (field.number == kGraphNode) NameInputs(field.bytes, names);
    if (field.number != kGraphInitializer) continue;
    FILO_ASSIGN_OR_RETURN(auto tensor, ReadTensor(field.bytes));
    tensors.push_back(std::move(tensor));
  }
  if (!fields.ok()) return Damaged();
  for (auto& [name, tensor] : tensors) {
    const auto better = names.find(name);
    const std::string& chosen = better == names.end() ? name : better->second;
    if (!source.tensors.emplace(chosen, std::move(tensor)).second) {
      return absl::InvalidArgumentError(fmt::format("names tensor {} twice", chosen));
    }
  }
  return source;
}

}  // namespace filo::bundle::importer
