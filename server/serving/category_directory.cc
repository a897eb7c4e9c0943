#include "server/serving/category_directory.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "server/base/status.h"
#include "server/category/description_library.h"
#include "server/serving/errors.h"

namespace filo::serving {
namespace {

absl::Status ReadList(const nlohmann::json& value, const std::string& field, std::vector<std::string>* out) {
  if (!value.is_array()) return FieldError(field, value.dump(), "be a list of texts");
  for (const auto& item : value) {
    if (!item.is_string()) return FieldError(field, item.dump(), "be a list of texts");
    out->push_back(item.get<std::string>());
  }
  return absl::OkStatus();
}

absl::StatusOr<category::Category> ReadCategory(const std::string& id, const nlohmann::json& value,
                                                const std::string& field) {
  if (!value.is_object())
    return FieldError(field, value.dump(), "be an object with class_name and descriptions");
  category::Category out;
  out.name = id;
  for (const auto& [key, item] : value.items()) {
    const std::string path = fmt::format("{}.{}", field, key);
    if (key == "class_name") {
      if (!item.is_string()) return FieldError(path, item.dump(), "be a text");
      out.class_name = item.get<std::string>();
    } else if (key == "descriptions") {
      FILO_RETURN_IF_ERROR(ReadList(item, path, &out.descriptions));
    } else if (key == "grounding_descriptions") {
      FILO_RETURN_IF_ERROR(ReadList(item, path, &out.grounding_descriptions));
    } else if (key == "normal_states") {
      FILO_RETURN_IF_ERROR(ReadList(item, path, &out.normal_states));
    } else if (key == "abnormal_states") {
      FILO_RETURN_IF_ERROR(ReadList(item, path, &out.abnormal_states));
    } else {
      return FieldError(path, item.dump(), "not be there: there is no such key");
    }
  }
  if (out.class_name.empty()) return FieldError(field + ".class_name", "", "name the product in words");
  return out;
}

}  // namespace

bool IsCategoryId(std::string_view id) {
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return !id.empty() && id.size() <= 63 && id[0] >= 'a' && id[0] <= 'z' &&
         std::all_of(id.begin(), id.end(), allowed);
}

absl::StatusOr<FixedCategories> FixedCategories::Read(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(fmt::format("{} cannot be read", path));
  const nlohmann::json all = nlohmann::json::parse(file, nullptr, false);
  if (!all.is_object()) return FieldError(path, "its contents", "be a JSON object of categories by id");
  FixedCategories out;
  for (const auto& [id, value] : all.items()) {
    const std::string field = fmt::format("{}: {}", path, id);
    if (!IsCategoryId(id)) {
      return FieldError(field, id, "be 1 to 63 of a-z, 0-9 and \"-\", beginning with a letter");
    }
    FILO_ASSIGN_OR_RETURN(out.categories_[id], ReadCategory(id, value, field));
  }
  return out;
}

void FixedCategories::Add(const FixedCategories& other) {
  for (const auto& [id, category] : other.categories_) categories_[id] = category;
}

FixedCategories BuiltInCategories() {
  constexpr std::size_t kDescriptions = 12;
  std::map<std::string, category::Category, std::less<>> out;
  for (const char* name :
       {"bottle",    "cable",  "capsule",  "carpet", "grid",        "hazelnut",   "leather",
        "metal nut", "pill",   "screw",    "tile",   "toothbrush",  "transistor", "wood",
        "zipper",    "candle", "capsules", "cashew", "chewing gum", "fryum",      "macaroni1",
        "macaroni2", "pcb1",   "pcb2",     "pcb3",   "pcb4",        "pipe fryum"}) {
    category::Category made;
    made.class_name = name;
    made.name = name;
    std::replace(made.name.begin(), made.name.end(), ' ', '-');
    made.descriptions = category::ProposeDescriptions(name, "", kDescriptions).descriptions;
    out[made.name] = std::move(made);
  }
  return FixedCategories(std::move(out));
}

absl::StatusOr<ResolvedCategory> FixedCategories::Find(std::string_view id) const {
  const auto found = categories_.find(id);
  if (found == categories_.end()) {
    return WithReason(absl::NotFoundError(fmt::format("there is no category \"{}\"", id)),
                      "CATEGORY_NOT_FOUND");
  }
  return ResolvedCategory{found->first, 1, found->second};
}

}  // namespace filo::serving
