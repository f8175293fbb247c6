#pragma once
// Written by scripts/make_golden_frechet.py. Don't edit.
#include <array>
#include <cstdint>
#include <vector>

namespace elbo::golden {

struct FrechetCase {
  int64_t rows = 0;
  int64_t features = 0;
  std::array<double, 3> a = {}, b = {};  // phase, scale, shift
  double distance = 0;
};

inline const std::vector<FrechetCase> kFrechetCases = {
    {40, 3, {0.0, 1.0, 0.0}, {0.5, 1.0, 0.0}, 0.03742200486294811},
    {40, 3, {0.0, 1.0, 0.0}, {1.3, 2.5, 0.7}, 5.150192020417713},
    {50, 8, {0.2, 3.0, 100.0}, {2.0, 0.5, 101.0}, 36.80220866919642},
    {5, 12, {0.1, 1.0, 0.0}, {0.9, 1.5, 0.0}, 6.8502572371898065},
};

}  // namespace elbo::golden
