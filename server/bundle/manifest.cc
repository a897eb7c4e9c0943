#include "server/bundle/manifest.h"

#include <charconv>
#include <cmath>
#include <set>
#include <utility>

#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "server/base/sha256.h"
#include "server/base/status.h"
#include "server/bundle/manifest_check.h"
#include "server/bundle/manifest_fields.h"
#include "server/bundle/strict_json.h"

namespace filo::bundle {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr int kManifestDepth = 6;
constexpr char kFile[] = "manifest.json";

std::string Dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// Fills a part from a JSON object; the first problem is kept and the rest skipped.
class Reader {
 public:
  Reader(const Json& object, std::string path, absl::Status& status)
      : object_(object), path_(std::move(path)), status_(status) {}

  void Int(std::string_view key, int& value, int low, int high) {
    Integer(Find(key), Path(key), value, low, high);
  }
  void UInt64(std::string_view key, std::uint64_t& value) {
    if (const Json* json = Find(key)) {
      if (!json->is_number_unsigned()) return Fail(Path(key), *json, "be a whole number, not negative");
      value = json->get<std::uint64_t>();
    }
  }
  void Float(std::string_view key, float& value, double low, double high) {
    double wide = value;
    Number(Find(key), Path(key), wide, low, high);
    value = static_cast<float>(wide);
  }
  void Double(std::string_view key, double& value, double low, double high) {
    Number(Find(key), Path(key), value, low, high);
  }
  void Bool(std::string_view key, bool& value) {
    if (const Json* json = Find(key)) {
      if (!json->is_boolean()) return Fail(Path(key), *json, "be true or false");
      value = json->get<bool>();
    }
  }
  void String(std::string_view key, std::string& value, std::size_t shortest, std::size_t longest) {
    Text(Find(key), Path(key), value, shortest, longest);
  }
  template <typename E, std::size_t n>
  void Enum(std::string_view key, E& value, const EnumName<E> (&names)[n]) {
    const Json* json = Find(key);
    if (json == nullptr) return;
    std::string choices;
    for (const auto& [candidate, name] : names) {
      if (json->is_string() && json->get_ref<const std::string&>() == name) {
        value = candidate;
        return;
      }
      choices += fmt::format("{}\"{}\"", choices.empty() ? "be " : " or ", name);
    }
    Fail(Path(key), *json, choices);
  }
  void Ints(std::string_view key, std::vector<int>& values, std::size_t most, int low, int high) {
    List(key, values, most, [&](const Json& json, const std::string& path, int& value) {
      Integer(&json, path, value, low, high);
    });
  }
  void Strings(std::string_view key, std::vector<std::string>& values, std::size_t most,
               std::size_t longest) {
    List(key, values, most, [&](const Json& json, const std::string& path, std::string& value) {
      Text(&json, path, value, 1, longest);
    });
  }
  void Triple(std::string_view key, std::array<float, 3>& values, double low, double high) {
    std::vector<float> list;
    List(key, list, 3, [&](const Json& json, const std::string& path, float& value) {
      double wide = 0;
      Number(&json, path, wide, low, high);
      value = static_cast<float>(wide);
    });
    if (!status_.ok()) return;
    if (list.size() != 3) return Fail(Path(key), object_.at(std::string(key)), "be a list of three numbers");
    std::copy(list.begin(), list.end(), values.begin());
  }
  template <typename Part>
  void Object(std::string_view key, Part& part) {
    Nested(Find(key), Path(key), part);
  }
  template <typename Part>
  void Optional(std::string_view key, bool& present, Part& part) {
    const Json* json = Find(key);
    if (json == nullptr) return;
    present = !json->is_null();
    if (present) Nested(json, Path(key), part);
  }
  template <typename Part>
  void Each(std::string_view key, std::vector<Part>& parts, std::size_t most) {
    List(key, parts, most,
         [&](const Json& json, const std::string& path, Part& part) { Nested(&json, path, part); });
  }
  template <typename Part>
  void ByRole(std::string_view key, std::map<std::string, Part>& parts) {
    const Json* json = Find(key);
    if (json == nullptr) return;
    if (!json->is_object()) return Fail(Path(key), *json, "be an object");
    for (const auto& [role, value] : json->items()) Nested(&value, Path(key) + "." + role, parts[role]);
  }

