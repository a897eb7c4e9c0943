#include "server/telemetry/ids.h"

#include <array>
#include <random>

namespace filo::telemetry {

std::uint64_t RandomBits() {
  thread_local std::mt19937_64 generator = [] {
    std::random_device device;
    std::seed_seq seed{device(), device(), device(), device()};
    return std::mt19937_64(seed);
  }();
  return generator();
}

std::string MakeId(absl::Time now) {
  constexpr char kAlphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  // 130 bits in 26 groups of 5: 2 zero bits, 48 of time, 80 of chance.
  const auto milliseconds = static_cast<std::uint64_t>(absl::ToUnixMillis(now)) & 0xFFFFFFFFFFFFu;
  std::string id(26, '0');
  for (int i = 0; i < 10; ++i)
    id[static_cast<std::size_t>(i)] = kAlphabet[(milliseconds >> (45 - 5 * i)) & 31u];
  const std::array<std::uint64_t, 2> chance{RandomBits(), RandomBits()};
  for (int i = 0; i < 16; ++i) {
    id[static_cast<std::size_t>(10 + i)] =
        kAlphabet[(chance[static_cast<std::size_t>(i / 8)] >> (5 * (i % 8))) & 31u];
  }
  return id;
}

}  // namespace filo::telemetry
