#include "server/bundle/importer/pickle.h"

#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "fmt/format.h"
#include "server/base/status.h"
#include "server/bundle/strict_json.h"

namespace filo::bundle::importer {
namespace {

using Kind = PickleValue::Kind;

constexpr std::size_t kLongest = 64u << 20;       // the largest published one has 1 MB
constexpr std::size_t kMostValues = 2u << 20;     // and 50,000 values
constexpr std::size_t kMostItems = 8u << 20;      // in all containers together
constexpr std::size_t kMostArguments = 4u << 10;  // of one call

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(fmt::format("holds a pickle that {}", what));
}
absl::Status Damaged() { return Bad("is damaged or cut off"); }

std::optional<DType> StorageType(std::string_view name) {
  static const std::map<std::string_view, DType> kTypes{
      {"torch.FloatStorage", DType::kF32},     {"torch.HalfStorage", DType::kF16},
      {"torch.BFloat16Storage", DType::kBF16}, {"torch.DoubleStorage", DType::kF64},
      {"torch.LongStorage", DType::kI64},      {"torch.IntStorage", DType::kI32},
      {"torch.ShortStorage", DType::kI16},     {"torch.CharStorage", DType::kI8},
      {"torch.ByteStorage", DType::kU8},       {"torch.BoolStorage", DType::kBool}};
  const auto found = kTypes.find(name);
  return found == kTypes.end() ? std::nullopt : std::optional(found->second);
}

// The names that may occur. Classes of TorchScript modules are plain holders of attributes.
bool NameIsKnown(std::string_view name) {
  constexpr std::array<std::string_view, 13> kKnown{
      "collections.OrderedDict",
      "torch._utils._rebuild_tensor",
      "torch._utils._rebuild_tensor_v2",
      "torch._utils._rebuild_parameter",
      "torch.Size",
      "torch.device",
      "torch.jit._pickle.build_intlist",
      "torch.jit._pickle.build_tensorlist",
      "torch.jit._pickle.build_doublelist",
      "torch.jit._pickle.build_boollist",
      "torch.jit._pickle.restore_type_tag",
      "torch.nn.parameter.Parameter",
      "torch.float32"};  // torch.float32 occurs in configurations beside the tensors
  for (const std::string_view known : kKnown) {
    if (name == known) return true;
  }
  return name.starts_with("__torch__.") || StorageType(name).has_value();
}

class Machine {
 public:
  explicit Machine(std::span<const std::byte> bytes)
      : rest_(bytes.first(std::min(bytes.size(), kLongest))), all_(rest_.size()) {}

  absl::StatusOr<Pickle> Run() {
    for (;;) {
      std::uint8_t opcode = 0;
      if (!Get(opcode)) return Damaged();
      if (opcode == '.') break;
      FILO_RETURN_IF_ERROR(Step(opcode));
      if (pickle_.values.size() > kMostValues || items_ > kMostItems || stack_.size() > kMostItems) {
        return Bad("has more values than any file of tensors");
      }
    }
    if (stack_.size() != 1) return Damaged();
    pickle_.root = stack_.back();
    pickle_.bytes = all_ - rest_.size();
    return std::move(pickle_);
  }

 private:
  template <typename T>
  bool Get(T& value) {
    if (rest_.size() < sizeof value) return false;
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_ = rest_.subspan(sizeof value);
    return true;
  }
  bool Take(std::uint64_t count, std::string& text) {
    if (count > rest_.size()) return false;
    text.assign(reinterpret_cast<const char*>(rest_.data()), count);
    rest_ = rest_.subspan(count);
    return true;
  }
  bool TakeLine(std::string& text) {
    const void* end = rest_.empty() ? nullptr : std::memchr(rest_.data(), '\n', rest_.size());
    if (end == nullptr) return false;
    const auto count = static_cast<std::size_t>(static_cast<const std::byte*>(end) - rest_.data());
    if (!Take(count, text)) return false;
    rest_ = rest_.subspan(1);
    return true;
  }

