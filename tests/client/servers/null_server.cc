// A gRPC server that does nothing, as fast as gRPC lets it: any unary method is answered with the same bytes.
// What a load generator reaches against it is the generator's own ceiling.
//
//   filo_null_server [--listen 127.0.0.1:0] [--threads 1] [--reply-bytes 0]
//
// Prints "listening on HOST:PORT" once it serves, and "first call" when one came; SIGTERM ends it.
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "fmt/format.h"

namespace {

std::atomic<bool> any_call{false};

// One call slot; reused by making a new one when a call comes in.
class Call {
 public:
  Call(grpc::AsyncGenericService* service, grpc::ServerCompletionQueue* queue, const grpc::ByteBuffer* reply)
      : service_(service), queue_(queue), reply_(reply), stream_(&context_) {
    service_->RequestCall(&context_, &stream_, queue_, queue_, this);
  }

  void Advance(bool ok) {
    switch (state_) {
      case State::kWaiting:
        if (!ok) break;  // shutting down
        new Call(service_, queue_, reply_);
        if (!any_call.exchange(true)) {
          fmt::print("first call\n");
          std::fflush(stdout);
        }
        state_ = State::kReading;
        stream_.Read(&request_, this);
        return;
      case State::kReading:
        state_ = State::kFinishing;
        if (ok) {
          stream_.WriteAndFinish(*reply_, grpc::WriteOptions(), grpc::Status::OK, this);
        } else {
          stream_.Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no request"), this);
        }
        return;
      case State::kFinishing:
        break;
    }
    delete this;
  }

 private:
  enum class State { kWaiting, kReading, kFinishing };
  grpc::AsyncGenericService* service_;
  grpc::ServerCompletionQueue* queue_;
  const grpc::ByteBuffer* reply_;
  grpc::GenericServerContext context_;
  grpc::GenericServerAsyncReaderWriter stream_;
  grpc::ByteBuffer request_;
  State state_ = State::kWaiting;
};

}  // namespace

int main(int argc, char** argv) {
  std::string listen = "127.0.0.1:0";
  int threads = 1;
  std::size_t reply_bytes = 0;
  CLI::App app("A gRPC server that does nothing");
  app.add_option("--listen", listen);
  app.add_option("--threads", threads)->check(CLI::Range(1, 64));
  app.add_option("--reply-bytes", reply_bytes);
  CLI11_PARSE(app, argc, argv);

  sigset_t stop_signals;
  sigemptyset(&stop_signals);
  sigaddset(&stop_signals, SIGTERM);
  sigaddset(&stop_signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stop_signals, nullptr);

  grpc::Slice slice(std::string(reply_bytes, '\0'));
  const grpc::ByteBuffer reply(&slice, 1);
  grpc::AsyncGenericService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterAsyncGenericService(&service);
  builder.SetMaxReceiveMessageSize(-1);
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
  for (int i = 0; i < threads; ++i) queues.push_back(builder.AddCompletionQueue());
  const auto server = builder.BuildAndStart();
  if (server == nullptr) {
    fmt::print(stderr, "cannot listen on {}\n", listen);
    return 3;
  }
  constexpr int kOpenCalls = 100;
  std::vector<std::thread> workers;
  for (auto& queue : queues) {
    for (int i = 0; i < kOpenCalls; ++i) new Call(&service, queue.get(), &reply);
    workers.emplace_back([&queue] {
      void* tag = nullptr;
      bool ok = false;
      while (queue->Next(&tag, &ok)) static_cast<Call*>(tag)->Advance(ok);
    });
  }
  fmt::print("listening on {}:{}\n", listen.substr(0, listen.rfind(':')), port);
  std::fflush(stdout);
  int signal = 0;
  sigwait(&stop_signals, &signal);
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
  for (auto& queue : queues) queue->Shutdown();
  for (std::thread& worker : workers) worker.join();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double cpu = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  fmt::print("cpu {:.2f} s\n", cpu);
  return 0;
}
