#include "server/bundle/importer/mapper.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "server/base/status.h"
#include "server/bundle/float_convert.h"

namespace filo::bundle::importer {
namespace {

std::string SourceText(const Recipe& recipe) { return fmt::format("{}", fmt::join(recipe.sources, " + ")); }

std::vector<double> ToDoubles(const SourceTensor& tensor) {
  const std::vector<std::byte> bytes = Gather(tensor);
  const std::size_t size = DTypeBytes(tensor.dtype);
  std::vector<double> values(bytes.size() / size);
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = LoadFloat(tensor.dtype, bytes.data() + i * size);
  return values;
}

std::vector<std::byte> Joined(const Recipe& recipe) {
  if (recipe.pieces.size() == 1) return Gather(recipe.pieces[0]);
  std::vector<std::byte> all;
  for (const SourceTensor& piece : recipe.pieces) {
    const std::vector<std::byte> bytes = Gather(piece);
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

// Row scale and patch bias, in double.
std::vector<std::byte> Folded(const Recipe& recipe, std::span<const std::byte> joined) {
  const DType dtype = recipe.pieces[0].dtype;
  const std::size_t size = DTypeBytes(dtype);
  const std::size_t count = joined.size() / size;
  const std::size_t rows = static_cast<std::size_t>(recipe.shape[0]);
  const std::size_t columns = count / rows;
  const std::vector<double> scale =
      recipe.row_scale ? ToDoubles(*recipe.row_scale) : std::vector<double>(rows, 1.0);
  const std::vector<double> add =
      recipe.add_to_patches ? ToDoubles(*recipe.add_to_patches) : std::vector<double>(columns, 0.0);
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = i / columns;
    values[i] = LoadFloat(dtype, joined.data() + i * size) * scale[row] + (row > 0 ? add[i % columns] : 0.0);
  }
  std::vector<std::byte> bytes(count * sizeof(double));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

bool IsFolded(const Recipe& recipe) {
  return recipe.row_scale.has_value() || recipe.add_to_patches.has_value();
}

const Recipe* FindRecipe(const Mapper& own, const std::vector<const Mapper*>& references,
                         const std::string& target) {
  const auto found = own.recipes().find(target);
  if (found != own.recipes().end()) return &found->second;
  for (const Mapper* reference : references) {
    const auto there = reference->recipes().find(target);
    if (there != reference->recipes().end()) return &there->second;
  }
  return nullptr;
}

}  // namespace

bool Mapper::Has(std::string_view name) const { return source_.tensors.contains(Full(name)); }

std::vector<std::int64_t> Mapper::ShapeOf(std::string_view name) const {
  const auto found = source_.tensors.find(Full(name));
  return found == source_.tensors.end() ? std::vector<std::int64_t>() : found->second.shape;
}

int Mapper::Count(std::string_view before) const {
  int count = 0;
  for (const std::string& name : Names(before)) {
    int index = 0;
    const char* digits = name.data() + before.size();
    if (std::from_chars(digits, name.data() + name.size(), index).ec == std::errc() && index >= 0 &&
        index < 1024) {
      count = std::max(count, index + 1);
    }
  }
  return count;
}

std::vector<std::string> Mapper::Names(std::string_view beginning) const {
  std::vector<std::string> names;
  const std::string full = Full(beginning);
  for (auto it = source_.tensors.lower_bound(full);
       it != source_.tensors.end() && it->first.starts_with(full); ++it) {
    names.push_back(it->first.substr(prefix_.size()));
  }
  return names;
}

const SourceTensor* Mapper::Use(const std::string& name, const std::string& target) {
  const auto found = source_.tensors.find(Full(name));
  if (found == source_.tensors.end()) {
    missing_[Full(name)] = target;
    return nullptr;
  }
  used_.insert(found->first);
  return &found->second;
}

void Mapper::Copy(const std::string& target, const std::string& name) {
  if (const SourceTensor* tensor = Use(name, target))
    Put(target, {{Full(name)}, {*tensor}, tensor->shape, {}, {}});
}

void Mapper::Transpose(const std::string& target, const std::string& name) {
  const SourceTensor* tensor = Use(name, target);
  if (tensor == nullptr) return;
  if (tensor->shape.size() != 2) return Put(target, {{Full(name)}, {*tensor}, tensor->shape, {}, {}});
  const SourceTensor turned = Permuted(*tensor, std::array<std::size_t, 2>{1, 0});
  Put(target, {{Full(name)}, {turned}, turned.shape, {}, {}});
}

void Mapper::Stack(const std::string& target, const std::vector<std::string>& names) {
  Recipe recipe;
  for (const std::string& name : names) {
    const SourceTensor* tensor = Use(name, target);
    if (tensor == nullptr) continue;
    recipe.sources.push_back(Full(name));
    recipe.pieces.push_back(*tensor);
  }
  if (recipe.pieces.size() != names.size()) return;
  recipe.shape = recipe.pieces[0].shape;
  bool fits = !recipe.shape.empty();
  for (std::size_t i = 1; i < recipe.pieces.size() && fits; ++i) {
    fits = recipe.pieces[i].shape == recipe.pieces[0].shape;
    recipe.shape[0] += recipe.pieces[0].shape[0];
  }
  if (!fits) recipe.shape = {-1};  // Check reports it: the three differ in shape
  Put(target, std::move(recipe));
}

void Mapper::Put(const std::string& target, Recipe recipe) { recipes_[target] = std::move(recipe); }

void Mapper::Duplicate(const std::string& name, const std::string& target) {
  if (!Has(name)) return;
  used_.insert(Full(name));
  duplicates_[Full(name)] = target;
}

void Mapper::Ignore(const std::string& name) { used_.insert(Full(name)); }

void Mapper::IgnoreAll(std::string_view beginning) {
  for (const std::string& name : Names(beginning)) Ignore(name);
}

void Mapper::IgnoreOutside(std::string_view beginning) {
  for (const auto& [name, tensor] : source_.tensors) {
    if (name.starts_with(beginning)) used_.insert(name);
  }
}

std::vector<std::string> Mapper::Check(const Shapes& expected) const {
  std::vector<std::string> problems;
  const auto wanted = [&](const std::string& target) {
    const auto found = expected.find(target);
    return found == expected.end() ? std::string("no such tensor") : ShapeText(found->second);
  };
  for (const auto& [name, target] : missing_) {
    problems.push_back(fmt::format("{} is missing: it gives {} {}", name, target, wanted(target)));
  }
  for (const auto& [target, recipe] : recipes_) {
    const auto found = expected.find(target);
    std::vector<std::string> shapes;
    for (const SourceTensor& piece : recipe.pieces) shapes.push_back(ShapeText(piece.shape));
    if (found == expected.end()) {
      problems.push_back(
          fmt::format("{} {} belongs to no part of this model", SourceText(recipe), fmt::join(shapes, ", ")));
    } else if (recipe.shape != found->second) {
      problems.push_back(fmt::format("{} has shape {}, which gives {} for {}; it must be {}",
                                     SourceText(recipe), fmt::join(shapes, ", "), ShapeText(recipe.shape),
                                     target, wanted(target)));
    }
    for (const SourceTensor& piece : recipe.pieces) {
      if (!IsFloat(piece.dtype) || piece.dtype != recipe.pieces[0].dtype) {
        problems.push_back(fmt::format("{} has type {}; it must be one floating-point type",
                                       SourceText(recipe), DTypeName(piece.dtype)));
        break;
      }
    }
    const std::int64_t rows = recipe.shape.empty() ? 1 : recipe.shape[0];
    if (recipe.row_scale && recipe.row_scale->elements() != rows) {
      problems.push_back(fmt::format("{} has a scale of {} values for {} rows", SourceText(recipe),
                                     recipe.row_scale->elements(), rows));
    }
    if (recipe.add_to_patches &&
        (recipe.shape.size() != 2 || recipe.add_to_patches->elements() != recipe.shape[1])) {
      problems.push_back(fmt::format("{} has a patch bias of {} values", SourceText(recipe),
                                     recipe.add_to_patches->elements()));
    }
  }
  std::set<std::string> reported;
  for (const auto& [name, target] : missing_) reported.insert(target);
  for (const auto& [target, shape] : expected) {
    if (!recipes_.contains(target) && !reported.contains(target)) {
      problems.push_back(fmt::format("{} {} has no source in this file", target, ShapeText(shape)));
    }
  }
  for (const auto& [name, tensor] : source_.tensors) {
    if (!used_.contains(name)) {
      problems.push_back(fmt::format("{} {} is not known: it belongs to no part of this model", name,
                                     ShapeText(tensor.shape)));
    }
  }
  return problems;
}

DType ResultType(const Recipe& recipe, std::optional<DType> wanted) {
  return wanted.value_or(recipe.pieces[0].dtype);
}

absl::StatusOr<std::vector<std::byte>> Compute(const Recipe& recipe, DType type) {
  const std::vector<std::byte> joined = Joined(recipe);
  auto converted = IsFolded(recipe) ? ConvertFloats(DType::kF64, Folded(recipe, joined), type)
                                    : ConvertFloats(recipe.pieces[0].dtype, joined, type);
  if (!converted.ok()) {
    return absl::InvalidArgumentError(
        fmt::format("{} {}", SourceText(recipe), std::string(converted.status().message())));
  }
  return converted;
}

absl::Status CompareDuplicate(const SourceTensor& duplicate, const Recipe& recipe) {
  if (!IsFloat(duplicate.dtype)) return absl::InvalidArgumentError("is not of a floating-point type");
  const std::vector<double> copy = ToDoubles(duplicate);
  std::vector<double> original;
  for (const SourceTensor& piece : recipe.pieces) {
    const std::vector<double> values = ToDoubles(piece);
    original.insert(original.end(), values.begin(), values.end());
  }
  if (copy.size() != original.size()) {
    return absl::InvalidArgumentError(fmt::format("has shape {} but is a copy of {} {}",
                                                  ShapeText(duplicate.shape), SourceText(recipe),
                                                  ShapeText(recipe.shape)));
  }
  double worst = 0;
  for (std::size_t i = 0; i < copy.size(); ++i) {
    const double difference = std::fabs(copy[i] - original[i]);
    worst = difference > worst || std::isnan(difference) ? difference : worst;
    if (std::isnan(worst)) break;
  }
  if (worst == 0) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format(
      "differs from {}, of which it should be a copy, by up to {:.3g}", SourceText(recipe), worst));
}

absl::Status WriteMapped(const std::string& path, const std::vector<const Mapper*>& mappers,
                         const std::vector<const Mapper*>& references, std::optional<DType> type,
                         const Progress& progress) {
  TensorFileWriter::Specs specs;
  std::size_t all = 0;
  for (const Mapper* mapper : mappers) {
    for (const auto& [target, recipe] : mapper->recipes())
      specs[target] = {ResultType(recipe, type), recipe.shape};
    all += mapper->recipes().size() + mapper->duplicates().size();
  }
  FILO_ASSIGN_OR_RETURN(const auto writer, TensorFileWriter::Create(path, specs, {}));
  std::vector<std::string> problems;
  std::size_t done = 0;
  for (const Mapper* mapper : mappers) {
    for (const auto& [target, recipe] : mapper->recipes()) {
      if (progress) progress(done++, all, target);
      const auto bytes = Compute(recipe, specs.at(target).dtype);
      if (!bytes.ok()) {
        problems.emplace_back(bytes.status().message());
        continue;
      }
      FILO_RETURN_IF_ERROR(writer->Write(target, *bytes));
    }
    for (const auto& [name, target] : mapper->duplicates()) {
      if (progress) progress(done++, all, name);
      const Recipe* recipe = FindRecipe(*mapper, references, target);
      const absl::Status same =
          recipe == nullptr
              ? absl::InvalidArgumentError(fmt::format("is a copy of {}, which is missing", target))
              : CompareDuplicate(mapper->source().tensors.at(name), *recipe);
      if (!same.ok()) problems.push_back(fmt::format("{} {}", name, std::string(same.message())));
    }
  }
  if (!problems.empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{} tensors are bad: {}", problems.size(), fmt::join(problems, "; ")));
  }
  return writer->Finish();
}

}  // namespace filo::bundle::importer
