#include "client/command/load_options.h"

#include <csignal>

#include "client/command/options.h"
#include "client/detect/heatmap.h"
#include "client/load/parse.h"
#include "fmt/format.h"
#include "server/base/status.h"

namespace filo::client {
namespace {

absl::StatusOr<std::map<std::string, double>> ParseWeights(const std::vector<std::string>& texts) {
  std::map<std::string, double> weights;
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0)
      return FieldError("--weight", text, "look like CATEGORY=NUMBER");
    FILO_ASSIGN_OR_RETURN(weights[text.substr(0, equals)], ParseNumber("--weight", text.substr(equals + 1)));
  }
  return weights;
}

absl::StatusOr<Corpus> MakeCorpus(const LoadFlags& flags) {
  if (flags.raw_bytes.has_value()) return Corpus::FromRawBytes(*flags.raw_bytes);
  CorpusOptions options;
  options.photos = flags.photos;
  if (!flags.class_name.empty() || !flags.descriptions.empty()) {
    auto* definition = options.request.mutable_inline_category();
    definition->set_class_name(flags.class_name.empty() ? flags.category : flags.class_name);
    for (const std::string& description : flags.descriptions) definition->add_descriptions(description);
  } else if (!flags.category.empty()) {
    options.request.set_category(flags.category);
  }
  if (flags.backlog) options.request.set_priority(filo::v1::PRIORITY_BACKLOG);
  if (flags.want_map) RequestMap(options.request);
  FILO_ASSIGN_OR_RETURN(options.weights, ParseWeights(flags.weights));
  return Corpus::FromPhotos(options);
}

absl::Status PrepareReference(const LoadFlags& flags, LoadSetup& setup) {
  if (flags.check.empty() && flags.check_write.empty()) return absl::OkStatus();
  if (flags.check == "self" || !flags.check_write.empty()) {
    FILO_ASSIGN_OR_RETURN(setup.reference, Reference::Measure(*setup.connection, *setup.corpus));
    if (!flags.check_write.empty())
      FILO_RETURN_IF_ERROR(setup.reference->Save(flags.check_write, *setup.corpus));
  } else {
    FILO_ASSIGN_OR_RETURN(setup.reference, Reference::Load(flags.check, *setup.corpus));
  }
  setup.reference->set_tolerance(flags.check_tolerance);
  return absl::OkStatus();
}

void HandleSignal(int signal) {
  if (Interrupted().exchange(true)) _exit(128 + signal);
}

}  // namespace