  // An error for the first key that no field has asked for.
  void RefuseUnknown() {
    for (const auto& [key, value] : object_.items()) {
      if (!known_.contains(key)) Fail(Path(key), value, "not be there: this key is not known");
    }
  }

 private:
  const Json* Find(std::string_view key) {
    if (!status_.ok()) return nullptr;
    known_.emplace(key);
    const auto found = object_.find(std::string(key));
    if (found != object_.end()) return &*found;
    status_ = WithField(absl::InvalidArgumentError(fmt::format("{} is missing", Path(key))), Path(key),
                        "is missing");
    return nullptr;
  }
  std::string Path(std::string_view key) const { return fmt::format("{}{}", path_, key); }
  void Fail(const std::string& path, const Json& value, std::string_view expected) {
    if (status_.ok())
      status_ = FieldError(path, value.is_string() ? value.get<std::string>() : Dump(value), expected);
  }

  void Integer(const Json* json, const std::string& path, int& value, int low, int high) {
    if (json == nullptr || !status_.ok()) return;
    const bool fits = json->is_number_integer() &&
                      (!json->is_number_unsigned() || json->get<std::uint64_t>() < (1u << 31)) &&
                      json->get<std::int64_t>() >= low && json->get<std::int64_t>() <= high;
    if (!fits) return Fail(path, *json, fmt::format("be a whole number from {} to {}", low, high));
    value = json->get<int>();
  }
  void Number(const Json* json, const std::string& path, double& value, double low, double high) {
    if (json == nullptr || !status_.ok()) return;
    if (!json->is_number() || !(json->get<double>() >= low && json->get<double>() <= high)) {
      return Fail(path, *json, fmt::format("be a number from {} to {}", low, high));
    }
    value = json->get<double>();
  }
  void Text(const Json* json, const std::string& path, std::string& value, std::size_t shortest,
            std::size_t longest) {
    if (json == nullptr || !status_.ok()) return;
    const std::string* text = json->is_string() ? &json->get_ref<const std::string&>() : nullptr;
    bool printable = text != nullptr;
    for (std::size_t i = 0; printable && i < text->size(); ++i) {
      printable = static_cast<unsigned char>((*text)[i]) >= 0x20 && (*text)[i] != 0x7f;
    }
    if (!printable || text->size() < shortest || text->size() > longest) {
      return Fail(path, *json,
                  fmt::format("be a text of {} to {} bytes without control characters", shortest, longest));
    }
    value = *text;
  }
  template <typename T, typename ReadOne>
  void List(std::string_view key, std::vector<T>& values, std::size_t most, const ReadOne& read) {
    const Json* json = Find(key);
    if (json == nullptr) return;
    if (!json->is_array() || json->size() > most) {
      return Fail(Path(key), *json, fmt::format("be a list of at most {} entries", most));
    }
    values.clear();
    for (std::size_t i = 0; i < json->size(); ++i) {
      values.emplace_back();
      read((*json)[i], fmt::format("{}[{}]", Path(key), i), values.back());
    }
  }
  template <typename Part>
  void Nested(const Json* json, const std::string& path, Part& part) {
    if (json == nullptr || !status_.ok()) return;
    if (!json->is_object()) return Fail(path, *json, "be an object");
    Reader child(*json, path + ".", status_);
    Fields(child, part);
    child.RefuseUnknown();
  }

  const Json& object_;
  std::string path_;
  absl::Status& status_;
  std::set<std::string, std::less<>> known_;
};

// Writes a part as a JSON object with its keys in order.
class Writer {
 public:
  explicit Writer(bool origin) : origin_(origin) {}

