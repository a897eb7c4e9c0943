#include "client/engine/recorder.h"

namespace filo::client {

void RunStats::RecordNotSent(Nanos intended) {
  if (intended < Nanos(0)) return;
  ++due;
  ++not_sent;
  Interval& interval = intervals.At(intended);
  ++interval.due;
  ++interval.not_sent;
}

void RunStats::RecordStart(Nanos intended, Nanos at) {
  if (intended < Nanos(0)) {
    ++warm_up;
    return;
  }
  ++due;
  ++started;
  ++intervals.At(intended).due;
  send_lag.Record((at - intended).count());
}

void RunStats::RecordEnd(const Outcome& outcome) {
  if (outcome.intended < Nanos(0)) return;
  const std::int64_t waited = (outcome.ended - outcome.intended).count();
  const bool good = outcome.code == grpc::StatusCode::OK && !outcome.wrong && !outcome.unfinished;
  const bool headline = outcome.code == grpc::StatusCode::OK || outcome.unfinished ||
                        outcome.code == grpc::StatusCode::DEADLINE_EXCEEDED;
  Interval& interval = intervals.At(outcome.intended);
  if (headline) {
    latency.Record(waited);
    service.Record((outcome.ended - outcome.started).count());
    by_category[outcome.category].Record(waited);
    interval.latency.Record(waited);
  }
  if (!good) failed_latency.Record(waited);
  ++(good ? succeeded : failed);
  ++(good ? interval.succeeded : interval.failed);
  wrong += outcome.wrong ? 1 : 0;
  unfinished += outcome.unfinished ? 1 : 0;
  request_bytes += outcome.request_bytes;
  reply_bytes += outcome.reply_bytes;
  if (!outcome.unfinished) ++codes[static_cast<int>(outcome.code)];
}

void RunStats::RecordStage(const std::string& stage, double seconds) {
  stages[stage].Record(Seconds(seconds).count());
}

void RunStats::Merge(const RunStats& other) {
  // All histograms have the default precision, and all series start at one second: merging cannot fail.
  latency.Merge(other.latency).IgnoreError();
  service.Merge(other.service).IgnoreError();
  failed_latency.Merge(other.failed_latency).IgnoreError();
  send_lag.Merge(other.send_lag).IgnoreError();
  for (const auto& [category, histogram] : other.by_category)
    by_category[category].Merge(histogram).IgnoreError();
  for (const auto& [stage, histogram] : other.stages) stages[stage].Merge(histogram).IgnoreError();
  intervals.Merge(other.intervals).IgnoreError();
  warm_up += other.warm_up;
  due += other.due;
  not_sent += other.not_sent;
  started += other.started;
  succeeded += other.succeeded;
  failed += other.failed;
  wrong += other.wrong;
  unfinished += other.unfinished;
  request_bytes += other.request_bytes;
  reply_bytes += other.reply_bytes;
  for (const auto& [code, count] : other.codes) codes[code] += count;
}

double RunStats::ErrorShareOfDue() const {
  return due == 0 ? 0 : static_cast<double>(failed + not_sent) / static_cast<double>(due);
}

}  // namespace filo::client
