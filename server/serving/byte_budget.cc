#include "server/serving/byte_budget.h"

#include <utility>

namespace filo::serving {

ByteBudget::Lease::Lease(Lease&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

ByteBudget::Lease& ByteBudget::Lease::operator=(Lease&& other) noexcept {
  std::swap(budget_, other.budget_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

ByteBudget::Lease::~Lease() {
  if (budget_ != nullptr) budget_->Add(-bytes_);
}

void ByteBudget::Lease::Grow(std::int64_t bytes) {
  if (budget_ == nullptr) return;
  bytes_ += bytes;
  budget_->Add(bytes);
}

std::optional<ByteBudget::Lease> ByteBudget::TryTake(std::int64_t bytes) {
  std::int64_t held = held_;
  do {
    if (held > 0 && held + bytes > limit_) return std::nullopt;
  } while (!held_.compare_exchange_weak(held, held + bytes));
  if (gauge_ != nullptr) gauge_->Increment(static_cast<double>(bytes));
  return Lease(this, bytes);
}

void ByteBudget::Add(std::int64_t bytes) {
  held_ += bytes;
  if (gauge_ != nullptr) gauge_->Increment(static_cast<double>(bytes));
}

}  // namespace filo::serving