  PickleValue& Push(Kind kind) {
    pickle_.values.emplace_back();
    pickle_.values.back().kind = kind;
    stack_.push_back(static_cast<PickleRef>(pickle_.values.size() - 1));
    return pickle_.values.back();
  }
  bool Pop(PickleRef& ref) {
    if (stack_.empty() || At(stack_.back()).kind == Kind::kMark) return false;
    ref = stack_.back();
    stack_.pop_back();
    return true;
  }
  // Everything above the topmost mark, and the mark, removed.
  bool PopMark(std::vector<PickleRef>& items) {
    std::size_t at = stack_.size();
    while (at > 0 && At(stack_[at - 1]).kind != Kind::kMark) --at;
    if (at == 0) return false;
    items.assign(stack_.begin() + static_cast<std::ptrdiff_t>(at), stack_.end());
    stack_.resize(at - 1);
    return true;
  }
  PickleValue& At(PickleRef ref) { return pickle_.values[ref]; }

  absl::Status Text(std::uint64_t bytes) {
    std::string text;
    if (!Take(bytes, text)) return Damaged();
    Push(Kind::kText).text = std::move(text);
    return absl::OkStatus();
  }
  template <typename Length>
  absl::Status CountedText() {
    Length length{};
    return Get(length) ? Text(length) : Damaged();
  }
  template <typename T>
  absl::Status Integer() {
    T value{};
    if (!Get(value)) return Damaged();
    Push(Kind::kInt).integer = value;
    return absl::OkStatus();
  }
  absl::Status Name(std::string name) {
    if (!NameIsKnown(name)) {
      return Bad(fmt::format(
          "names {}; only tensors and plain containers are read, and nothing is ever executed", Shown(name)));
    }
    Push(Kind::kName).text = std::move(name);
    return absl::OkStatus();
  }
  absl::Status Tuple(std::size_t count) {
    std::vector<PickleRef> items(count);
    for (std::size_t i = count; i-- > 0;) {
      if (!Pop(items[i])) return Damaged();
    }
    Push(Kind::kTuple).items = std::move(items);
    return absl::OkStatus();
  }
  absl::Status Remember(std::uint32_t slot) {
    if (stack_.empty()) return Damaged();
    memo_[slot] = stack_.back();
    return absl::OkStatus();
  }
  absl::Status Recall(std::uint32_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) return Damaged();
    stack_.push_back(found->second);
    return absl::OkStatus();
  }
  template <typename Slot>
  absl::Status RememberAt() {
    Slot slot{};
    return Get(slot) ? Remember(slot) : Damaged();
  }
  template <typename Slot>
  absl::Status RecallFrom() {
    Slot slot{};
    return Get(slot) ? Recall(slot) : Damaged();
  }
  // Adds to the container below the mark (or below the single items).
  absl::Status Extend(Kind kind, std::vector<PickleRef> items) {
    if (stack_.empty() || (kind == Kind::kDict && items.size() % 2 != 0)) return Damaged();
    PickleValue& container = At(stack_.back());
    if (container.kind != kind && !(kind == Kind::kDict && container.kind == Kind::kObject)) return Damaged();
    items_ += items.size();
    container.items.insert(container.items.end(), items.begin(), items.end());
    return absl::OkStatus();
  }

  bool IntList(PickleRef ref, std::vector<std::int64_t>& list) {
    const PickleValue& value = At(ref);
    if (value.kind != Kind::kTuple && value.kind != Kind::kList) return false;
    if (value.items.size() > TensorFile::kMaxDimensions) return false;
    for (const PickleRef item : value.items) {
      if (At(item).kind != Kind::kInt) return false;
      list.push_back(At(item).integer);
    }
    return true;
  }

  // ("storage", type, key, location, elements[, view]) -> storage.
  absl::Status PersistentId() {
    PickleRef id = 0;
    if (!Pop(id)) return Damaged();
    const std::vector<PickleRef> items = At(id).items;
    if (At(id).kind != Kind::kTuple || items.size() < 5 || At(items[0]).text != "storage" ||
        At(items[1]).kind != Kind::kName || At(items[2]).kind != Kind::kText ||
        At(items[4]).kind != Kind::kInt) {
      return Bad("refers to something that is no tensor storage");
    }
    const auto type = StorageType(At(items[1]).text);
    if (!type) return Bad(fmt::format("has a storage of type {}", Shown(At(items[1]).text)));
    if (items.size() > 5 && At(items[5]).kind != Kind::kNone)
      return Bad("has a storage that is a view of another");
    const std::string key = At(items[2]).text;
    const std::int64_t elements = At(items[4]).integer;
    PickleValue& storage = Push(Kind::kStorage);
    storage.dtype = *type;
    storage.text = key;
    storage.integer = elements;
    return absl::OkStatus();
  }

