#include "server/detection/self_test.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::detection {
namespace {

using bundle::DType;
using bundle::TensorView;

constexpr char kFileName[] = "self_test.safetensors";

struct Answers {
  double score = 0, global_score = 0, map_max = 0;
  std::vector<float> map;
};

template <typename T>
TensorView ViewOf(DType dtype, std::vector<std::int64_t> shape, std::span<const T> values) {
  return {.dtype = dtype, .shape = std::move(shape), .bytes = std::as_bytes(values)};
}

// The values of `name`, which must have `rank` dimensions of type `dtype`.
template <typename T>
absl::StatusOr<std::vector<T>> Read(const bundle::TensorFile& file, const std::string& name, DType dtype,
                                    std::size_t rank, std::vector<std::int64_t>* shape = nullptr) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end() || found->second.dtype != dtype || found->second.shape.size() != rank) {
    return absl::InvalidArgumentError(
        fmt::format("{}: a self-test needs a tensor \"{}\" of type {} and rank {}", file.path(), name,
                    bundle::DTypeName(dtype), rank));
  }
  std::vector<T> values(found->second.bytes.size() / sizeof(T));
  std::memcpy(values.data(), found->second.bytes.data(), found->second.bytes.size());
  if (shape != nullptr) *shape = found->second.shape;
  return values;
}

absl::StatusOr<double> ReadNumber(const bundle::TensorFile& file, const std::string& name) {
  FILO_ASSIGN_OR_RETURN(const std::vector<double> values, Read<double>(file, name, DType::kF64, 1));
  if (values.size() != 1)
    return absl::InvalidArgumentError(fmt::format("{}: {} is no number", file.path(), name));
  return values[0];
}

absl::StatusOr<image::Image> ReadImage(const bundle::TensorFile& file) {
  std::vector<std::int64_t> shape;
  image::Image image;
  FILO_ASSIGN_OR_RETURN(image.pixels, Read<std::uint8_t>(file, "image", DType::kU8, 3, &shape));
  if (image.pixels.empty() || shape[2] != 3) {
    return absl::InvalidArgumentError(fmt::format("{}: \"image\" must be [height, width, 3]", file.path()));
  }
  image.height = static_cast<int>(shape[0]);
  image.width = static_cast<int>(shape[1]);
  image.mode = image::Mode::kRgb;
  return image;
}

absl::StatusOr<Answers> ReadAnswers(const bundle::TensorFile& file) {
  Answers answers;
  FILO_ASSIGN_OR_RETURN(answers.score, ReadNumber(file, "score"));
  FILO_ASSIGN_OR_RETURN(answers.global_score, ReadNumber(file, "global_score"));
  FILO_ASSIGN_OR_RETURN(answers.map_max, ReadNumber(file, "map_max"));
  FILO_ASSIGN_OR_RETURN(answers.map, Read<float>(file, "map", DType::kF32, 2));
  return answers;
}

category::Category CategoryOf(const std::string& class_name, const std::vector<std::string>& descriptions) {
  category::Category category;
  category.name = "self-test";
  category.class_name = class_name;
  category.descriptions = descriptions;
  return category;
}

// Written so that NaN deviates.
bool Within(double deviation, double tolerance) { return std::abs(deviation) <= tolerance; }

absl::Status Compare(const Result& result, const Answers& expected, const bundle::SelfTest& limits) {
  if (result.map.values.size() != expected.map.size()) {
    return absl::FailedPreconditionError(fmt::format("self-test: the map has {} pixels instead of {}",
                                                     result.map.values.size(), expected.map.size()));
  }
  double map_deviation = 0;
  for (std::size_t i = 0; i < expected.map.size(); ++i) {
    const double deviation = std::abs(static_cast<double>(result.map.values[i]) - expected.map[i]);
    if (!Within(deviation, map_deviation)) map_deviation = deviation;
  }
  const double global_deviation = result.global_score - expected.global_score;
  const bool good = Within(result.score - expected.score, limits.score_tolerance) &&
                    Within(global_deviation, limits.score_tolerance) &&
                    Within(map_deviation, limits.map_tolerance);
  if (good) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format(
      "self-test: score {:.6f} instead of {:.6f}, global score {:.6f} instead of {:.6f} (allowed deviation "
      "{:g}); the map "
      "deviates by up to {:.6f} (allowed {:g}), its maximum is {:.6f} instead of {:.6f}",
      result.score, expected.score, result.global_score, expected.global_score, limits.score_tolerance,
      map_deviation, limits.map_tolerance, result.map_max, expected.map_max));
}

absl::Status WriteAnswers(const std::string& path, const image::RgbImage& image, const Result& result) {
  const std::span<const float> map(result.map.values);
  const bundle::TensorMap tensors{
      {"image", ViewOf<std::uint8_t>(DType::kU8, {image.height, image.width, 3}, image.pixels)},
      {"score", ViewOf<double>(DType::kF64, {1}, std::span(&result.score, 1))},
      {"global_score", ViewOf<double>(DType::kF64, {1}, std::span(&result.global_score, 1))},
      {"map_max", ViewOf<double>(DType::kF64, {1}, std::span(&result.map_max, 1))},
      {"map", ViewOf<float>(DType::kF32, {result.map.height, result.map.width}, map)}};
  return bundle::WriteTensorFile(path, tensors, {});
}

}  // namespace

absl::Status RunSelfTest(const Detector& detector, const bundle::Bundle& bundle) {
  const bundle::SelfTest& recipe = bundle.manifest().self_test;
  const bundle::TensorFile* file = bundle.tensors("self_test");
  if (file == nullptr) return absl::OkStatus();
  FILO_ASSIGN_OR_RETURN(const image::Image image, ReadImage(*file));
  FILO_ASSIGN_OR_RETURN(const Answers expected, ReadAnswers(*file));
  FILO_ASSIGN_OR_RETURN(const Result result,
                        detector.Detect(image, CategoryOf(recipe.class_name, recipe.descriptions), nullptr));
  return Compare(result, expected, recipe);
}

absl::Status AddSelfTest(const std::string& directory, const SelfTestRecipe& recipe) {
  FILO_ASSIGN_OR_RETURN(std::shared_ptr<const bundle::Bundle> bundle,
                        bundle::Bundle::Open(directory, {.check_digests = false}));
  Options options;
  options.self_test = false;
  FILO_ASSIGN_OR_RETURN(const std::unique_ptr<Detector> detector, Detector::Create(bundle, options));
  image::Image image;
  image.height = recipe.image.height;
  image.width = recipe.image.width;
  image.mode = image::Mode::kRgb;
  image.pixels = recipe.image.pixels;
  FILO_ASSIGN_OR_RETURN(const Result result,
                        detector->Detect(image, CategoryOf(recipe.class_name, recipe.descriptions), nullptr));
  FILO_RETURN_IF_ERROR(WriteAnswers(directory + "/" + kFileName, recipe.image, result));

  bundle::Manifest manifest = bundle->manifest();
  FILO_ASSIGN_OR_RETURN(
      manifest.files["self_test"],
      bundle::DescribeFile(directory, kFileName, "Answers of this bundle to its own test image.",
                           manifest.files.at("filo").licence));
  manifest.self_test = {.file = kFileName,
                        .class_name = recipe.class_name,
                        .descriptions = recipe.descriptions,
                        .score_tolerance = recipe.score_tolerance,
                        .map_tolerance = recipe.map_tolerance};
  return bundle::WriteManifest(directory, manifest);
}

}  // namespace filo::detection
