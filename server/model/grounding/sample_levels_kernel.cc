#include "server/model/grounding/sample_levels_kernel.h"

#include <algorithm>
#include <cmath>

#include "ATen/Parallel.h"

namespace filo::model {
namespace {

// A channel count that the compiler knows unrolls the innermost loop into whole vector registers.
constexpr std::int64_t kCommonHeadWidth = 32;

template <typename T>
struct Problem {
  const T* value;      // [batch, tokens, heads, width]
  const T* locations;  // [batch, queries, heads, levels, points, 2]
  const T* weights;    // [batch, queries, heads, levels, points]
  T* output;           // [batch, queries, heads, width]
  const std::vector<Level>* levels;
  std::int64_t tokens, queries, heads, width, points;
};

// output += scale * value, `width` channels.
template <typename T, std::int64_t kWidth>
[[gnu::always_inline]] inline void AddScaled(T* __restrict output, const T* __restrict value, T scale,
                                             std::int64_t width) {
  const std::int64_t channels = kWidth > 0 ? kWidth : width;
  for (std::int64_t c = 0; c < channels; ++c) output[c] += scale * value[c];
}

// One head of one query.
template <typename T, std::int64_t kWidth>
[[gnu::always_inline]] inline void SampleHead(const Problem<T>& p, const T* value, const T* location,
                                              const T* weight, T* __restrict output) {
  const std::int64_t stride = p.heads * p.width;  // from a token to the next
  for (const Level& level : *p.levels) {
    for (std::int64_t k = 0; k < p.points; ++k, location += 2, ++weight) {
      const T x = location[0] * static_cast<T>(level.columns) - T(0.5);
      const T y = location[1] * static_cast<T>(level.rows) - T(0.5);
      // Also false for NaN. Further out no corner is inside, and the cast below would overflow.
      if (!(x > -1 && y > -1 && x < static_cast<T>(level.columns) && y < static_cast<T>(level.rows)))
        continue;
      const T left = std::floor(x), top = std::floor(y);
      const T right_share = x - left, bottom_share = y - top;
      const auto column = static_cast<std::int64_t>(left), row = static_cast<std::int64_t>(top);
      const bool has_left = column >= 0, has_right = column + 1 < level.columns;
      const std::int64_t upper =
          (row * level.columns + column) * stride;  // of the left corner; may be outside
      const std::int64_t lower = upper + level.columns * stride;
      const T upper_weight = *weight * (1 - bottom_share), lower_weight = *weight * bottom_share;
      if (row >= 0) {
        if (has_left) AddScaled<T, kWidth>(output, value + upper, upper_weight * (1 - right_share), p.width);
        if (has_right)
          AddScaled<T, kWidth>(output, value + upper + stride, upper_weight * right_share, p.width);
      }
      if (row + 1 < level.rows) {
        if (has_left) AddScaled<T, kWidth>(output, value + lower, lower_weight * (1 - right_share), p.width);
        if (has_right)
          AddScaled<T, kWidth>(output, value + lower + stride, lower_weight * right_share, p.width);
      }
    }
    value += level.tokens() * stride;
  }
}

// Queries [begin, end) of all images, numbered through.
template <typename T, std::int64_t kWidth>
[[gnu::always_inline]] inline void SampleQueries(const Problem<T>& p, std::int64_t begin, std::int64_t end) {
  const std::int64_t samples = static_cast<std::int64_t>(p.levels->size()) * p.points;
  for (std::int64_t q = begin; q < end; ++q) {
    const T* image = p.value + q / p.queries * p.tokens * p.heads * p.width;
    for (std::int64_t h = 0; h < p.heads; ++h) {
      const std::int64_t head = q * p.heads + h;
      SampleHead<T, kWidth>(p, image + h * p.width, p.locations + head * samples * 2,
                            p.weights + head * samples, p.output + head * p.width);
    }
  }
}

template <typename T>
[[gnu::always_inline]] inline void SampleQueriesAnyWidth(const Problem<T>& p, std::int64_t begin,
                                                         std::int64_t end) {
  if (p.width == kCommonHeadWidth) {
    SampleQueries<T, kCommonHeadWidth>(p, begin, end);
  } else {
    SampleQueries<T, 0>(p, begin, end);
  }
}

template <typename T>
void SampleBaseline(const Problem<T>& p, std::int64_t begin, std::int64_t end) {
  SampleQueriesAnyWidth(p, begin, end);
}

#if defined(__x86_64__)
// The same source compiled for wider registers, chosen at run time. No fused multiply-add (the build forbids
// contraction), so every path rounds alike and gives the same bits.
template <typename T>
[[gnu::target("avx2")]] void SampleAvx2(const Problem<T>& p, std::int64_t begin, std::int64_t end) {
  SampleQueriesAnyWidth(p, begin, end);
}

template <typename T>
[[gnu::target("avx512f,prefer-vector-width=512")]] void SampleAvx512(const Problem<T>& p, std::int64_t begin,
                                                                     std::int64_t end) {
  SampleQueriesAnyWidth(p, begin, end);
}
#endif

template <typename T>
using Kernel = void (*)(const Problem<T>&, std::int64_t, std::int64_t);

template <typename T>
Kernel<T> ChooseKernel() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return SampleAvx512<T>;
  if (__builtin_cpu_supports("avx2")) return SampleAvx2<T>;
#endif
  return SampleBaseline<T>;
}

template <typename T>
void Run(const at::Tensor& value, const std::vector<Level>& levels, const at::Tensor& locations,
         const at::Tensor& weights, at::Tensor& output) {
  static const Kernel<T> kernel = ChooseKernel<T>();
  const Problem<T> problem{.value = value.const_data_ptr<T>(),
                           .locations = locations.const_data_ptr<T>(),
                           .weights = weights.const_data_ptr<T>(),
                           .output = output.mutable_data_ptr<T>(),
                           .levels = &levels,
                           .tokens = value.size(1),
                           .queries = locations.size(1),
                           .heads = value.size(2),
                           .width = value.size(3),
                           .points = locations.size(4)};
  constexpr std::int64_t kGrain = 32;  // queries; some ten microseconds of work
  at::parallel_for(0, value.size(0) * problem.queries, kGrain,
                   [&](std::int64_t begin, std::int64_t end) { kernel(problem, begin, end); });
}

}  // namespace

at::Tensor SampleLevelsOnCpu(const at::Tensor& value, const std::vector<Level>& levels,
                             const at::Tensor& locations, const at::Tensor& weights) {
  at::Tensor output =
      at::zeros({value.size(0), locations.size(1), value.size(2) * value.size(3)}, value.options());
  if (value.scalar_type() == at::kDouble) {
    Run<double>(value, levels, locations, weights, output);
  } else {
    Run<float>(value, levels, locations, weights, output);
  }
  return output;
}

}  // namespace filo::model
