#include "server/rpc/detector_service.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "server/base/status.h"
#include "server/rpc/reply.h"
#include "server/rpc/status_mapping.h"
#include "server/serving/errors.h"
#include "server/telemetry/ids.h"
#include "server/telemetry/log.h"

namespace filo::rpc {
namespace {

using telemetry::Level;

// One Detect call. gRPC's threads parse and check it and put it into the queue; a worker does the work and
// answers. Finish is called exactly once: here when the call is refused, else by the scheduler's run or drop.
// gRPC deletes the call through OnDone when the reply is out of its hands, and only after a running OnCancel
// has returned.
class DetectCall final : public grpc::ServerUnaryReactor {
 public:
  DetectCall(const ServiceContext& services, grpc::CallbackServerContext* context,
             const filo::v1::DetectRequest* request, filo::v1::DetectResponse* response)
      : services_(services),
        context_(context),
        request_(request),
        response_(response),
        arrival_(services.clock->Now()),
        state_(Deadline(*context), services.clock),
        job_id_(services.scheduler->NewId()),
        trace_(request->trace()) {
    services_.calls->Begin();
    if (trace_.request_id().empty()) trace_.set_request_id(telemetry::MakeId(arrival_));
    caller_trace_ = CallerTrace(*context);
    if (absl::Status refused = Enqueue(); !refused.ok()) Answer(refused);
  }
  ~DetectCall() override { services_.calls->End(); }

  void OnCancel() override {
    state_.Cancel();
    services_.scheduler->Cancel(job_id_);
  }
  void OnDone() override { delete this; }

 private:
  absl::Status Enqueue() {
    FILO_ASSIGN_OR_RETURN(parsed_, ParseDetect(*request_, services_.limits));
    model_ = services_.models->Current();
    if (model_ == nullptr) {
      return serving::WithRetryDelay(
          serving::WithReason(absl::UnavailableError("the model is still being loaded"), "STARTING"),
          absl::Seconds(1));
    }
    if (parsed_.stored) {
      FILO_ASSIGN_OR_RETURN(parsed_.inspection.category,
                            services_.categories->Find(parsed_.inspection.category.id));
    }
    auto lease = services_.bytes->TryTake(static_cast<std::int64_t>(request_->ByteSizeLong()));
    if (!lease.has_value()) {
      services_.metrics->AdmissionRefused("too_many_bytes");
      return serving::WithRetryDelay(
          serving::WithReason(absl::ResourceExhaustedError("too many bytes are in flight"), "TOO_MANY_BYTES"),
          std::max(services_.scheduler->estimated_cost(), absl::Milliseconds(50)));
    }
    lease_ = *std::move(lease);
    serving::Job job;
    job.id = job_id_;
    job.priority = parsed_.priority;
    job.client = ClientKey(*context_);
    job.deadline = state_.deadline();
    job.run = [this] { return Work(); };
    job.drop = [this](const absl::Status& status) { Answer(status); };
    return services_.scheduler->Submit(std::move(job));
  }

  // In a worker's thread. `this` may be gone when it returns.
  bool Work() {
    const absl::Time begin = services_.clock->Now();
    services_.metrics->Stage("queue", absl::ToDoubleSeconds(begin - arrival_));
    auto inspection = serving::Inspect(parsed_.inspection, services_.limits.decode, std::move(model_), state_,
                                       services_.metrics);
    if (!inspection.ok()) {
      NoteDrop(inspection.status());
      Answer(RenameFields(inspection.status(), !parsed_.stored));
      return false;
    }
    ReplyContext reply;
    reply.completion = services_.clock->Now();
    reply.result_id = telemetry::MakeId(reply.completion);
    reply.arrival = arrival_;
    reply.queue_seconds = absl::ToDoubleSeconds(begin - arrival_);
    FillResult(&*inspection, parsed_.inspection.category, request_->outputs(), request_->inspection(), trace_,
               reply, response_->mutable_result());
    lease_.Grow(static_cast<std::int64_t>(response_->ByteSizeLong()));
    services_.metrics->Detection(parsed_.inspection.category.id,
                                 VerdictLabel(response_->result().decision().verdict()),
                                 response_->result().score());
    Answer(absl::OkStatus());
    return true;
  }

  void NoteDrop(const absl::Status& status) {
    if (absl::IsCancelled(status)) services_.metrics->Dropped("cancelled", "stage");
    if (absl::IsDeadlineExceeded(status)) services_.metrics->Dropped("deadline", "stage");
  }

  void Answer(const absl::Status& status) {
    LogAnswer(status);
    Finish(ToGrpcStatus(status, trace_.request_id(), context_));
  }

  void LogAnswer(const absl::Status& status) const {
    nlohmann::json fields = {{"method", "Detect"},
                             {"request_id", trace_.request_id()},
                             {"peer", context_->peer()},
                             {"code", absl::StatusCodeToString(status.code())},
                             {"seconds", absl::ToDoubleSeconds(services_.clock->Now() - arrival_)}};
    if (!trace_.part_serial().empty()) fields["part_serial"] = trace_.part_serial();
    if (!trace_.station().empty()) fields["station"] = trace_.station();
    if (caller_trace_.has_value()) {
      fields["trace_id"] = caller_trace_->trace_id;
      fields["parent_id"] = caller_trace_->parent_id;
    }
    if (status.ok()) {
      fields["result_id"] = response_->result().result_id();
      fields["score"] = response_->result().score();
      fields["category"] = parsed_.inspection.category.id;
      fields["verdict"] = VerdictLabel(response_->result().decision().verdict());
      telemetry::Log(Level::kInfo, "detected", std::move(fields));
    } else {
      fields["error"] = std::string(status.message());
      telemetry::Log(absl::IsInternal(status) ? Level::kError : Level::kWarning, "not detected",
                     std::move(fields));
    }
  }

  const ServiceContext& services_;
  grpc::CallbackServerContext* const context_;
  const filo::v1::DetectRequest* const request_;
  filo::v1::DetectResponse* const response_;
  const absl::Time arrival_;
  serving::CallState state_;
  const std::uint64_t job_id_;
  filo::v1::Trace trace_;
  std::optional<telemetry::TraceContext> caller_trace_;
  ParsedDetect parsed_;
  std::shared_ptr<const serving::LoadedModel> model_;
  serving::ByteBudget::Lease lease_;
};

}  // namespace

grpc::ServerUnaryReactor* DetectorService::Detect(grpc::CallbackServerContext* context,
                                                  const filo::v1::DetectRequest* request,
                                                  filo::v1::DetectResponse* response) {
  return new DetectCall(context_, context, request, response);
}

}  // namespace filo::rpc