void AddLoadFlags(CLI::App& app, LoadFlags& flags) {
  const char* what = "What is sent";
  app.add_option("corpus", flags.photos,
                 "Photographs: files, folders, patterns. Without --category, the folder that a photograph "
                 "lies in names its category")
      ->type_name("PHOTO");
  app.add_option("-c,--category", flags.category, "Category of all photographs")
      ->type_name("NAME")
      ->group(what);
  app.add_option("--class-name", flags.class_name, "Product in words, instead of a stored category")
      ->type_name("TEXT")
      ->group(what);
  app.add_option("-d,--description", flags.descriptions, "What a defect looks like; may be repeated")
      ->type_name("TEXT")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false)
      ->group(what);
  app.add_option("--weight", flags.weights,
                 "Share of a category among the requests (default 1); may be repeated")
      ->type_name("CATEGORY=NUMBER")
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false)
      ->group(what);
  app.add_option("--raw-bytes", flags.raw_bytes,
                 "Send this many zero bytes instead of photographs, to servers that do not look")
      ->group(what);
  app.add_option("--method", flags.method, "Unary method to call")->capture_default_str()->group(what);
  app.add_flag("--backlog", flags.backlog, "Send with backlog priority")->group(what);
  app.add_flag("--map", flags.want_map, "Ask for the anomaly map, too (large replies)")->group(what);

  const char* how = "How it is sent";
  app.add_option("--threads", flags.engine.threads, "Sending workers")
      ->capture_default_str()
      ->check(CLI::Range(1, 64))
      ->group(how);
  app.add_option("--connections", flags.engine.connections, "Connections, at least one per worker")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000))
      ->group(how);
  app.add_option("--max-in-flight", flags.engine.max_in_flight,
                 "Requests under way at a time; what is due beyond is counted as not sent")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000))
      ->group(how);
  AddDuration(app, "--warm-up", flags.engine.warm_up, "Send this long before measuring")->group(how);
  AddDuration(app, "--drain", flags.engine.drain, "Longest wait for answers after the last request")
      ->group(how);
  AddShare(app, "--abort-above", flags.engine.abort_above, "Share of failures that ends the run early")
      ->group(how);
  app.add_option("--seed", flags.engine.seed, "Fixes arrivals and the choice of photographs")
      ->capture_default_str()
      ->group(how);
  app.add_option("--misbehave", flags.misbehave,
                 "Shares of requests that behave badly: cancel=5%,slow-reader=1%,disconnect=1%")
      ->type_name("LIST")
      ->group(how);
  AddDuration(app, "--cancel-within", flags.engine.misbehaviour.cancel_within,
              "Misbehaving: cancel at a random moment up to this")
      ->group(how);
  AddDuration(app, "--read-after", flags.engine.misbehaviour.read_after,
              "Misbehaving: slow readers read after this")
      ->group(how);

  const char* checks = "What is checked";
  app.add_option("--check", flags.check,
                 "Reference answers (a file, or \"self\": measured before the run); others count as failures")
      ->type_name("FILE|self")
      ->group(checks);
  app.add_option("--check-write", flags.check_write, "Measure reference answers now and keep them in a file")
      ->type_name("FILE")
      ->group(checks);
  app.add_option("--check-tolerance", flags.check_tolerance,
                 "Scores may differ by this much; 0 = all parts of the answer bit for bit")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->group(checks);
  app.add_flag("--no-parse", flags.no_parse,
               "Do not look into replies: cheaper, but no stage times and no checks")
      ->group(checks);
  app.add_option("--server-metrics", flags.metrics_url,
                 "The server's Prometheus page, scraped during the run")
      ->type_name("URL")
      ->group(checks);
  AddConnectionOptions(app, flags.connection);
}

absl::Status PrepareLoad(LoadFlags& flags, LoadSetup& setup) {
  if (flags.raw_bytes.has_value() == !flags.photos.empty()) {
    return absl::InvalidArgumentError("say what to send: photographs, or --raw-bytes N");
  }
  if (flags.method.size() < 2 || flags.method[0] != '/')
    return FieldError("--method", flags.method, "look like /package.Service/Method");
  const bool checks = !flags.check.empty() || !flags.check_write.empty();
  if (checks && (flags.no_parse || flags.raw_bytes.has_value())) {
    return absl::InvalidArgumentError(
        "--check needs photographs and looks into replies; drop --no-parse and --raw-bytes");
  }
  flags.engine.method = flags.method;
  flags.engine.parse_replies =
      !flags.no_parse && !flags.raw_bytes.has_value() && flags.method == kDetectMethod;
  flags.engine.connections = std::max(flags.engine.connections, flags.engine.threads);
  if (!flags.misbehave.empty()) {
    FILO_ASSIGN_OR_RETURN(flags.engine.misbehaviour.shares, ParseMisbehaviour(flags.misbehave));
  }
  FILO_ASSIGN_OR_RETURN(setup.corpus, MakeCorpus(flags));
  FILO_ASSIGN_OR_RETURN(setup.connection, Connection::Create(flags.connection));
  FILO_RETURN_IF_ERROR(PrepareReference(flags, setup));
  setup.description.server = flags.connection.server;
  setup.description.method = flags.method;
  setup.description.deadline = flags.connection.deadline;
  for (const CorpusEntry& entry : setup.corpus->entries()) ++setup.description.corpus[entry.category];
  return absl::OkStatus();
}

std::atomic<bool>& Interrupted() {
  static std::atomic<bool> interrupted{false};
  return interrupted;
}

void InstallInterrupt() {
  Interrupted();
  std::signal(SIGINT, HandleSignal);
  std::signal(SIGTERM, HandleSignal);
}

}  // namespace filo::client
