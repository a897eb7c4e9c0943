#include <fstream>

#include "client/command/command.h"
#include "client/command/options.h"
#include "client/report/compare.h"
#include "client/report/load_json.h"
#include "client/report/load_report.h"
#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

class CompareCommand final : public SimpleCommand {
 public:
  void Register(CLI::App& app) override {
    CLI::App* sub =
        Add(app, "compare",
            "Says whether run B is worse than run A, with confidence intervals; exit code 1 if it is");
    sub->add_option("a", a_, "Run A, made by load --out")->type_name("FILE")->required();
    sub->add_option("b", b_, "Run B")->type_name("FILE")->required();
    AddShare(*sub, "--tolerance", tolerance_, "A change smaller than this share of A is no difference");
    AddShare(*sub, "--confidence", confidence_, "Confidence of all findings together");
    sub->add_flag("--json", json_, "Print JSON");
  }

  absl::StatusOr<int> Run() override {
    FILO_ASSIGN_OR_RETURN(const nlohmann::json a, ReadLoadJson(a_));
    FILO_ASSIGN_OR_RETURN(const nlohmann::json b, ReadLoadJson(b_));
    const Comparison comparison = Compare(a, b, tolerance_, confidence_);
    fmt::print("{}", json_ ? ComparisonJson(comparison).dump() + "\n" : ComparisonText(comparison));
    return comparison.worse ? kFound : kDone;
  }

 private:
  std::string a_, b_;
  double tolerance_ = 0;
  double confidence_ = 0.95;
  bool json_ = false;
};

// Old runs may be looked at again without being repeated.
class ReportCommand final : public SimpleCommand {
 public:
  void Register(CLI::App& app) override {
    CLI::App* sub = Add(app, "report", "Makes the HTML page of a run that load --out kept");
    sub->add_option("run", run_, "Run, made by load --out")->type_name("FILE")->required();
    sub->add_option("page", page_, "HTML page to write")->type_name("FILE")->required();
  }

  absl::StatusOr<int> Run() override {
    FILO_ASSIGN_OR_RETURN(const nlohmann::json run, ReadLoadJson(run_));
    std::ofstream file(page_, std::ios::binary);
    file << LoadReportHtml(run);
    file.close();
    if (!file) return absl::FailedPreconditionError(fmt::format("cannot write {}", page_));
    return kDone;
  }

 private:
  std::string run_, page_;
};

}  // namespace

std::unique_ptr<Command> MakeCompareCommand() { return std::make_unique<CompareCommand>(); }
std::unique_ptr<Command> MakeReportCommand() { return std::make_unique<ReportCommand>(); }

}  // namespace filo::client