  absl::Status RebuildTensor(const std::vector<PickleRef>& arguments) {
    PickleValue tensor;
    tensor.kind = Kind::kTensor;
    if (arguments.size() < 4 || At(arguments[0]).kind != Kind::kStorage ||
        At(arguments[1]).kind != Kind::kInt || !IntList(arguments[2], tensor.shape) ||
        !IntList(arguments[3], tensor.strides)) {
      return Bad("has a tensor that is described wrongly");
    }
    tensor.storage = arguments[0];
    tensor.integer = At(arguments[1]).integer;
    Push(Kind::kTensor) = std::move(tensor);
    return absl::OkStatus();
  }

  // What calling `name` with `arguments` would have given.
  absl::Status Reduce() {
    PickleRef arguments_ref = 0, callable = 0;
    if (!Pop(arguments_ref) || !Pop(callable) || At(callable).kind != Kind::kName ||
        At(arguments_ref).kind != Kind::kTuple || At(arguments_ref).items.size() > kMostArguments) {
      return Damaged();
    }
    const std::string name = At(callable).text;
    const std::vector<PickleRef> arguments = At(arguments_ref).items;
    if (name == "torch._utils._rebuild_tensor" || name == "torch._utils._rebuild_tensor_v2")
      return RebuildTensor(arguments);
    if (name == "collections.OrderedDict") return OrderedDict(arguments);
    if (name.starts_with("__torch__.")) {
      Push(Kind::kObject);
      return absl::OkStatus();
    }
    const bool passes_through = name == "torch._utils._rebuild_parameter" || name == "torch.Size" ||
                                name == "torch.device" || name.starts_with("torch.jit._pickle.");
    if (!passes_through || arguments.empty()) return Bad(fmt::format("calls {}", Shown(name)));
    stack_.push_back(arguments[0]);
    return absl::OkStatus();
  }

  absl::Status OrderedDict(const std::vector<PickleRef>& arguments) {
    std::vector<PickleRef> items;
    if (!arguments.empty()) {  // a list of pairs
      for (const PickleRef pair : At(arguments[0]).items) {
        if (At(pair).items.size() != 2) return Damaged();
        items_ += 2;
        if (items_ > kMostItems) return Damaged();
        items.insert(items.end(), At(pair).items.begin(), At(pair).items.end());
      }
    }
    Push(Kind::kDict).items = std::move(items);
    return absl::OkStatus();
  }

  absl::Status Build() {
    PickleRef state = 0;
    if (!Pop(state) || stack_.empty()) return Damaged();
    PickleValue& object = At(stack_.back());
    if (object.kind == Kind::kObject && At(state).kind == Kind::kDict) object.items = {state};
    if (object.kind == Kind::kMark) return Damaged();
    return absl::OkStatus();  // of a dictionary: its attributes (_metadata), which say nothing about tensors
  }

  absl::Status Long() {
    std::uint8_t count = 0;
    std::string digits;
    if (!Get(count) || !Take(count, digits)) return Damaged();
    // Longer ones occur as PyTorch's magic number; only their low 63 bits are kept.
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < digits.size() && i < 8; ++i)
      value |= std::uint64_t{static_cast<std::uint8_t>(digits[i])} << (8 * i);
    if (!digits.empty() && digits.size() < 8 && (digits.back() & 0x80) != 0)
      value |= ~std::uint64_t{0} << (8 * digits.size());
    Push(Kind::kInt).integer = static_cast<std::int64_t>(value);
    return absl::OkStatus();
  }

  absl::Status Step(std::uint8_t opcode);

  std::span<const std::byte> rest_;
  std::size_t all_;
  std::size_t items_ = 0;
  Pickle pickle_;
  std::vector<PickleRef> stack_;
  std::unordered_map<std::uint32_t, PickleRef> memo_;
};

