#include "server/telemetry/log.h"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "fmt/format.h"
#include "spdlog/async.h"
#include "spdlog/sinks/basic_file_sink.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace filo::telemetry {
namespace {

constexpr std::size_t kQueueLines = 8192;
constexpr std::size_t kCountedTexts =
    1000;  // messages are constants of the program; more means somebody broke that

// Decides which lines of one text are let through: at most `limit` in every second of the wall clock.
class RateLimit {
 public:
  // The number of lines left out since the last one that passed, or -1 if this one is to be left out.
  std::int64_t Pass(std::string_view text, int limit) {
    if (limit <= 0) return 0;
    const std::int64_t second = absl::ToUnixSeconds(absl::Now());
    const std::lock_guard lock(mutex_);
    auto found = windows_.find(text);
    if (found == windows_.end()) {
      if (windows_.size() >= kCountedTexts) windows_.clear();
      found = windows_.emplace(std::string(text), Window{}).first;
    }
    Window& window = found->second;
    if (window.second != second) {
      window.second = second;
      window.lines = 0;
    }
    if (window.lines >= limit) {
      ++window.left_out;
      return -1;
    }
    ++window.lines;
    return std::exchange(window.left_out, 0);
  }

 private:
  struct Window {
    std::int64_t second = 0;
    int lines = 0;
    std::int64_t left_out = 0;
  };
  std::mutex mutex_;
  std::map<std::string, Window, std::less<>> windows_;
};

struct State {
  std::mutex mutex;
  std::shared_ptr<spdlog::logger> logger;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::atomic<int> level{static_cast<int>(Level::kInfo)};
  std::atomic<int> limit{LogOptions{}.lines_per_second_and_text};
  std::atomic<std::uint64_t> suppressed{0};
  RateLimit rate_limit;
};

State& GetState() {
  static State* state = new State;  // never destroyed: other threads may log while the process exits
  return *state;
}

std::string_view LevelName(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "error";
}

std::shared_ptr<spdlog::logger> Logger(State& state) {
  const std::lock_guard lock(state.mutex);
  if (state.logger == nullptr) {
    state.logger =
        std::make_shared<spdlog::logger>("filo", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    state.logger->set_pattern("%v");
  }
  return state.logger;
}

}  // namespace

absl::Status StartLog(const LogOptions& options) {
  State& state = GetState();
  std::shared_ptr<spdlog::sinks::sink> sink;
  if (options.file.empty()) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    try {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
    } catch (const spdlog::spdlog_ex& error) {
      return absl::InvalidArgumentError(
          fmt::format("the log file {} cannot be opened: {}", options.file, error.what()));
    }
  }
  auto pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
  auto logger = std::make_shared<spdlog::async_logger>("filo", std::move(sink), pool,
                                                       spdlog::async_overflow_policy::overrun_oldest);
  logger->set_pattern("%v");
  logger->flush_on(spdlog::level::info);
  logger->set_level(spdlog::level::trace);
  state.level = static_cast<int>(options.level);
  state.limit = options.lines_per_second_and_text;
  const std::lock_guard lock(state.mutex);
  state.logger = std::move(logger);
  state.pool = std::move(pool);
  return absl::OkStatus();
}

void StopLog() {
  State& state = GetState();
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::logger> logger;
  {
    const std::lock_guard lock(state.mutex);
    logger = std::move(state.logger);
    pool = std::move(state.pool);
    state.logger = nullptr;
  }
  logger.reset();
  pool.reset();  // its destructor writes what is queued and joins the thread
}

void Log(Level level, std::string_view message, nlohmann::json fields) {
  State& state = GetState();
  if (static_cast<int>(level) < state.level) return;
  const std::int64_t left_out = state.rate_limit.Pass(message, state.limit);
  if (left_out < 0) {
    ++state.suppressed;
    return;
  }
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", absl::Now(), absl::UTCTimeZone());
  line["level"] = LevelName(level);
  line["message"] = message;
  if (left_out > 0) line["left_out"] = left_out;
  for (auto& [key, value] : fields.items()) line[key] = std::move(value);
  constexpr auto kRepair = nlohmann::ordered_json::error_handler_t::replace;
  const std::string text = line.dump(-1, ' ', false, kRepair);
  Logger(state)->log(level == Level::kError ? spdlog::level::err : spdlog::level::info, "{}", text);
}

std::uint64_t SuppressedLogLines() { return GetState().suppressed; }

}  // namespace filo::telemetry
