#include "server/bundle/tensor_file.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "nlohmann/json.hpp"
#include "server/base/status.h"
#include "server/bundle/strict_json.h"

namespace filo::bundle {
namespace {

using Json = nlohmann::json;

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<DTypeInfo, 10> kDTypes{{{DType::kBool, "BOOL", 1},
                                             {DType::kU8, "U8", 1},
                                             {DType::kI8, "I8", 1},
                                             {DType::kI16, "I16", 2},
                                             {DType::kI32, "I32", 4},
                                             {DType::kI64, "I64", 8},
                                             {DType::kF16, "F16", 2},
                                             {DType::kBF16, "BF16", 2},
                                             {DType::kF32, "F32", 4},
                                             {DType::kF64, "F64", 8}}};

constexpr std::size_t kLengthBytes = 8;  // before the JSON header
constexpr std::size_t kAlignment = 64;   // of the first tensor in files that we write
constexpr int kHeaderDepth = 3;          // file > tensor > shape
constexpr char kMetadataKey[] = "__metadata__";

const DTypeInfo& Info(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)]; }

// Elements times element size, or nothing if it does not fit.
std::optional<std::uint64_t> BytesOf(DType dtype, std::span<const std::int64_t> shape) {
  std::uint64_t bytes = DTypeBytes(dtype);
  bool empty = false;
  for (const std::int64_t size : shape) {
    if (size < 0) return std::nullopt;
    if (size == 0) {
      empty = true;
      continue;
    }
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) return std::nullopt;
  }
  if (bytes > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
  return empty ? 0 : bytes;
}

absl::StatusOr<std::int64_t> ParseSize(const Json& value) {
  if (!value.is_number_unsigned() ||
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return absl::InvalidArgumentError("is not a whole number from 0 to 2^63-1");
  }
  return value.get<std::int64_t>();
}

// One entry of the header; `data` is everything behind the header.
absl::StatusOr<TensorView> ParseTensor(const Json& entry, std::span<const std::byte> data) {
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets")) {
    return absl::InvalidArgumentError("must have dtype, shape and data_offsets, and nothing else");
  }
  TensorView view;
  const Json& dtype = entry["dtype"];
  const auto known = dtype.is_string() ? DTypeFromName(dtype.get<std::string>()) : std::nullopt;
  if (!known) {
    return absl::InvalidArgumentError(
        fmt::format("has dtype {}, which is not one of BOOL, U8, I8, I16, I32, I64, F16, BF16, F32, F64",
                    Shown(dtype.dump(-1, ' ', true, Json::error_handler_t::replace))));
  }
  view.dtype = *known;
  const Json& shape = entry["shape"];
  if (!shape.is_array() || shape.size() > TensorFile::kMaxDimensions) {
    return absl::InvalidArgumentError(
        fmt::format("has a shape that is not a list of at most {} sizes", TensorFile::kMaxDimensions));
  }
  for (const Json& size : shape) {
    const auto parsed = ParseSize(size);
    if (!parsed.ok()) return Annotate(parsed.status(), "has a shape with a size that");
    view.shape.push_back(*parsed);
  }
  const Json& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !ParseSize(offsets[0]).ok() ||
      !ParseSize(offsets[1]).ok()) {
    return absl::InvalidArgumentError("has data_offsets that are not two whole numbers");
  }
  const auto begin = offsets[0].get<std::uint64_t>();
  const auto end = offsets[1].get<std::uint64_t>();
  if (begin > end || end > data.size()) {
    return absl::InvalidArgumentError(
        fmt::format("has data_offsets [{}, {}], outside the {} bytes of data", begin, end, data.size()));
  }
  const auto wanted = BytesOf(view.dtype, view.shape);
  if (wanted != end - begin) {
    return absl::InvalidArgumentError(
        fmt::format("has {} bytes, but {} {} needs {}", end - begin, DTypeName(view.dtype),
                    ShapeText(view.shape), wanted ? fmt::to_string(*wanted) : "more than can be addressed"));
  }
  view.bytes = data.subspan(begin, end - begin);
  return view;
}

