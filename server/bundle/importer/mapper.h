// From the tensors of a published file to those of a bundle, with the books kept: every source tensor is
// used, compared as a duplicate, known to be unneeded, or an error that names it.
//
// An importer first states where each bundle tensor comes from; Check then compares shapes; Write streams the
// result one tensor at a time. Not thread-safe.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/bundle/expected_tensors.h"
#include "server/bundle/importer/tensor_source.h"
#include "server/bundle/tensor_file.h"

namespace filo::bundle::importer {

// How one bundle tensor is computed.
struct Recipe {
  std::vector<std::string> sources;  // names, for errors
  std::vector<SourceTensor> pieces;  // joined along the first axis
  std::vector<std::int64_t> shape;   // of the result; as many elements as the pieces
  // Row i of the result is multiplied by row_scale[i] (LayerScale). Computed in double, rounded once.
  std::optional<SourceTensor> row_scale;
  // Added to every row from 1 on (the bias of the patches, beside the class token's row 0).
  std::optional<SourceTensor> add_to_patches;
};

class Mapper {
 public:
  // `prefix` stands before every name that is asked for ("model.", "module."). `source` must outlive the
  // mapper.
  Mapper(const TensorSource& source, std::string prefix) : source_(source), prefix_(std::move(prefix)) {}

  bool Has(std::string_view name) const;
  // Shape of a source tensor, empty if absent.
  std::vector<std::int64_t> ShapeOf(std::string_view name) const;
  // One more than the largest K for which a name "<before>K<anything>" exists.
  int Count(std::string_view before) const;
  // All names (without the prefix) that begin with `beginning`.
  std::vector<std::string> Names(std::string_view beginning) const;

  // The tensor, marked as used; absent: noted as missing for `target` and null.
  const SourceTensor* Use(const std::string& name, const std::string& target);

  void Copy(const std::string& target, const std::string& name);
  void Transpose(const std::string& target, const std::string& name);  // of two axes
  void Stack(const std::string& target, const std::vector<std::string>& names);
  void Put(const std::string& target, Recipe recipe);

  // `name` must hold the same numbers as the bundle tensor `target`, rows [begin, begin + its own rows) if it
  // has fewer; compared by Write. Absent is fine.
  void Duplicate(const std::string& name, const std::string& target);
  // Known and not needed: a buffer, a counter, a part that nothing reads. Absent is fine.
  void Ignore(const std::string& name);
  void IgnoreAll(std::string_view beginning);
  // The same for names without the prefix: parts of the file beside the one that is imported.
  void IgnoreOutside(std::string_view beginning);

  // Everything that does not fit, each beginning with a tensor's name; empty if all is well.
  std::vector<std::string> Check(const Shapes& expected) const;

  const std::map<std::string, Recipe>& recipes() const { return recipes_; }
  const std::map<std::string, std::string>& duplicates() const { return duplicates_; }
  const TensorSource& source() const { return source_; }
  const std::string& prefix() const { return prefix_; }

 private:
  std::string Full(std::string_view name) const { return prefix_ + std::string(name); }

  const TensorSource& source_;
  std::string prefix_;
  std::map<std::string, Recipe> recipes_;
  std::map<std::string, std::string> duplicates_;  // full source name -> target
  std::set<std::string, std::less<>> used_;
  std::map<std::string, std::string> missing_;  // full source name -> target
};

// The stored type of a result: that of its pieces, or `wanted`.
DType ResultType(const Recipe& recipe, std::optional<DType> wanted);

// Computes one result. kInvalidArgument naming the source tensor for values that are not finite or do not fit
// the type.
absl::StatusOr<std::vector<std::byte>> Compute(const Recipe& recipe, DType type);

// "is different from ..." if the duplicate does not hold the same numbers as the recipe's result; OK if it
// does.
absl::Status CompareDuplicate(const SourceTensor& duplicate, const Recipe& recipe);

// Writes the results of all mappers into one safetensors file. Duplicates are looked for in their own mapper,
// then in `references` (the copy of CLIP in FiLo's file). kInvalidArgument listing every tensor with bad
// values or a differing duplicate. `progress` (may be null) is called before each tensor with (done, all,
// name).
using Progress = std::function<void(std::size_t, std::size_t, std::string_view)>;
absl::Status WriteMapped(const std::string& path, const std::vector<const Mapper*>& mappers,
                         const std::vector<const Mapper*>& references, std::optional<DType> type,
                         const Progress& progress);

}  // namespace filo::bundle::importer
