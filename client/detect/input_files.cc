#include "client/detect/input_files.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "fmt/format.h"

namespace filo::client {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 7> kExtensions = {".jpg", ".jpeg", ".png", ".bmp",
                                                    ".tif", ".tiff", ".webp"};

absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& folder, bool recursive) {
  std::vector<std::string> found;
  std::error_code error;
  bool has_folders = false;
  const auto take = [&](const fs::directory_entry& entry) {
    std::error_code ignored;
    if (entry.is_regular_file(ignored) && LooksLikePhotograph(entry.path().string())) {
      found.push_back(entry.path().string());
    }
    has_folders |= entry.is_directory(ignored);
  };
  if (recursive) {
    const auto options = fs::directory_options::skip_permission_denied;
    for (fs::recursive_directory_iterator it(folder, options, error), end; !error && it != end;
         it.increment(error))
      take(*it);
  } else {
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) take(*it);
  }
  if (error) return absl::NotFoundError(fmt::format("cannot read folder {}: {}", folder, error.message()));
  if (found.empty()) {
    return absl::NotFoundError(
        fmt::format("folder {} holds no photographs (jpg, png, bmp, tif, webp){}", folder,
                    has_folders && !recursive ? "; add --recursive to look into its sub-folders" : ""));
  }
  std::sort(found.begin(), found.end());
  return found;
}

absl::StatusOr<std::vector<std::string>> MatchPattern(const std::string& pattern) {
  glob_t matches{};
  const int code = glob(pattern.c_str(), GLOB_TILDE, nullptr, &matches);
  std::vector<std::string> found(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
  globfree(&matches);
  if (code != 0) return absl::NotFoundError(fmt::format("nothing matches {}", pattern));
  return found;
}

absl::StatusOr<std::vector<std::string>> ReadList(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(fmt::format("cannot read the list {}", path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) lines.push_back(line);
  }
  if (lines.empty()) return absl::NotFoundError(fmt::format("the list {} is empty", path));
  return lines;
}

}  // namespace

bool LooksLikePhotograph(const std::string& path) {
  std::string extension = fs::path(path).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

absl::StatusOr<std::vector<InputFile>> ExpandInputs(const std::vector<std::string>& arguments,
                                                    bool recursive) {
  if (arguments.empty())
    return absl::InvalidArgumentError("no photographs given; name files, folders, patterns or -");
  std::vector<InputFile> files;
  for (const std::string& argument : arguments) {
    std::error_code ignored;
    absl::StatusOr<std::vector<std::string>> found = std::vector<std::string>{argument};
    if (argument == "-") {
      const auto is_stdin = [](const InputFile& file) { return file.path == "-"; };
      if (std::any_of(files.begin(), files.end(), is_stdin)) {
        return absl::InvalidArgumentError("standard input (-) can be given only once");
      }
    } else if (argument.size() > 1 && argument[0] == '@') {
      found = ReadList(argument.substr(1));
    } else if (fs::is_directory(argument, ignored)) {
      found = ListFolder(argument, recursive);
    } else if (!fs::exists(argument, ignored)) {
      if (argument.find_first_of("*?[") == std::string::npos) {
        return absl::NotFoundError(fmt::format("there is no file or folder {}", argument));
      }
      found = MatchPattern(argument);
    }
    if (!found.ok()) return found.status();
    for (const std::string& path : *found) files.push_back({path, path == "-" ? "stdin" : path});
  }
  return files;
}

absl::StatusOr<std::string> ReadInput(const InputFile& file, std::size_t limit) {
  std::ifstream stream;
  if (file.path != "-") {
    std::error_code error;
    if (fs::is_directory(file.path, error))
      return absl::NotFoundError(fmt::format("{} is a folder", file.path));
    stream.open(file.path, std::ios::binary);
    if (!stream) return absl::NotFoundError(fmt::format("cannot read {}", file.path));
  }
  std::istream& source = file.path == "-" ? std::cin : stream;
  std::string bytes;
  std::array<char, 1 << 16> buffer;
  while (source.read(buffer.data(), buffer.size()) || source.gcount() > 0) {
    bytes.append(buffer.data(), static_cast<std::size_t>(source.gcount()));
    if (bytes.size() > limit) {
      return absl::ResourceExhaustedError(fmt::format("{} is larger than {} bytes", file.name, limit));
    }
  }
  return bytes;
}

}  // namespace filo::client
