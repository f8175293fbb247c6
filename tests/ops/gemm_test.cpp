#include "elbo/ops/gemm.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

#include "elbo/ops/instructions.h"
#include "support/tensors.h"

using namespace elbo;

namespace gemm_test {
namespace {

std::vector<Instructions> instructions_here() {
  std::vector<Instructions> all;
  for (const auto one : {Instructions::portable, Instructions::avx2, Instructions::avx512}) {
    if (one <= best_instructions()) all.push_back(one);
  }
  return all;
}

MatrixView view_of(const Tensor& tensor) { return {tensor.const_data_ptr<float>(), tensor.stride(0), tensor.stride(1)}; }

struct Extra {
  Tensor bias = {};
  Tensor start = {};  // C += A B on top of this
};

Tensor multiplied(const Tensor& a, const Tensor& b, const Extra& extra = {}) {
  constexpr int64_t kBeside = 3;  // columns beside C that nobody may touch
  auto wide = torch::full({a.size(0), b.size(1) + kBeside}, 77.f);
  auto c = wide.narrow(1, 0, b.size(1));
  if (extra.start.defined()) c.copy_(extra.start);
  gemm({.M = a.size(0),
        .N = b.size(1),
        .K = a.size(1),
        .a = view_of(a),
        .b = view_of(b),
        .c = c.mutable_data_ptr<float>(),
        .c_row_stride = wide.stride(0),
        .bias = extra.bias.defined() ? extra.bias.const_data_ptr<float>() : nullptr,
        .into = extra.start.defined() ? GemmInto::add : GemmInto::replace});
  EXPECT_TRUE((wide.narrow(1, b.size(1), kBeside) == 77.f).all().item<bool>());
  return c.contiguous();
}

Tensor exact(const Tensor& a, const Tensor& b) { return a.to(torch::kDouble).mm(b.to(torch::kDouble)); }

/// The same numbers with the columns one after the other.
Tensor by_columns(const Tensor& tensor) { return tensor.t().contiguous().t(); }

struct Case {
  int64_t M, N, K;
};
const std::vector<Case> kCases = {{1, 1, 1},    {12, 32, 5},    {13, 33, 17},  {5, 16, 16},    {7, 47, 31},     {25, 15, 600},
                                  {64, 65, 66}, {130, 20, 400}, {3, 2100, 40}, {1600, 35, 19}, {100, 500, 1100}};

TEST(Gemm, IsTheProductInEveryLayoutAndInstructionSet) {
  torch::manual_seed(1);
  for (const auto instructions : instructions_here()) {
    const InstructionsScope scope(instructions);
    for (const auto& [M, N, K] : kCases) {
      SCOPED_TRACE(shape_text({M, N, K}) + " instructions " + std::to_string(static_cast<int>(instructions)));
      const auto a = torch::randn({M, K}), b = torch::randn({K, N});
      const double tolerance = 1e-6 * std::sqrt(static_cast<double>(K)) + 1e-6;
      const auto wanted = exact(a, b);
      expect_close(multiplied(a, b), wanted, 1e-5, 4 * tolerance);
      expect_close(multiplied(a, by_columns(b)), wanted, 1e-5, 4 * tolerance);
      expect_close(multiplied(by_columns(a), b), wanted, 1e-5, 4 * tolerance);
      expect_close(multiplied(by_columns(a), by_columns(b)), wanted, 1e-5, 4 * tolerance);
    }
  }
}

TEST(Gemm, TakesAnyStrides) {
  torch::manual_seed(2);
  const auto a = torch::randn({20, 60}).slice(1, 0, 60, 2), b = torch::randn({60, 80}).slice(0, 0, 60, 2).slice(1, 0, 80, 2);
  expect_close(multiplied(a, b), exact(a, b), 1e-5, 1e-5);
  const auto row = torch::randn({1, 30}).expand({20, 30});  // stride 0
  expect_close(multiplied(row, b), exact(row, b), 1e-5, 1e-5);
}

TEST(Gemm, AddsTheBiasAndWhatWasThere) {
  torch::manual_seed(3);
  for (const auto instructions : instructions_here()) {
    const InstructionsScope scope(instructions);
    for (const auto& [M, N, K] : kCases) {
      SCOPED_TRACE(shape_text({M, N, K}));
      const auto a = torch::randn({M, K}), b = torch::randn({K, N}), bias = torch::randn({N}), start = torch::randn({M, N});
      const double tolerance = 5e-6 * std::sqrt(static_cast<double>(K));
      expect_close(multiplied(a, b, {.bias = bias}), exact(a, b) + bias, 1e-5, tolerance);
      expect_close(multiplied(a, b, {.bias = bias, .start = start}), exact(a, b) + bias + start, 1e-5, tolerance);
    }
  }
}

TEST(Gemm, OfNoStepsIsTheBias) {
  const auto a = torch::zeros({2, 0}), b = torch::zeros({0, 3}), bias = torch::tensor({1.f, 2.f, 3.f});
  expect_equal(multiplied(a, b, {.bias = bias}), torch::tensor({{1.f, 2.f, 3.f}, {1.f, 2.f, 3.f}}));
  expect_equal(multiplied(a, b), torch::zeros({2, 3}));
}

TEST(Gemm, DoesntDependOnThreads) {
  torch::manual_seed(4);
  const int threads = at::get_num_threads();
  for (const auto instructions : instructions_here()) {
    const InstructionsScope scope(instructions);
    for (const auto& [M, N, K] : {Case{128, 400, 784}, {784, 400, 128}, {300, 50, 1200}}) {
      const auto a = torch::randn({M, K}), b = torch::randn({K, N});
      at::set_num_threads(1);
      const auto one = multiplied(a, b);
      at::set_num_threads(2);
      const auto two = multiplied(a, b);
      at::set_num_threads(threads);
      EXPECT_TRUE(one.equal(two)) << shape_text({M, N, K});
    }
  }
}

TEST(Gemm, PassesOnWhatIsNotFiniteAndNothingElse) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (const auto instructions : instructions_here()) {
    const InstructionsScope scope(instructions);
    auto a = torch::ones({30, 40}), b = torch::ones({40, 50});
    a[7][3] = nan;
    b[5][9] = infinity;
    const auto c = multiplied(a, b);
    EXPECT_TRUE(c[7].isnan().all().item<bool>());
    auto others = c.clone();
    others[7].fill_(40);
    EXPECT_TRUE((others.select(1, 9).narrow(0, 0, 7) == infinity).all().item<bool>());
    others.select(1, 9).fill_(40);
    EXPECT_TRUE((others == 40).all().item<bool>());
  }
}

}  // namespace
}  // namespace gemm_test
