#pragma once
#include <gtest/gtest.h>
#include <torch/types.h>

#include <vector>

#include "elbo/math/shapes.h"

namespace elbo {

/// A float64 tensor of these values, row by row.
inline Tensor values(std::vector<double> numbers, at::IntArrayRef shape) {
  return torch::tensor(numbers, torch::kDouble).view(shape).clone();
}
inline Tensor values(std::vector<double> numbers) { return torch::tensor(numbers, torch::kDouble); }

/// Distinct, smooth numbers in [-1, 1] without any generator: the same on every machine.
inline Tensor wavy(at::IntArrayRef shape, double phase = 0) {
  return (torch::arange(c10::multiply_integers(shape), torch::kDouble) * 1.7 + phase).sin().view(shape);
}

/// Fails unless the shapes are equal and |actual - expected| <= atol + rtol |expected| in each element; names the worst one.
/// Equal infinities are close, a NaN is close to nothing.
inline void expect_close(const Tensor& actual, const Tensor& expected, double rtol = 1e-6, double atol = 0) {
  ASSERT_TRUE(actual.defined() && expected.defined());
  ASSERT_EQ(actual.sizes(), expected.sizes());
  const auto a = actual.detach().to(torch::kCPU, torch::kDouble).flatten();
  const auto e = expected.detach().to(torch::kCPU, torch::kDouble).flatten();
  const auto excess = torch::where(a == e, 0.0, (a - e).abs() - atol - rtol * e.abs());
  const auto bad = ~(excess <= 0);
  if (!bad.any().item<bool>()) return;
  const auto worst = torch::where(excess.isnan(), INFINITY, excess).argmax().item<int64_t>();
  ADD_FAILURE() << bad.sum().item<int64_t>() << " of " << a.numel() << " elements differ; the worst is element " << worst
                << " of " << shape_text(expected.sizes()) << ": got " << ::testing::PrintToString(a[worst].item<double>())
                << ", expected " << ::testing::PrintToString(e[worst].item<double>()) << " (rtol " << rtol << ", atol " << atol
                << ")";
}
inline void expect_close(const Tensor& actual, double expected, double rtol = 1e-6, double atol = 0) {
  expect_close(actual, torch::full(actual.sizes(), expected, torch::kDouble), rtol, atol);
}

/// Fails unless shapes, types and every bit are equal (NaN differs from NaN).
inline void expect_equal(const Tensor& actual, const Tensor& expected) {
  ASSERT_EQ(actual.sizes(), expected.sizes());
  ASSERT_EQ(actual.scalar_type(), expected.scalar_type());
  EXPECT_TRUE(actual.equal(expected)) << "got " << actual << "\nexpected " << expected;
}

inline void expect_finite(const Tensor& tensor) { EXPECT_TRUE(tensor.isfinite().all().item<bool>()) << tensor; }

}  // namespace elbo
