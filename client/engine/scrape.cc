#include "client/engine/scrape.h"

#include <curl/curl.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <sstream>

#include "client/load/parse.h"
#include "fmt/format.h"

namespace filo::client {
namespace {

constexpr std::size_t kMaxBody = std::size_t{32} << 20;

std::size_t Append(char* data, std::size_t size, std::size_t count, void* body) {
  auto& text = *static_cast<std::string*>(body);
  if (text.size() + size * count > kMaxBody) return 0;
  text.append(data, size * count);
  return size * count;
}

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

bool IsInteresting(const std::string& name) {
  for (const char* part : {"process_cpu_seconds", "process_resident_memory", "process_threads",
                           "process_num_threads", "queue", "in_flight", "running", "batch_size"}) {
    if (name.find(part) != std::string::npos) return !EndsWith(name, "_sum") && !EndsWith(name, "_count");
  }
  return false;
}

Series ToRate(const Series& counter) {
  Series rate;
  for (std::size_t i = 1; i < counter.size(); ++i) {
    const double seconds = counter[i].first - counter[i - 1].first;
    if (seconds > 0)
      rate.emplace_back(counter[i].first, std::max(0.0, counter[i].second - counter[i - 1].second) / seconds);
  }
  return rate;
}

}  // namespace

std::map<std::string, double> ParseMetrics(const std::string& text) {
  std::map<std::string, double> samples;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line[0] == '#') continue;
    const std::size_t name_end = line.find_first_of("{ ");
    // A label's value may hold anything, '}' and blanks included, so the closing brace is the last one.
    std::size_t value_begin = name_end;
    if (name_end != std::string::npos && line[name_end] == '{') {
      value_begin = line.rfind('}');
      if (value_begin != std::string::npos) ++value_begin;
    }
    if (value_begin == std::string::npos) continue;
    const std::string name = line.substr(0, name_end);
    if (EndsWith(name, "_bucket")) continue;
    const std::size_t begin = line.find_first_not_of(' ', value_begin);
    if (begin == std::string::npos) continue;
    const std::size_t end = std::min(line.find(' ', begin), line.size());
    const auto value = ParseNumber("metric", std::string_view(line).substr(begin, end - begin));
    if (value.ok()) samples[name] += *value;
  }
  return samples;
}

absl::StatusOr<std::string> HttpGet(const std::string& url, Nanos timeout) {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(ready ? curl_easy_init() : nullptr,
                                                                 curl_easy_cleanup);
  if (curl == nullptr) return absl::UnavailableError("libcurl cannot be initialised");
  std::string body;
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(ToMillis(timeout)));
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Append);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &body);
  const CURLcode code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) return absl::UnavailableError(fmt::format("{}: {}", url, curl_easy_strerror(code)));
  return body;
}

MetricsScraper::MetricsScraper(std::string url, Nanos period)
    : url_(std::move(url)), period_(period), origin_(std::chrono::steady_clock::now().time_since_epoch()) {
  if (!url_.empty()) thread_ = std::thread([this] { Work(); });
}

MetricsScraper::~MetricsScraper() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void MetricsScraper::SetOrigin(Nanos steady_now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  origin_ = steady_now;
  samples_.clear();
}

void MetricsScraper::Work() {
  Nanos next = std::chrono::steady_clock::now().time_since_epoch();
  while (!stop_) {
    const auto text = HttpGet(url_, std::chrono::seconds(2));
    const Nanos now = std::chrono::steady_clock::now().time_since_epoch();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!text.ok()) {
        error_ = std::string(text.status().message());
      } else {
        for (const auto& [name, value] : ParseMetrics(*text)) {
          if (IsInteresting(name)) samples_[name].emplace_back(ToSeconds(now - origin_), value);
        }
      }
    }
    next = std::max(next + period_, now);
    while (!stop_ && std::chrono::steady_clock::now().time_since_epoch() < next) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }
}

std::map<std::string, Series> MetricsScraper::Interesting() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::map<std::string, Series> series;
  for (const auto& [name, samples] : samples_)
    series[name] = EndsWith(name, "_seconds_total") ? ToRate(samples) : samples;
  return series;
}

std::string MetricsScraper::error() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return error_;
}

}  // namespace filo::client