// One instruction; the letters are those of Python's pickletools.
absl::Status Machine::Step(std::uint8_t opcode) {
  std::uint8_t byte = 0;
  std::uint64_t eight = 0;
  std::vector<PickleRef> items;
  PickleRef one = 0, two = 0;
  switch (opcode) {
    case 0x80:  // PROTO
      return Get(byte) && byte <= 5 ? absl::OkStatus() : Bad("has an unknown protocol");
    case 0x95:  // FRAME
      return Get(eight) ? absl::OkStatus() : Damaged();
    case 'N':
      Push(Kind::kNone);
      return absl::OkStatus();
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      Push(Kind::kBool).integer = opcode == 0x88;
      return absl::OkStatus();
    case 'J':
      return Integer<std::int32_t>();
    case 'K':
      return Integer<std::uint8_t>();
    case 'M':
      return Integer<std::uint16_t>();
    case 0x8a:  // LONG1
      return Long();
    case 'G':  // BINFLOAT; the number itself is of no interest
      if (!Get(eight)) return Damaged();
      Push(Kind::kFloat);
      return absl::OkStatus();
    case 'X':  // BINUNICODE
    case 'T':  // BINSTRING
    case 'B':  // BINBYTES
      return CountedText<std::uint32_t>();
    case 0x8c:  // SHORT_BINUNICODE
    case 'U':   // SHORT_BINSTRING
    case 'C':   // SHORT_BINBYTES
      return CountedText<std::uint8_t>();
    case 0x8d:  // BINUNICODE8
      return CountedText<std::uint64_t>();
    case '(':
      Push(Kind::kMark);
      return absl::OkStatus();
    case '0':  // POP
      return Pop(one) ? absl::OkStatus() : Damaged();
    case ']':
      Push(Kind::kList);
      return absl::OkStatus();
    case '}':
      Push(Kind::kDict);
      return absl::OkStatus();
    case ')':
      return Tuple(0);
    case 0x85:  // TUPLE1..3
    case 0x86:
    case 0x87:
      return Tuple(opcode - 0x84u);
    case 't':
      if (!PopMark(items)) return Damaged();
      Push(Kind::kTuple).items = std::move(items);
      return absl::OkStatus();
    case 'a':  // APPEND
      return Pop(one) ? Extend(Kind::kList, {one}) : Damaged();
    case 'e':  // APPENDS
      return PopMark(items) ? Extend(Kind::kList, std::move(items)) : Damaged();
    case 's':  // SETITEM
      return Pop(two) && Pop(one) ? Extend(Kind::kDict, {one, two}) : Damaged();
    case 'u':  // SETITEMS
      return PopMark(items) ? Extend(Kind::kDict, std::move(items)) : Damaged();
    case 'q':
      return RememberAt<std::uint8_t>();
    case 'r':
      return RememberAt<std::uint32_t>();
    case 0x94:  // MEMOIZE
      return Remember(static_cast<std::uint32_t>(memo_.size()));
    case 'h':
      return RecallFrom<std::uint8_t>();
    case 'j':
      return RecallFrom<std::uint32_t>();
    case 'c': {  // GLOBAL
      std::string module, name;
      if (!TakeLine(module) || !TakeLine(name)) return Damaged();
      return Name(fmt::format("{}.{}", module, name));
    }
    case 0x93:  // STACK_GLOBAL
      if (!Pop(two) || !Pop(one) || At(one).kind != Kind::kText || At(two).kind != Kind::kText)
        return Damaged();
      return Name(fmt::format("{}.{}", At(one).text, At(two).text));
    case 'R':
    case 0x81:  // NEWOBJ
      return Reduce();
    case 'b':
      return Build();
    case 'Q':
      return PersistentId();
    default:
      return Bad(fmt::format("uses the instruction 0x{:02x}, which no file of tensors needs", opcode));
  }
}

}  // namespace

absl::StatusOr<Pickle> ReadPickle(std::span<const std::byte> bytes) { return Machine(bytes).Run(); }

}  // namespace filo::bundle::importer
