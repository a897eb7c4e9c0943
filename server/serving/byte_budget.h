// Bounds the bytes of all requests and replies that the server holds at a time. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "prometheus/gauge.h"

namespace filo::serving {

class ByteBudget {
 public:
  // Gives its bytes back when it goes. Movable; outlived by its budget.
  class Lease {
   public:
    Lease() = default;
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease();
    // Adds bytes that are known only later (a reply). Never refused: the work is done.
    void Grow(std::int64_t bytes);

   private:
    friend class ByteBudget;
    Lease(ByteBudget* budget, std::int64_t bytes) : budget_(budget), bytes_(bytes) {}
    ByteBudget* budget_ = nullptr;
    std::int64_t bytes_ = 0;
  };

  // `gauge` may be null; it shows the bytes held.
  ByteBudget(std::int64_t limit, prometheus::Gauge* gauge) : limit_(limit), gauge_(gauge) {}

  // Nothing when the limit would be passed; but a request is always let in when nothing else is held.
  std::optional<Lease> TryTake(std::int64_t bytes);
  std::int64_t held() const { return held_; }
  std::int64_t limit() const { return limit_; }

 private:
  void Add(std::int64_t bytes);
  const std::int64_t limit_;
  prometheus::Gauge* const gauge_;
  std::atomic<std::int64_t> held_{0};
};

}  // namespace filo::serving
