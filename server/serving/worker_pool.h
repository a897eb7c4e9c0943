// The threads that run a scheduler's jobs.
#pragma once

#include <thread>
#include <vector>

#include "server/serving/scheduler.h"

namespace filo::serving {

class WorkerPool {
 public:
  // `scheduler` must outlive the pool.
  WorkerPool(Scheduler* scheduler, int workers);
  // Runs what still waits, then stops the scheduler and joins the threads.
  ~WorkerPool();

 private:
  Scheduler* const scheduler_;
  std::vector<std::jthread> threads_;
};

}  // namespace filo::serving