// Every byte of the data must belong to exactly one tensor.
absl::Status CheckCoverage(const TensorMap& tensors, std::span<const std::byte> data) {
  std::vector<const TensorMap::value_type*> order;
  for (const auto& entry : tensors) order.push_back(&entry);
  const auto begin = [&](const auto* entry) {
    return static_cast<std::uint64_t>(entry->second.bytes.data() - data.data());
  };
  std::sort(order.begin(), order.end(), [&](const auto* a, const auto* b) {
    return std::pair(begin(a), a->second.bytes.size()) < std::pair(begin(b), b->second.bytes.size());
  });
  std::uint64_t covered = 0;
  const TensorMap::value_type* last = nullptr;
  for (const auto* entry : order) {
    if (begin(entry) < covered) {
      return absl::InvalidArgumentError(
          fmt::format("tensors {} and {} overlap", Shown(last->first), Shown(entry->first)));
    }
    if (begin(entry) > covered) {
      return absl::InvalidArgumentError(fmt::format("{} bytes before tensor {} belong to no tensor",
                                                    begin(entry) - covered, Shown(entry->first)));
    }
    covered += entry->second.bytes.size();
    last = entry;
  }
  if (covered != data.size()) {
    return absl::InvalidArgumentError(
        fmt::format("{} bytes at its end belong to no tensor", data.size() - covered));
  }
  return absl::OkStatus();
}

}  // namespace

std::string_view DTypeName(DType dtype) { return Info(dtype).name; }

std::optional<DType> DTypeFromName(std::string_view name) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.name == name) return info.dtype;
  }
  return std::nullopt;
}

std::size_t DTypeBytes(DType dtype) { return Info(dtype).bytes; }

std::string ShapeText(std::span<const std::int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape.begin(), shape.end(), ", "));
}

std::int64_t TensorView::elements() const {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

absl::StatusOr<std::shared_ptr<const TensorFile>> TensorFile::Open(const std::string& path) {
  std::shared_ptr<TensorFile> file(new TensorFile);
  FILO_ASSIGN_OR_RETURN(file->file_, MappedFile::Open(path));
  const absl::Status parsed = file->Parse();
  if (!parsed.ok()) return Annotate(parsed, fmt::format("{} is not a usable safetensors file", path));
  return file;
}

absl::Status TensorFile::Parse() {
  const std::span<const std::byte> all = file_->bytes();
  if (all.size() < kLengthBytes) {
    return absl::InvalidArgumentError(fmt::format("it has only {} bytes", all.size()));
  }
  std::uint64_t length = 0;
  std::memcpy(&length, all.data(), kLengthBytes);
  if (length > kMaxHeaderBytes || length > all.size() - kLengthBytes) {
    return absl::InvalidArgumentError(
        fmt::format("its header would be {} bytes long; the file has {} and at most {} are allowed", length,
                    all.size() - kLengthBytes, kMaxHeaderBytes));
  }
  const std::string_view text(reinterpret_cast<const char*>(all.data()) + kLengthBytes, length);
  if (text.empty() || text.front() != '{')
    return absl::InvalidArgumentError("its header does not begin with {");
  const auto parsed = ParseStrictJson(text, kHeaderDepth);
  if (!parsed.ok())
    return absl::InvalidArgumentError(fmt::format("its header {}", std::string(parsed.status().message())));
  const Json& header = *parsed;
  const std::span<const std::byte> data = all.subspan(kLengthBytes + length);
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadataKey) {
      if (!entry.is_object()) return absl::InvalidArgumentError("__metadata__ is not an object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) {
          return absl::InvalidArgumentError(fmt::format("__metadata__.{} is not a string", Shown(key)));
        }
        metadata_[key] = value.get<std::string>();
      }
      continue;
    }
    auto view = ParseTensor(entry, data);
    if (!view.ok()) {
      return absl::InvalidArgumentError(
          fmt::format("tensor {} {}", Shown(name), std::string(view.status().message())));
    }
    tensors_.emplace(name, *std::move(view));
  }
  return CheckCoverage(tensors_, data);
}

