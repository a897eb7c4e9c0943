// The little statistics that honest calibration needs. Pure functions, thread-safe.
#pragma once

namespace filo::category {

// Regularised incomplete beta function I_x(a, b); a, b > 0, x in [0, 1].
double IncompleteBeta(double a, double b, double x);

// One-sided upper confidence bound (Clopper-Pearson) of a probability of which `successes` in `trials` were
// seen: the p at which so few would be seen with probability 1 - confidence. 1 without trials. Also valid
// when the threshold was set at an order statistic of the same sample: the share of the population above the
// (k+1)-th largest of n values is Beta(k+1, n-k) distributed, whatever the distribution of the values.
double UpperBound(int successes, int trials, double confidence);
// The lower bound; 0 without trials.
double LowerBound(int successes, int trials, double confidence);

// Trials without a success after which the upper bound is at most `rate`; rate in (0, 1).
int TrialsToShow(double rate, double confidence);

}  // namespace filo::category
