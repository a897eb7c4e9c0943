#include "server/image/weighted_sum.h"

#include <algorithm>

namespace filo::image {
namespace {

constexpr std::size_t kChunk = 32;  // sums that stay in registers: four of AVX2's
constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

inline std::uint8_t Clip8(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

// Inlined into one function per instruction set, so that the compiler vectorises it for each.
[[gnu::always_inline]] inline void Body(const std::uint8_t* in, std::size_t step, const std::int32_t* weights,
                                        int count, std::size_t lanes, std::uint8_t* out) {
  std::size_t lane = 0;
  for (; lane + kChunk <= lanes; lane += kChunk) {
    std::int32_t sums[kChunk];
    for (std::size_t i = 0; i < kChunk; ++i) sums[i] = kHalf;
    const std::uint8_t* row = in + lane;
    for (int k = 0; k < count; ++k, row += step) {
      const std::int32_t weight = weights[k];
      for (std::size_t i = 0; i < kChunk; ++i) sums[i] += row[i] * weight;
    }
    for (std::size_t i = 0; i < kChunk; ++i) out[lane + i] = Clip8(sums[i]);
  }
  for (; lane < lanes; ++lane) {
    std::int32_t sum = kHalf;
    for (int k = 0; k < count; ++k) sum += in[k * step + lane] * weights[k];
    out[lane] = Clip8(sum);
  }
}

void Portable(const std::uint8_t* in, std::size_t step, const std::int32_t* weights, int count,
              std::size_t lanes, std::uint8_t* out) {
  Body(in, step, weights, count, lanes, out);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void Avx2(const std::uint8_t* in, std::size_t step, const std::int32_t* weights,
                                  int count, std::size_t lanes, std::uint8_t* out) {
  Body(in, step, weights, count, lanes, out);
}
#endif

}  // namespace

void WeightedSum(const std::uint8_t* in, std::size_t step, const std::int32_t* weights, int count,
                 std::size_t lanes, std::uint8_t* out) {
#if defined(__x86_64__)
  static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  if (has_avx2) return Avx2(in, step, weights, count, lanes, out);
#endif
  Portable(in, step, weights, count, lanes, out);
}

}  // namespace filo::image
