#include "server/serving/worker_pool.h"

#include <pthread.h>

namespace filo::serving {

WorkerPool::WorkerPool(Scheduler* scheduler, int workers) : scheduler_(scheduler) {
  for (int i = 0; i < workers; ++i) {
    threads_.emplace_back([scheduler] {
      pthread_setname_np(pthread_self(), "filo-worker");
      while (scheduler->WaitAndRunNext()) {
      }
    });
  }
}

WorkerPool::~WorkerPool() { scheduler_->Stop(); }

}  // namespace filo::serving