absl::StatusOr<std::unique_ptr<TensorFileWriter>> TensorFileWriter::Create(
    const std::string& path, const Specs& tensors, const std::map<std::string, std::string>& metadata) {
  std::vector<const Specs::value_type*> order;
  for (const auto& entry : tensors) {
    if (entry.first == kMetadataKey || entry.second.shape.size() > TensorFile::kMaxDimensions ||
        !BytesOf(entry.second.dtype, entry.second.shape)) {
      return absl::InvalidArgumentError(fmt::format("{}: tensor {} {} cannot be stored", path,
                                                    Shown(entry.first), ShapeText(entry.second.shape)));
    }
    order.push_back(&entry);
  }
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return DTypeBytes(a->second.dtype) > DTypeBytes(b->second.dtype);
  });
  Json header = Json::object();
  if (!metadata.empty()) header[kMetadataKey] = metadata;
  std::unique_ptr<TensorFileWriter> writer(new TensorFileWriter);
  std::uint64_t offset = 0;
  for (const auto* entry : order) {
    const auto& [dtype, shape] = entry->second;
    const std::uint64_t bytes = *BytesOf(dtype, shape);
    header[entry->first] = {
        {"dtype", DTypeName(dtype)}, {"shape", shape}, {"data_offsets", {offset, offset + bytes}}};
    writer->slots_[entry->first] = {offset, bytes};
    offset += bytes;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const Json::exception&) {
    return absl::InvalidArgumentError(fmt::format("{}: a tensor name or metadata is not UTF-8", path));
  }
  text.append((kAlignment - (kLengthBytes + text.size()) % kAlignment) % kAlignment, ' ');
  if (text.size() > TensorFile::kMaxHeaderBytes) {
    return absl::InvalidArgumentError(
        fmt::format("{}: the header would be {} bytes long", path, text.size()));
  }
  for (auto& [name, slot] : writer->slots_) slot.offset += kLengthBytes + text.size();
  writer->path_ = path;
  FILO_ASSIGN_OR_RETURN(writer->file_, AtomicFile::Create(path));
  const std::uint64_t length = text.size();
  FILO_RETURN_IF_ERROR(writer->file_->WriteAt(0, std::as_bytes(std::span(&length, 1))));
  FILO_RETURN_IF_ERROR(writer->file_->WriteAt(kLengthBytes, std::as_bytes(std::span(text))));
  return writer;
}

absl::Status TensorFileWriter::Write(std::string_view name, std::span<const std::byte> bytes) {
  const auto slot = slots_.find(name);
  if (slot == slots_.end()) {
    return absl::InvalidArgumentError(fmt::format("{}: tensor {} was not announced", path_, Shown(name)));
  }
  if (bytes.size() != slot->second.bytes) {
    return absl::InvalidArgumentError(fmt::format("{}: tensor {} has {} bytes; its shape needs {}", path_,
                                                  Shown(name), bytes.size(), slot->second.bytes));
  }
  if (!written_.insert(std::string(name)).second) {
    return absl::InvalidArgumentError(fmt::format("{}: tensor {} is written twice", path_, Shown(name)));
  }
  return file_->WriteAt(slot->second.offset, bytes);
}

absl::Status TensorFileWriter::Finish() {
  for (const auto& [name, slot] : slots_) {
    if (!written_.contains(name)) {
      return absl::FailedPreconditionError(
          fmt::format("{}: tensor {} was never written", path_, Shown(name)));
    }
  }
  return file_->Commit();
}

absl::Status WriteTensorFile(const std::string& path, const TensorMap& tensors,
                             const std::map<std::string, std::string>& metadata) {
  TensorFileWriter::Specs specs;
  for (const auto& [name, view] : tensors) specs[name] = {view.dtype, view.shape};
  FILO_ASSIGN_OR_RETURN(const std::unique_ptr<TensorFileWriter> writer,
                        TensorFileWriter::Create(path, specs, metadata));
  for (const auto& [name, view] : tensors) FILO_RETURN_IF_ERROR(writer->Write(name, view.bytes));
  return writer->Finish();
}

}  // namespace filo::bundle
