// Reads Python pickles as data. Nothing is imported and nothing is called: the few names that PyTorch's files
// need are recognised by their text, every other name is an error that tells it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/bundle/tensor_file.h"

namespace filo::bundle::importer {

// What a pickle may contain, as an index into Pickle::values. Values may refer to each other in circles.
using PickleRef = std::uint32_t;

struct PickleValue {
  enum class Kind {
    kNone,
    kBool,
    kInt,
    kFloat,
    kText,
    kMark,
    kList,
    kTuple,
    kDict,
    kName,
    kStorage,
    kTensor,
    kObject
  };
  Kind kind = Kind::kNone;
  std::int64_t integer = 0;  // kBool, kInt; kStorage: elements; kTensor: offset in elements
  std::string text;          // kText; kName: "module.name"; kStorage: key
  std::vector<PickleRef>
      items;  // kList, kTuple; kDict: key, value, key, value, ...; kObject: its attributes, one kDict
  DType dtype = DType::kF32;                 // kStorage
  PickleRef storage = 0;                     // kTensor
  std::vector<std::int64_t> shape, strides;  // kTensor
};

struct Pickle {
  std::deque<PickleValue> values;
  PickleRef root = 0;
  std::size_t bytes = 0;  // how far the pickle reaches

  const PickleValue& operator[](PickleRef ref) const { return values[ref]; }
};

// Reads the pickle at the start of `bytes`. Memory is proportional to its length. kInvalidArgument continuing
// a sentence that begins with the file's name: "holds a pickle that names os.system; ...".
absl::StatusOr<Pickle> ReadPickle(std::span<const std::byte> bytes);

}  // namespace filo::bundle::importer
