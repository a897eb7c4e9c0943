#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

#include "client/command/command.h"
#include "client/command/options.h"
#include "client/detect/answer.h"
#include "client/detect/heatmap.h"
#include "client/detect/progress.h"
#include "client/detect/writers.h"
#include "client/report/detect_report.h"
#include "client/rpc/error.h"
#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

namespace fs = std::filesystem;

absl::Status WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return absl::FailedPreconditionError(fmt::format("cannot write {}", path));
  return absl::OkStatus();
}

class DetectCommand final : public SimpleCommand {
 public:
  void Register(CLI::App& app) override {
    CLI::App* sub =
        Add(app, "detect", "Inspects photographs: files, folders, patterns, or - for standard input");
    sub->add_option("photos", photos_, "Files, folders, patterns (\"line1/*.jpg\"), @LIST, or -")
        ->type_name("PHOTO");
    AddCategoryOptions(*sub);
    AddOutputOptions(*sub);
    sub->add_flag("-r,--recursive", recursive_, "Look into sub-folders, too");
    sub->add_option("--parallel", send_.parallel, "Photographs under way at a time")
        ->capture_default_str()
        ->check(CLI::Range(1, 256));
    sub->add_flag("--backlog", backlog_, "Let requests of a running line go first");
    sub->add_flag("--stop-on-error", stop_on_error_, "End at the first photograph that cannot be judged");
    sub->add_option("--significant-bits", significant_bits_,
                    "Bits that 16-bit gray files really use, e.g. 12")
        ->check(CLI::Range(1, 16));
    sub->add_option("--station", station_, "Camera or station, noted in the server's log")->type_name("NAME");
    AddConnectionOptions(*sub, connection_);
  }

  absl::StatusOr<int> Run() override {
    FILO_RETURN_IF_ERROR(CheckOptions());
    FILO_ASSIGN_OR_RETURN(const std::vector<InputFile> files, ExpandInputs(photos_, recursive_));
    if (!heatmap_.empty() && files.size() > 1) {
      return absl::InvalidArgumentError(fmt::format(
          "--heatmap names one picture, but {} photographs are given; use --heatmap-dir", files.size()));
    }
    FILO_RETURN_IF_ERROR(PrepareFolder());
    FILO_ASSIGN_OR_RETURN(const auto connection, Connection::Create(connection_));
    FillRequest();
    if (!report_path_.empty()) report_.emplace(CategoryName(), connection_.server, report_side_);
    MakeWriter(files);
    ProgressBar bar(files.size(), !quiet_);
    DetectAll(*connection, files, send_, [&](Answer answer) { return Take(std::move(answer), bar); });
    bar.Hide();
    if (writer_ != nullptr) writer_->Finish();
    FILO_RETURN_IF_ERROR(output_error_);
    if (report_.has_value()) FILO_RETURN_IF_ERROR(WriteFile(report_path_, report_->Html()));
    return Finish(files.size());
  }

 private:
  void AddCategoryOptions(CLI::App& sub) {
    const char* group = "Category";
    sub.add_option("-c,--category", category_, "Category that the server knows, e.g. hazelnut")
        ->type_name("NAME")
        ->group(group);
    sub.add_option("--class-name", class_name_, "Product in words, instead of a stored category")
        ->type_name("TEXT")
        ->group(group);
    sub.add_option("-d,--description", descriptions_,
                   "What a defect looks like, in words; may be repeated. Without --class-name "
                   "the category's name is the product's")
        ->type_name("TEXT")
        ->expected(1)
        ->take_all()
        ->allow_extra_args(false)
        ->group(group);
    sub.add_option("--threshold", threshold_, "Raw score from which a part is NG; overrides the category's")
        ->type_name("SCORE")
        ->group(group);
    sub.add_option("--unsure-margin", unsure_margin_,
                   "Half width of the band around the threshold that is UNSURE")
        ->type_name("SCORE")
        ->check(CLI::NonNegativeNumber)
        ->group(group);
    sub.add_flag("--fail-on-unsure", fail_on_unsure_, "Exit code 1 for UNSURE, too")->group(group);
  }

