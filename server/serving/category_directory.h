// Where named categories come from.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/category/category.h"

namespace filo::serving {

struct ResolvedCategory {
  std::string id;             // "hazelnut"; empty for a category described in the request
  std::int64_t revision = 0;  // of the stored category; 0 for one described in the request
  category::Category category;
};

// Thread-safe.
class CategoryDirectory {
 public:
  virtual ~CategoryDirectory() = default;
  // kNotFound with the reason CATEGORY_NOT_FOUND; kUnavailable when the store is away and the category is not
  // known.
  virtual absl::StatusOr<ResolvedCategory> Find(std::string_view id) const = 0;
};

// True for 1 to 63 of a-z, 0-9 and "-", beginning with a letter.
bool IsCategoryId(std::string_view id);

// A fixed set of categories, read from a file once.
class FixedCategories : public CategoryDirectory {
 public:
  FixedCategories() = default;
  explicit FixedCategories(std::map<std::string, category::Category, std::less<>> categories)
      : categories_(std::move(categories)) {}
  // JSON: {"hazelnut": {"class_name": "hazelnut", "descriptions": ["crack in the shell", ...]}, ...}. Errors
  // name the file, the category and the key.
  static absl::StatusOr<FixedCategories> Read(const std::string& path);

  // Adds those of `other`; one with the same id replaces ours.
  void Add(const FixedCategories& other);
  absl::StatusOr<ResolvedCategory> Find(std::string_view id) const override;
  std::size_t size() const { return categories_.size(); }

 private:
  std::map<std::string, category::Category, std::less<>> categories_;
};

// The classes of MVTec AD and VisA ("hazelnut", "metal-nut", "pcb1", …), described by the built-in library.
FixedCategories BuiltInCategories();

}  // namespace filo::serving
