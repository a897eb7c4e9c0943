// Seconds per stage of one bundle on one photograph, medians over alternating runs, as JSON.
//
//   pipeline_bench --bundle DIR --image FILE [--category WORD] [--threads N] [--runs N] [--output FILE]
//
// The machine's own float32 matrix-product ceiling is measured in the same run: a stage's distance from it
// says more than its seconds.
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "ATen/ATen.h"
#include "ATen/Parallel.h"
#include "ATen/core/grad_mode.h"
#include "CLI/CLI.hpp"
#include "fmt/format.h"
#include "nlohmann/json.hpp"
#include "server/bundle/bundle.h"
#include "server/detection/detector.h"
#include "server/image/decode.h"

namespace filo {
namespace {

struct Arguments {
  std::string bundle, image, category = "hazelnut", output;
  int threads = 0, runs = 7, warm_up = 1;
};

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// GFLOPS of one linear layer of ViT-L's MLP, the best of several tries.
double GemmCeiling() {
  const at::InferenceMode guard;
  const at::Tensor x = at::randn({1370, 1024}), weight = at::randn({4096, 1024});
  constexpr double kFlops = 2.0 * 1370 * 1024 * 4096;
  double best = 0;
  for (int i = 0; i < 10; ++i) {
    const double begin = Seconds();
    const at::Tensor y = at::linear(x, weight);
    best = std::max(best, kFlops / (Seconds() - begin) / 1e9);
  }
  return best;
}

std::vector<std::byte> ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

struct Samples {
  std::vector<double> preprocess, grounding, image_tower, text, maps, total;

  void Add(const detection::StageTimes& times) {
    preprocess.push_back(times.preprocess);
    grounding.push_back(times.grounding);
    image_tower.push_back(times.image_tower);
    text.push_back(times.text);
    maps.push_back(times.maps);
    total.push_back(times.total);
  }
  nlohmann::json Medians() const {
    return {{"preprocess", Median(preprocess)},
            {"grounding", Median(grounding)},
            {"image_tower", Median(image_tower)},
            {"text", Median(text)},
            {"maps", Median(maps)},
            {"total", Median(total)}};
  }
};

absl::StatusOr<nlohmann::json> Measure(const Arguments& arguments) {
  const double begin = Seconds();
  auto bundle = bundle::Bundle::Open(arguments.bundle, {.check_digests = false});
  if (!bundle.ok()) return bundle.status();
  detection::Options options;
  options.threads = arguments.threads;
  options.self_test = false;
  auto detector = detection::Detector::Create(*bundle, options);
  if (!detector.ok()) return detector.status();
  const double load = Seconds() - begin;
  auto image = image::Decode(ReadAll(arguments.image), image::DecodeLimits{});
  if (!image.ok()) return image.status();
  category::Category category;
  category.class_name = arguments.category;
  category.descriptions = {"crack", "hole", "scratch on the surface", "discoloration", "missing part"};

  const double before_category = Seconds();
  if (const absl::Status status = (*detector)->Prepare(category); !status.ok()) return status;
  const double new_category = Seconds() - before_category;
  Samples samples;
  for (int run = 0; run < arguments.warm_up + arguments.runs; ++run) {
    const auto result = (*detector)->Detect(*image, category, nullptr);
    if (!result.ok()) return result.status();
    if (run >= arguments.warm_up) samples.Add(result->times);
  }
  return nlohmann::json{{"bundle", (*bundle)->manifest().name},
                        {"threads", at::get_num_threads()},
                        {"runs", arguments.runs},
                        {"load_seconds", load},
                        {"new_category_seconds", new_category},
                        {"median_seconds", samples.Medians()},
                        {"fastest_total_seconds", *std::ranges::min_element(samples.total)},
                        {"gemm_gflops_float32", GemmCeiling()}};
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Seconds per stage of one bundle on one photograph.");
  app.add_option("--bundle", arguments.bundle, "Directory of the model bundle")->required();
  app.add_option("--image", arguments.image, "Photograph")->required()->check(CLI::ExistingFile);
  app.add_option("--category", arguments.category, "Class name")->capture_default_str();
  app.add_option("--threads", arguments.threads, "Threads, 0 = as LibTorch likes")
      ->check(CLI::Range(0, 1024));
  app.add_option("--runs", arguments.runs, "Measured runs")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--output", arguments.output, "File for the JSON; without it, standard output");
  CLI11_PARSE(app, argc, argv);
  const absl::StatusOr<nlohmann::json> measured = Measure(arguments);
  if (!measured.ok()) {
    std::cerr << measured.status() << "\n";
    return 3;
  }
  if (arguments.output.empty()) {
    std::cout << measured->dump(2) << "\n";
    return 0;
  }
  std::ofstream out(arguments.output);
  out << measured->dump(2) << "\n";
  return out.good() ? 0 : 3;
}

}  // namespace
}  // namespace filo

int main(int argc, char** argv) { return filo::Main(argc, argv); }
