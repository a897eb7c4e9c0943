#include "client/detect/writers.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "client/load/parse.h"
#include "client/rpc/error.h"
#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace filo::client {
namespace {

constexpr std::size_t kMaxNameColumns = 48;
constexpr std::size_t kPhraseColumns = 28;

std::string Pad(const std::string& text, std::size_t width) {
  const std::string fitted = Fit(text, width);
  return fitted + std::string(width - std::min(width, Columns(fitted)), ' ');
}

class TableWriter final : public AnswerWriter {
 public:
  TableWriter(std::FILE* out, std::size_t names_width, bool colour)
      : out_(out), name_width_(std::clamp<std::size_t>(names_width, 4, kMaxNameColumns)), colour_(colour) {}

  void Write(const Answer& answer) override {
    if (!header_written_) {
      fmt::print(out_, "{}  {:<7} {:>8}  {:<13} {:>5}  {}  {:>8}\n", Pad("FILE", name_width_), "VERDICT",
                 "SCORE", "POSITION", "BOXES", Pad("TOP PHRASE", kPhraseColumns), "TIME");
      header_written_ = true;
    }
    if (!answer.ok()) {
      fmt::print(out_, "{}  {}  {}\n", Pad(answer.file.name, name_width_), Paint("FAILED ", "31"),
                 ErrorLine(answer));
    } else {
      WriteResult(answer);
    }
    std::fflush(out_);
  }

 private:
  void WriteResult(const Answer& answer) {
    const filo::v1::Box* top = TopBox(answer.result);
    const std::string phrase =
        top == nullptr ? "-" : fmt::format("{} ({:.2f})", top->phrase(), top->confidence());
    const std::string word = VerdictWord(VerdictOf(answer));
    const char* colour = word == "NG" ? "31;1" : word == "UNSURE" ? "33;1" : "32";
    const std::string verdict =
        word.empty() ? std::string("-      ") : Paint(fmt::format("{:<7}", word), colour);
    const std::string position = answer.result.position().empty() ? "-" : answer.result.position();
    fmt::print(out_, "{}  {} {:>8.4f}  {:<13} {:>5}  {}  {:>8}\n", Pad(answer.file.name, name_width_),
               verdict, answer.result.score(), position, answer.result.boxes_size(),
               Pad(phrase, kPhraseColumns), FormatDuration(Seconds(answer.seconds)));
    for (const std::string& warning : answer.result.warnings()) {
      fmt::print(out_, "{}  note: {}\n", std::string(name_width_, ' '), warning);
    }
  }

  std::string Paint(const std::string& text, const char* code) const {
    return colour_ ? fmt::format("\033[{}m{}\033[0m", code, text) : text;
  }

  std::FILE* out_;
  std::size_t name_width_;
  bool colour_;
  bool header_written_ = false;
};

class JsonWriter final : public AnswerWriter {
 public:
  explicit JsonWriter(std::FILE* out) : out_(out) {}
  void Write(const Answer& answer) override {
    fmt::print(out_, "{}\n", AnswerJson(answer));
    std::fflush(out_);
  }

 private:
  std::FILE* out_;
};

std::string CsvField(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

class CsvWriter final : public AnswerWriter {
 public:
  explicit CsvWriter(std::FILE* out) : out_(out) {
    fmt::print(
        out_,
        "file,verdict,score,global_score,map_maximum,threshold,position,boxes,top_phrase,top_confidence,"
        "seconds,result_id,error\n");
  }
  void Write(const Answer& answer) override {
    if (!answer.ok()) {
      fmt::print(out_, "{},,,,,,,,,,,,{}\n", CsvField(answer.file.name), CsvField(ErrorLine(answer)));
      return;
    }
    const filo::v1::DetectionResult& result = answer.result;
    const filo::v1::Box* top = TopBox(result);
    const std::optional<double> threshold = ThresholdOf(answer);
    fmt::print(out_, "{},{},{},{},{},{},{},{},{},{},{:.6f},{},\n", CsvField(answer.file.name),
               VerdictWord(VerdictOf(answer)), result.score(), result.global_score(), result.map_maximum(),
               threshold.has_value() ? fmt::format("{}", *threshold) : "", CsvField(result.position()),
               result.boxes_size(), top == nullptr ? "" : CsvField(top->phrase()),
               top == nullptr ? "" : fmt::format("{}", top->confidence()), answer.seconds,
               CsvField(result.result_id()));
    std::fflush(out_);
  }

 private:
  std::FILE* out_;
};

nlohmann::json ErrorJson(const Answer& answer) {
  if (!answer.unread.ok()) {
    return {{"code", absl::StatusCodeToString(answer.unread.code())}, {"message", ErrorLine(answer)}};
  }
  const RpcErrorDetails details = ReadDetails(answer.status);
  nlohmann::json violations = nlohmann::json::array();
  for (const auto& [field, description] : details.violations) {
    violations.push_back({{"field", field}, {"description", description}});
  }
  return {{"code", CodeName(answer.status.error_code())},
          {"message", answer.status.error_message()},
          {"reason", details.reason},
          {"violations", violations}};
}

}  // namespace

std::size_t Columns(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0u) != 0x80u; }));
}

std::string Fit(const std::string& text, std::size_t width) {
  if (Columns(text) <= width || width < 3) return text;
  // Starts of the code points, then the end.
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0u) != 0x80u) starts.push_back(i);
  }
  const std::size_t head = (width - 1) / 3;
  const std::size_t tail = width - 1 - head;
  return text.substr(0, starts[head]) + "…" + text.substr(starts[starts.size() - tail]);
}

std::string AnswerJson(const Answer& answer) {
  nlohmann::json line = {
      {"file", answer.file.name}, {"seconds", answer.seconds}, {"attempts", answer.attempts}};
  if (!answer.ok()) {
    line["error"] = ErrorJson(answer);
    return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  line["verdict"] = VerdictWord(VerdictOf(answer));
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string result;
  if (google::protobuf::util::MessageToJsonString(answer.result, &result, options).ok()) {
    line["result"] = nlohmann::json::parse(result, nullptr, /*allow_exceptions=*/false);
  }
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::unique_ptr<AnswerWriter> MakeTableWriter(std::FILE* out, std::size_t names_width, bool colour) {
  return std::make_unique<TableWriter>(out, names_width, colour);
}
std::unique_ptr<AnswerWriter> MakeJsonWriter(std::FILE* out) { return std::make_unique<JsonWriter>(out); }
std::unique_ptr<AnswerWriter> MakeCsvWriter(std::FILE* out) { return std::make_unique<CsvWriter>(out); }

}  // namespace filo::client
