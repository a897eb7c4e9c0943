#include "server/evaluation/dataset.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "fmt/format.h"
#include "fmt/ranges.h"
#include "opencv2/imgcodecs.hpp"
#include "opencv2/imgproc.hpp"
#include "server/base/status.h"

namespace filo::evaluation {
namespace {

namespace fs = std::filesystem;

bool IsImage(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return std::tolower(c); });
  static constexpr std::array kExtensions = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"};
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

std::vector<fs::path> Sorted(const fs::path& folder, bool directories) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (directories ? it->is_directory() : it->is_regular_file() && IsImage(it->path()))
      found.push_back(it->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The mask of `image` in a ground-truth folder; empty when there is none.
std::string FindMask(const fs::path& folder, const fs::path& image) {
  const std::string stem = image.stem().string();
  for (const std::string& name : {stem + "_mask", stem}) {
    for (const char* extension : {".png", ".bmp", ".tif", ".jpg"}) {
      if (const fs::path mask = folder / (name + extension); fs::is_regular_file(mask)) return mask.string();
    }
  }
  return {};
}

absl::StatusOr<CategoryData> ReadMvtecCategory(const fs::path& folder) {
  CategoryData data;
  data.name = fs::absolute(folder).lexically_normal().filename().string();
  for (const fs::path& image : Sorted(folder / "train" / "good", false))
    data.train_normal.push_back(image.string());
  for (const fs::path& defect : Sorted(folder / "test", true)) {
    const std::string label = defect.filename().string();
    for (const fs::path& image : Sorted(defect, false)) {
      Sample sample{image.string(), {}, label, label != "good"};
      if (sample.anomalous) {
        sample.mask = FindMask(folder / "ground_truth" / label, image);
        if (sample.mask.empty()) {
          return absl::InvalidArgumentError(fmt::format(
              "{} has no mask; {} must hold {}_mask.png or {}.png", sample.image,
              (folder / "ground_truth" / label).string(), image.stem().string(), image.stem().string()));
        }
      }
      data.test.push_back(std::move(sample));
    }
  }
  if (data.test.empty()) {
    return absl::InvalidArgumentError(fmt::format(
        "{} holds no images; test/good and test/<defect> must hold some", (folder / "test").string()));
  }
  return data;
}

std::vector<std::string> SplitComma(const std::string& line) {
  std::vector<std::string> cells;
  std::stringstream stream(line);
  for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell);
  if (!line.empty() && line.back() == ',') cells.emplace_back();
  return cells;
}

absl::StatusOr<std::vector<CategoryData>> ReadVisa(const fs::path& root, const fs::path& csv) {
  std::ifstream file(csv);
  std::map<std::string, CategoryData> categories;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || (number == 1 && line.rfind("object,", 0) == 0)) continue;
    const std::vector<std::string> cells = SplitComma(line);
    if (cells.size() != 5 || (cells[1] != "train" && cells[1] != "test")) {
      return absl::InvalidArgumentError(fmt::format(
          "{}:{} is \"{}\"; it must read object,train|test,label,image,mask", csv.string(), number, line));
    }
    CategoryData& data = categories[cells[0]];
    data.name = cells[0];
    const fs::path image = root / cells[3];
    if (!fs::is_regular_file(image)) {
      return absl::InvalidArgumentError(
          fmt::format("{}:{} names {}, which does not exist", csv.string(), number, image.string()));
    }
    if (cells[1] == "train") {
      if (cells[2] == "normal") data.train_normal.push_back(image.string());
      continue;
    }
    Sample sample{image.string(), {}, cells[2], cells[2] != "normal"};
    if (sample.anomalous) {
      sample.mask = (root / cells[4]).string();
      if (cells[4].empty() || !fs::is_regular_file(sample.mask)) {
        return absl::InvalidArgumentError(
            fmt::format("{}:{} names the mask \"{}\", which does not exist", csv.string(), number, cells[4]));
      }
    }
    data.test.push_back(std::move(sample));
  }
  std::vector<CategoryData> list;
  for (auto& [name, data] : categories) list.push_back(std::move(data));
  return list;
}

absl::StatusOr<std::vector<CategoryData>> ReadAll(const fs::path& root) {
  if (!fs::is_directory(root)) return absl::NotFoundError(fmt::format("{} is not a folder", root.string()));
  if (const fs::path csv = root / "split_csv" / "1cls.csv"; fs::is_regular_file(csv))
    return ReadVisa(root, csv);
  std::vector<CategoryData> list;
  const bool single = fs::is_directory(root / "test");
  for (const fs::path& folder : single ? std::vector<fs::path>{root} : Sorted(root, true)) {
    if (!fs::is_directory(folder / "test")) continue;
    FILO_ASSIGN_OR_RETURN(CategoryData data, ReadMvtecCategory(folder));
    list.push_back(std::move(data));
  }
  if (list.empty()) {
    return absl::NotFoundError(fmt::format(
        "{} is neither an MVTec AD layout (<category>/test/<defect>) nor a VisA one (split_csv/1cls.csv)",
        root.string()));
  }
  return list;
}

}  // namespace

absl::StatusOr<std::vector<CategoryData>> ReadDataset(const std::string& root,
                                                      const std::vector<std::string>& only) {
  FILO_ASSIGN_OR_RETURN(std::vector<CategoryData> all, ReadAll(root));
  if (only.empty()) return all;
  std::vector<std::string> names;
  for (const CategoryData& data : all) names.push_back(data.name);
  std::vector<CategoryData> chosen;
  for (const std::string& name : only) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      return absl::NotFoundError(
          fmt::format("{} has no category \"{}\"; it has {}", root, name, fmt::join(names, ", ")));
    }
    chosen.push_back(all[static_cast<std::size_t>(found - names.begin())]);
  }
  return chosen;
}

absl::StatusOr<std::vector<std::uint8_t>> ReadMask(const std::string& path, int height, int width) {
  if (!fs::is_regular_file(path)) return absl::NotFoundError(fmt::format("{} does not exist", path));
  cv::Mat mask;
  try {
    mask = cv::imread(path, cv::IMREAD_GRAYSCALE);
  } catch (const cv::Exception&) {
    mask.release();
  }
  if (mask.empty()) return absl::InvalidArgumentError(fmt::format("{} is not a readable image", path));
  cv::Mat sized;
  cv::resize(mask, sized, cv::Size(width, height), 0, 0, cv::INTER_NEAREST);
  std::vector<std::uint8_t> values(static_cast<std::size_t>(height) * static_cast<std::size_t>(width));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = sized.data[i] != 0 ? 1 : 0;
  return values;
}

}  // namespace filo::evaluation
