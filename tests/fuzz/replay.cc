// Runs a libFuzzer target without libFuzzer:
//
//   NAME [--seconds S] [--seed N] FILE|FOLDER...
//
// feeds every file as it is, then mutations of them for S seconds (0 = none). The same seed gives the same
// inputs in the same order. An input that brings the target down is left in crash-input.bin beside the
// program's working directory.
#include <zlib.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fmt/format.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;

Input* current = nullptr;  // what the target is looking at, for the signal handler

void KeepInput(int signal) {
  std::ofstream("crash-input.bin", std::ios::binary)
      .write(reinterpret_cast<const char*>(current->data()), static_cast<std::streamsize>(current->size()));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void Run(Input& input) {
  current = &input;
  // A copy of its own size, so that a sanitizer sees the first byte read beyond it.
  const std::vector<std::uint8_t> exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

// Mutated chunks of a PNG get their checksums back, or nothing behind them would ever be reached.
void MendPng(Input& input) {
  const auto big = [&](std::size_t at) {
    return static_cast<std::uint32_t>(input[at]) << 24 | static_cast<std::uint32_t>(input[at + 1]) << 16 |
           static_cast<std::uint32_t>(input[at + 2]) << 8 | input[at + 3];
  };
  if (input.size() < 8 || std::memcmp(input.data(), "\x89PNG", 4) != 0) return;
  for (std::size_t at = 8; at + 12 <= input.size();) {
    const std::size_t length = big(at);
    if (length > input.size() - at - 12) return;
    const auto crc = static_cast<std::uint32_t>(crc32(0, &input[at + 4], static_cast<uInt>(length + 4)));
    for (int i = 0; i < 4; ++i) input[at + 8 + length + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
    at += 12 + length;
  }
}

class Mutator {
 public:
  Mutator(const std::vector<Input>& seeds, std::uint32_t seed) : seeds_(seeds), random_(seed) {}

  Input Next() {
    Input input = seeds_[Below(seeds_.size())];
    for (std::size_t i = Below(5) + 1; i > 0 && !input.empty(); --i) Mutate(input);
    if (Below(4) != 0) MendPng(input);
    return input;
  }

 private:
  std::size_t Below(std::size_t n) { return n == 0 ? 0 : random_() % n; }

  // Headers decide most, so half of the positions lie in the first 200 bytes.
  std::size_t Position(const Input& input) {
    return Below(2) == 0 ? Below(std::min<std::size_t>(input.size(), 200)) : Below(input.size());
  }

  void Mutate(Input& input) {
    constexpr std::uint8_t kTelling[] = {0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 254, 255};
    const std::size_t at = Position(input);
    switch (Below(8)) {
      case 0:
        input[at] ^= static_cast<std::uint8_t>(1u << Below(8));
        break;
      case 1:
        input[at] = kTelling[Below(std::size(kTelling))];
        break;
      case 2:
        input[at] = static_cast<std::uint8_t>(random_());
        break;
      case 3:  // a number of two or four bytes
        for (std::size_t i = at; i < std::min(at + 2 + 2 * Below(2), input.size()); ++i) {
          input[i] = kTelling[Below(std::size(kTelling))];
        }
        break;
      case 4:
        input.resize(at);
        break;
      case 5:
        input.erase(input.begin() + at, input.begin() + std::min(at + 1 + Below(64), input.size()));
        break;
      case 6: {  // repeat a stretch
        const Input piece(input.begin() + at, input.begin() + std::min(at + 1 + Below(64), input.size()));
        input.insert(input.begin() + Position(input), piece.begin(), piece.end());
        break;
      }
      case 7: {  // a stretch of another file
        const Input& other = seeds_[Below(seeds_.size())];
        if (other.empty()) break;
        const std::size_t from = Below(other.size());
        const std::size_t count = std::min({Below(256) + 1, other.size() - from, input.size() - at});
        std::copy_n(other.begin() + from, count, input.begin() + at);
        break;
      }
      default:
        break;
    }
  }

  const std::vector<Input>& seeds_;
  std::mt19937 random_;
};

std::vector<Input> ReadAll(const std::vector<std::string>& paths) {
  std::vector<std::filesystem::path> files;
  for (const std::string& path : paths) {
    if (!std::filesystem::is_directory(path))
      files.emplace_back(path);
    else
      for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Input> inputs;
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return inputs;
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = 0;
  std::uint32_t seed = 1;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--seconds" && i + 1 < argc)
      seconds = std::atof(argv[++i]);
    else if (argument == "--seed" && i + 1 < argc)
      seed = static_cast<std::uint32_t>(std::atoll(argv[++i]));
    else
      paths.push_back(argument);
  }
  std::vector<Input> seeds = ReadAll(paths);
  if (seeds.empty()) {
    fmt::print(stderr, "usage: {} [--seconds S] [--seed N] FILE|FOLDER...\n", argv[0]);
    return 2;
  }
  for (int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS}) std::signal(signal, KeepInput);
  for (Input& input : seeds) Run(input);
  // Small files: more tries in the time there is.
  std::erase_if(seeds, [](const Input& input) { return input.size() > 16384; });
  Mutator mutator(seeds, seed);
  std::int64_t runs = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (; std::chrono::steady_clock::now() < end; ++runs) {
    Input input = mutator.Next();
    Run(input);
  }
  fmt::print("{} files, {} mutations (seed {}), nothing found\n", seeds.size(), runs, seed);
  return runs == 0 && seconds > 0 ? 1 : 0;
}