  void Int(std::string_view key, int value, int, int) { Put(key, value); }
  void UInt64(std::string_view key, std::uint64_t value) { Put(key, value); }
  void Float(std::string_view key, float value, double, double) { Put(key, Shortest(value)); }
  void Double(std::string_view key, double value, double, double) { Put(key, value); }
  void Bool(std::string_view key, bool value) { Put(key, value); }
  void String(std::string_view key, const std::string& value, std::size_t, std::size_t) {
    if (origin_ || (key != "summary" && key != "provenance" && key != "licence")) Put(key, value);
  }
  template <typename E, std::size_t n>
  void Enum(std::string_view key, E value, const EnumName<E> (&names)[n]) {
    for (const auto& [candidate, name] : names) {
      if (candidate == value) Put(key, name);
    }
  }
  void Ints(std::string_view key, const std::vector<int>& values, std::size_t, int, int) { Put(key, values); }
  void Strings(std::string_view key, const std::vector<std::string>& values, std::size_t, std::size_t) {
    Put(key, values);
  }
  void Triple(std::string_view key, const std::array<float, 3>& values, double, double) {
    Put(key, OrderedJson{Shortest(values[0]), Shortest(values[1]), Shortest(values[2])});
  }
  template <typename Part>
  void Object(std::string_view key, Part& part) {
    Put(key, Of(part));
  }
  template <typename Part>
  void Optional(std::string_view key, bool present, Part& part) {
    Put(key, present ? Of(part) : OrderedJson(nullptr));
  }
  template <typename Part>
  void Each(std::string_view key, std::vector<Part>& parts, std::size_t) {
    OrderedJson list = OrderedJson::array();
    for (Part& part : parts) list.push_back(Of(part));
    Put(key, std::move(list));
  }
  template <typename Part>
  void ByRole(std::string_view key, std::map<std::string, Part>& parts) {
    OrderedJson object = OrderedJson::object();
    for (auto& [role, part] : parts) object[role] = Of(part);
    Put(key, std::move(object));
  }

  template <typename Part>
  OrderedJson Of(Part& part) const {
    Writer child(origin_);
    Fields(child, part);
    return std::move(child.object_);
  }

 private:
  void Put(std::string_view key, OrderedJson value) { object_[std::string(key)] = std::move(value); }
  // The double whose shortest spelling is the float's: 1e-05, not 9.999999747378752e-06.
  static double Shortest(float value) {
    const std::string text = fmt::format("{}", value);
    double wide = value;
    std::from_chars(text.data(), text.data() + text.size(), wide);
    return wide;
  }

  bool origin_;
  OrderedJson object_ = OrderedJson::object();
};

std::string Write(Manifest manifest, bool origin) {
  return Writer(origin).Of(manifest).dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

absl::StatusOr<Manifest> ReadFields(std::string_view json) {
  const auto parsed = ParseStrictJson(json, kManifestDepth);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(fmt::format("{} {}", kFile, std::string(parsed.status().message())));
  }
  Manifest manifest;
  absl::Status status;
  Reader reader(*parsed, fmt::format("{}: ", kFile), status);
  Fields(reader, manifest);
  reader.RefuseUnknown();
  FILO_RETURN_IF_ERROR(status);
  return manifest;
}

}  // namespace

absl::StatusOr<Manifest> ParseManifest(std::string_view json) {
  FILO_ASSIGN_OR_RETURN(Manifest manifest, ReadFields(json));
  FILO_RETURN_IF_ERROR(CheckAgreement(manifest));
  FILO_RETURN_IF_ERROR(CheckFiles(manifest));
  return manifest;
}

absl::StatusOr<Manifest> ParseManifestTemplate(std::string_view json) {
  FILO_ASSIGN_OR_RETURN(Manifest manifest, ReadFields(json));
  FILO_RETURN_IF_ERROR(CheckAgreement(manifest));
  return manifest;
}

absl::Status CheckSizes(const Manifest& manifest) {
  // The ranges stand where the keys are read; a manifest made in code takes the same way.
  FILO_RETURN_IF_ERROR(ReadFields(SerialiseManifest(manifest)).status());
  return CheckAgreement(manifest);
}

absl::Status CheckManifest(const Manifest& manifest) {
  FILO_RETURN_IF_ERROR(CheckSizes(manifest));
  return CheckFiles(manifest);
}

std::string SerialiseManifest(const Manifest& manifest) { return Write(manifest, /*origin=*/true); }

std::string ManifestDigest(const Manifest& manifest) { return Sha256Hex(Write(manifest, /*origin=*/false)); }

}  // namespace filo::bundle