  void AddOutputOptions(CLI::App& sub) {
    const char* group = "Output";
    sub.add_flag("--json", json_, "One JSON object a line")->group(group);
    sub.add_flag("--csv", csv_, "Comma-separated values")->group(group);
    sub.add_option("--heatmap", heatmap_, "Picture of the map over the photograph (.png or .jpg)")
        ->type_name("FILE")
        ->group(group);
    sub.add_option("--heatmap-dir", heatmap_dir_, "Folder for a picture of every photograph")
        ->type_name("DIR")
        ->group(group);
    sub.add_flag("--heatmap-beside", heatmap_options_.beside, "Put the photograph beside the map's picture")
        ->group(group);
    AddShare(sub, "--heatmap-opacity", heatmap_options_.opacity, "Weight of the map's colours")->group(group);
    sub.add_option("--report", report_path_, "Self-contained HTML page with verdicts and heat maps")
        ->type_name("FILE")
        ->group(group);
    sub.add_option("--report-side", report_side_, "Longest side of the report's pictures, pixels")
        ->capture_default_str()
        ->check(CLI::Range(64, 4096))
        ->group(group);
    sub.add_flag("--times", times_, "Print the server's time per stage at the end")->group(group);
    sub.add_flag("-q,--quiet", quiet_, "No progress bar and no summary")->group(group);
  }

  absl::Status CheckOptions() const {
    if (json_ && csv_) return absl::InvalidArgumentError("--json and --csv contradict each other");
    if (category_.empty() && class_name_.empty()) {
      return absl::InvalidArgumentError(
          "say what the photographs show: --category NAME, or --class-name TEXT with --description TEXT …");
    }
    if (!class_name_.empty() && !category_.empty()) {
      return absl::InvalidArgumentError(
          "--category and --class-name contradict each other; the one is stored, the other defined here");
    }
    const std::string extension = fs::path(heatmap_).extension().string();
    if (!heatmap_.empty() && extension != ".png" && extension != ".jpg") {
      return FieldError("--heatmap", heatmap_, "end with .png or .jpg");
    }
    return absl::OkStatus();
  }

  absl::Status PrepareFolder() const {
    if (heatmap_dir_.empty()) return absl::OkStatus();
    std::error_code error;
    fs::create_directories(heatmap_dir_, error);
    if (error)
      return absl::FailedPreconditionError(
          fmt::format("--heatmap-dir: cannot make {}: {}", heatmap_dir_, error.message()));
    return absl::OkStatus();
  }

  std::string CategoryName() const { return category_.empty() ? class_name_ : category_; }
  bool DrawsAnything() const { return !heatmap_.empty() || !heatmap_dir_.empty() || !report_path_.empty(); }

  void FillRequest() {
    auto& request = send_.request;
    if (class_name_.empty() && descriptions_.empty()) {
      request.set_category(category_);
    } else {
      auto* definition = request.mutable_inline_category();
      definition->set_class_name(CategoryName());
      for (const std::string& description : descriptions_) definition->add_descriptions(description);
    }
    if (threshold_.has_value()) request.mutable_inspection()->set_score_threshold(*threshold_);
    if (unsure_margin_.has_value()) request.mutable_inspection()->set_unsure_margin(*unsure_margin_);
    if (backlog_) request.set_priority(filo::v1::PRIORITY_BACKLOG);
    if (significant_bits_ != 0) request.mutable_image()->set_significant_bits(significant_bits_);
    if (!station_.empty()) request.mutable_trace()->set_station(station_);
    send_.threshold = threshold_;
    send_.keep_images = DrawsAnything();
    if (DrawsAnything()) RequestMap(request);
  }

  void MakeWriter(const std::vector<InputFile>& files) {
    std::size_t widest = 0;
    for (const InputFile& file : files) widest = std::max(widest, Columns(file.name));
    const bool colour = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
    writer_ = json_  ? MakeJsonWriter(stdout)
              : csv_ ? MakeCsvWriter(stdout)
                     : MakeTableWriter(stdout, widest, colour);
  }

