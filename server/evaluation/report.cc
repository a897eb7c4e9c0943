#include "server/evaluation/report.h"

#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "fmt/format.h"

namespace filo::evaluation {
namespace {

using Figure = std::function<std::optional<double>(const CategoryResult&)>;
struct Column {
  std::string_view key;
  std::string_view title;
  Figure value;
};

// The columns of every form of the report, in the order of the papers.
const std::vector<Column>& Columns() {
  static const std::vector<Column> columns = {
      {"image_auroc", "img AUROC", [](const CategoryResult& r) { return r.image.auroc; }},
      {"image_ap", "img AP", [](const CategoryResult& r) { return r.image.ap; }},
      {"image_f1_max", "img F1", [](const CategoryResult& r) { return r.image.f1_max; }},
      {"pixel_auroc", "px AUROC", [](const CategoryResult& r) { return r.pixel.auroc; }},
      {"pixel_ap", "px AP", [](const CategoryResult& r) { return r.pixel.ap; }},
      {"pixel_f1_max", "px F1", [](const CategoryResult& r) { return r.pixel.f1_max; }},
      {"aupro", "AUPRO", [](const CategoryResult& r) { return r.aupro; }},
      {"false_alarm_rate", "false al.", [](const CategoryResult& r) { return r.false_alarm_rate; }},
      {"miss_rate", "missed", [](const CategoryResult& r) { return r.miss_rate; }},
  };
  return columns;
}

std::string Percent(std::optional<double> value) { return value ? fmt::format("{:.1f}", *value * 100) : "-"; }

nlohmann::json OrNull(std::optional<double> value) {
  return value ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

std::pair<std::size_t, std::size_t> Counts(const CategoryResult& result) {
  std::size_t good = 0, bad = 0;
  for (const SampleResult& sample : result.samples) ++(sample.sample.anomalous ? bad : good);
  return {good, bad};
}

}  // namespace

std::string TableText(const RunInfo& info, const std::vector<CategoryResult>& results) {
  std::string text = fmt::format("{} with {}, profile {}, {} reference photograph{}\n\n{:<16} {:>5} {:>5}",
                                 info.dataset, info.source, info.profile, info.references,
                                 info.references == 1 ? "" : "s", "category", "good", "bad");
  for (const Column& column : Columns()) text += fmt::format(" {:>9}", column.title);
  text += fmt::format(" {:>8}\n", "s/image");
  for (const CategoryResult& result : results) {
    const auto [good, bad] = Counts(result);
    text += fmt::format("{:<16} {:>5} {:>5}", result.name, good, bad);
    for (const Column& column : Columns()) text += fmt::format(" {:>9}", Percent(column.value(result)));
    text += fmt::format(" {:>8.2f}\n", result.median_seconds);
  }
  if (results.size() > 1) {
    text += fmt::format("{:<28}", "mean");
    for (const Column& column : Columns())
      text += fmt::format(" {:>9}", Percent(Mean(results, column.value)));
    text += "\n";
  }
  return text;
}

nlohmann::json ReportJson(const RunInfo& info, const std::vector<CategoryResult>& results,
                          bool with_samples) {
  nlohmann::json report = {{"format", "filo-eval"},
                           {"version", 1},
                           {"dataset", info.dataset},
                           {"source", info.source},
                           {"bundle", {{"name", info.bundle_name}, {"digest", info.bundle_digest}}},
                           {"profile", info.profile},
                           {"references", info.references},
                           {"date", info.date},
                           {"aupro_max_fpr", info.max_fpr}};
  for (const Column& column : Columns())
    report["mean"][std::string(column.key)] = OrNull(Mean(results, column.value));
  report["categories"] = nlohmann::json::array();
  for (const CategoryResult& result : results) {
    const auto [good, bad] = Counts(result);
    nlohmann::json category = {{"name", result.name},
                               {"good", good},
                               {"anomalous", bad},
                               {"median_seconds", result.median_seconds},
                               {"image_f1_threshold", OrNull(result.image.f1_threshold)},
                               {"pixel_f1_threshold", OrNull(result.pixel.f1_threshold)},
                               {"good_threshold", OrNull(result.threshold)}};
    for (const Column& column : Columns()) category[std::string(column.key)] = OrNull(column.value(result));
    if (with_samples) {
      for (const SampleResult& sample : result.samples) {
        category["samples"].push_back({{"image", sample.sample.image},
                                       {"defect", sample.sample.defect},
                                       {"anomalous", sample.sample.anomalous},
                                       {"score", sample.score},
                                       {"seconds", sample.seconds}});
      }
    }
    report["categories"].push_back(std::move(category));
  }
  return report;
}

}  // namespace filo::evaluation
