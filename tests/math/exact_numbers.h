#pragma once
#include <torch/types.h>

#include <cstdint>

#include "elbo/math/shapes.h"

/// Numbers made by integers and one product, and what stands for all their bits: both the same on every machine.
namespace elbo::exact_numbers {

/// Numbers in [-1, 1] that no vector instruction has touched.
inline Tensor scattered(at::IntArrayRef shape, int64_t salt = 0) {
  const auto integers = (torch::arange(c10::multiply_integers(shape)) * 7919 + salt * 104729).remainder(10007);
  return (integers.to(torch::kDouble) * (1.0 / 5003) - 1).view(shape);
}

/// FNV-1a over 64-bit words.
inline uint64_t hash_of(const Tensor& numbers) {
  const auto bits = numbers.contiguous().view(torch::kLong);
  uint64_t hash = 1469598103934665603ULL;
  for (int64_t i = 0; i < bits.numel(); ++i)
    hash = (hash ^ static_cast<uint64_t>(bits.data_ptr<int64_t>()[i])) * 1099511628211ULL;
  return hash;
}

}  // namespace elbo::exact_numbers