  // Called for one answer at a time.
  bool Take(Answer answer, ProgressBar& bar) {
    ++taken_;
    const filo::v1::Verdict verdict = VerdictOf(answer);
    const bool found =
        verdict == filo::v1::VERDICT_NG || (fail_on_unsure_ && verdict == filo::v1::VERDICT_UNSURE);
    if (found) ++found_;
    if (!answer.ok()) {
      ++failed_;
      if (first_error_.empty() && !answer.status.ok())
        first_error_ = ExplainError(answer.status, connection_.server);
    }
    output_error_.Update(Draw(answer));
    if (report_.has_value()) report_->Add(answer, answer.image);
    for (const auto& stage : answer.result.stage_times()) stage_seconds_[stage.stage()] += stage.seconds();
    // Maps were asked for to be drawn; as text they would be noise.
    answer.result.clear_maps();
    bar.Hide();
    writer_->Write(answer);
    bar.Step(found);
    if (!output_error_.ok() || (stop_on_error_ && failed_ > 0)) return false;
    // When nobody is there, a thousand more photographs will not find anybody either.
    return answer.status.error_code() != grpc::StatusCode::UNAVAILABLE && std::ferror(stdout) == 0;
  }

  absl::Status Draw(const Answer& answer) {
    if (!answer.ok() || (heatmap_.empty() && heatmap_dir_.empty())) return absl::OkStatus();
    std::string path = heatmap_;
    if (path.empty()) {
      std::string stem = answer.file.path == "-" ? "stdin" : fs::path(answer.file.path).stem().string();
      // Photographs of the same name in different folders must not overwrite each other.
      const int copy = ++names_[stem];
      path = (fs::path(heatmap_dir_) / (stem + (copy > 1 ? fmt::format(".{}", copy) : "") + ".png")).string();
    }
    heatmap_options_.format = fs::path(path).extension().string();
    auto picture = DrawHeatmap(answer, answer.image, heatmap_options_);
    if (!picture.ok()) return Annotate(picture.status(), answer.file.name);
    return WriteFile(path, *picture);
  }

  int Finish(std::size_t files) const {
    if (!quiet_ && !json_ && !csv_ && files > 1) {
      fmt::print("{} photographs: {} NG, {} failed{}\n", taken_, found_, failed_,
                 taken_ < files ? fmt::format("; {} were not sent", files - taken_) : "");
    }
    if (times_) {
      for (const auto& [stage, seconds] : stage_seconds_) {
        fmt::print(stderr, "{:<12} {:.4f} s per photograph\n", stage,
                   seconds / static_cast<double>(std::max<std::size_t>(taken_ - failed_, 1)));
      }
    }
    if (!first_error_.empty()) fmt::print(stderr, "filo-client: {}\n", first_error_);
    if (failed_ > 0 || taken_ < files) return kFailed;
    return found_ > 0 ? kFound : kDone;
  }

  std::vector<std::string> photos_;
  std::string category_, class_name_;
  std::vector<std::string> descriptions_;
  std::optional<double> threshold_, unsure_margin_;
  bool fail_on_unsure_ = false, json_ = false, csv_ = false, recursive_ = false, backlog_ = false;
  bool stop_on_error_ = false, times_ = false, quiet_ = false;
  std::string heatmap_, heatmap_dir_, report_path_, station_;
  int report_side_ = 560;
  std::uint32_t significant_bits_ = 0;
  HeatmapOptions heatmap_options_;
  SendOptions send_;
  ConnectionOptions connection_;

  std::unique_ptr<AnswerWriter> writer_;
  std::optional<DetectReport> report_;
  std::map<std::string, int> names_;
  std::map<std::string, double> stage_seconds_;
  absl::Status output_error_;
  std::string first_error_;
  std::size_t taken_ = 0, found_ = 0, failed_ = 0;
};

}  // namespace

std::unique_ptr<Command> MakeDetectCommand() { return std::make_unique<DetectCommand>(); }

}  // namespace filo::client
