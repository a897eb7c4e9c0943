#include "server/category/statistics.h"

#include <cmath>
#include <limits>

namespace filo::category {
namespace {

// Continued fraction of the incomplete beta function (modified Lentz; Abramowitz & Stegun 26.5.8).
double BetaFraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300;
  const auto safe = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1;
  double d = 1 / safe(1 - (a + b) * x / (a + 1));
  double h = d;
  for (int m = 1; m < 10000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / safe(1 + even * d);
    c = safe(1 + even / c);
    h *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / safe(1 + odd * d);
    c = safe(1 + odd / c);
    h *= d * c;
    if (std::abs(d * c - 1) < 1e-15) break;
  }
  return h;
}

// Where IncompleteBeta(a, b, x) reaches `probability`, by halving.
double BetaQuantile(double a, double b, double probability) {
  double low = 0, high = 1;
  for (int i = 0; i < 200 && high - low > 1e-16; ++i) {
    const double middle = (low + high) / 2;
    (IncompleteBeta(a, b, middle) < probability ? low : high) = middle;
  }
  return (low + high) / 2;
}

// lgamma without the global sign variable that makes std::lgamma unsafe between threads.
double LogGamma(double x) {
  int sign = 0;
  return lgamma_r(x, &sign);
}

}  // namespace

double IncompleteBeta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front =
      std::exp(LogGamma(a + b) - LogGamma(a) - LogGamma(b) + a * std::log(x) + b * std::log1p(-x));
  return x < (a + 1) / (a + b + 2) ? front * BetaFraction(a, b, x) / a
                                   : 1 - front * BetaFraction(b, a, 1 - x) / b;
}

double UpperBound(int successes, int trials, double confidence) {
  if (trials <= 0 || successes >= trials) return 1;
  return BetaQuantile(successes + 1, trials - successes, confidence);
}

double LowerBound(int successes, int trials, double confidence) {
  if (trials <= 0 || successes <= 0) return 0;
  return BetaQuantile(successes, trials - successes + 1, 1 - confidence);
}

int TrialsToShow(double rate, double confidence) {
  const double trials = std::ceil(std::log1p(-confidence) / std::log1p(-rate));
  return trials > std::numeric_limits<int>::max() ? std::numeric_limits<int>::max()
                                                  : static_cast<int>(trials);
}

}  // namespace filo::category
