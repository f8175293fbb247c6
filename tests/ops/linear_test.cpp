#include "elbo/ops/linear.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <limits>

#include "elbo/math/precision.h"
#include "elbo/ops/instructions.h"
#include "support/gradients.h"

using namespace elbo;

namespace linear_test {
namespace {

const std::vector<Follow> kFollow = {Follow::nothing, Follow::relu, Follow::tanh};

Tensor reference(const Tensor& x, const Tensor& weight, const Tensor& bias, Follow follow) {
  const auto y = torch::linear(x, weight, bias);
  return follow == Follow::relu ? y.relu() : follow == Follow::tanh ? y.tanh() : y;
}

struct Inputs {
  Tensor x, weight, bias;
};
/// Large enough for our own product, with a row of tanh's saturated ends.
Inputs inputs_of(const Shape& leading, int64_t in, int64_t out) {
  torch::manual_seed(7);
  auto x = torch::randn(joined(leading, {in})), weight = torch::randn({out, in}) / 4, bias = torch::randn({out});
  x.view({-1, in})[0].mul_(30);
  return {x.set_requires_grad(true), weight.set_requires_grad(true), bias.set_requires_grad(true)};
}

TEST(Linear, IsLibTorchsWithItsGradients) {
  for (const auto instructions : {Instructions::portable, best_instructions()}) {
    const InstructionsScope scope(instructions);
    for (const auto follow : kFollow) {
      for (const auto& leading : {Shape{70}, Shape{3, 25}}) {
        const auto [x, weight, bias] = inputs_of(leading, 45, 37);
        const auto y = linear(x, weight, bias, follow);
        const auto exact = reference(x.to(torch::kDouble), weight.to(torch::kDouble), bias.to(torch::kDouble), follow);
        expect_close(y, exact, 2e-5, 2e-5);
        const auto upstream = torch::randn(y.sizes());
        const auto ours = torch::autograd::grad({y}, {x, weight, bias}, {upstream});
        const auto wanted = torch::autograd::grad({exact}, {x, weight, bias}, {upstream.to(torch::kDouble)});
        for (size_t i = 0; i < 3; ++i) expect_close(ours[i], wanted[i], 1e-4, 1e-4);
      }
    }
  }
}

TEST(Linear, IsOneRecordedOperationWhereTheProductIsOurs) {
  if (best_instructions() != Instructions::avx512) GTEST_SKIP() << "this CPU has no AVX-512";
  const auto [x, weight, bias] = inputs_of({70}, 45, 37);
  EXPECT_NE(linear(x, weight, bias, Follow::relu).grad_fn()->name().find("FusedLinear"), std::string::npos);
  EXPECT_EQ(linear(x[0], weight, bias, Follow::nothing).grad_fn()->name().find("FusedLinear"), std::string::npos);
  const InstructionsScope scope(Instructions::avx2);  // there MKL is as fast
  EXPECT_EQ(linear(x, weight, bias, Follow::nothing).grad_fn()->name().find("FusedLinear"), std::string::npos);
}

TEST(Linear, HasSecondDerivatives) {
  for (const auto follow : kFollow) {
    const auto [x, weight, bias] = inputs_of({70}, 45, 37);
    const std::vector<Tensor> inputs = {x, weight, bias};
    const auto second = [&](const Tensor& y) {
      const auto first = torch::autograd::grad({y.square().sum()}, inputs, {}, true, /*create_graph=*/true);
      return torch::autograd::grad({first[0].square().sum() + first[1].square().sum() + first[2].square().sum()}, inputs);
    };
    const auto ours = second(linear(x, weight, bias, follow)), wanted = second(reference(x, weight, bias, follow));
    for (size_t i = 0; i < 3; ++i) {
      const auto scale = wanted[i].abs().max().item<double>();
      expect_close(ours[i] / scale, wanted[i] / scale, 1e-3, 1e-5);
    }
  }
}

TEST(Linear, GivesGradientsOnlyWhereTheyAreNeeded) {
  for (size_t wanted = 0; wanted < 3; ++wanted) {
    const auto [x, weight, bias] = inputs_of({70}, 45, 37);
    std::vector<Tensor> inputs = {x.detach(), weight.detach(), bias.detach()};
    inputs[wanted].set_requires_grad(true);
    const auto y = linear(inputs[0], inputs[1], inputs[2], Follow::tanh);
    const auto expected = reference(x, weight, bias, Follow::tanh);
    const std::vector<Tensor> all = {x, weight, bias};
    y.sum().backward();
    expect_close(inputs[wanted].grad(), torch::autograd::grad({expected.sum()}, {all[wanted]})[0], 1e-4, 1e-4);
  }
  const auto [x, weight, bias] = inputs_of({70}, 45, 37);
  const torch::NoGradGuard no_grad;
  EXPECT_FALSE(linear(x, weight, bias, Follow::relu).requires_grad());
}

TEST(Linear, TakesNoBiasAndTransposedInputs) {
  const auto [x, weight, bias] = inputs_of({70}, 45, 37);
  expect_close(elbo::linear(x, weight), torch::linear(x, weight), 1e-4, 1e-4);
  const auto columns = x.detach().t().contiguous().t(), rows = weight.detach().t().contiguous().t();
  expect_close(linear(columns, rows, bias, Follow::nothing), torch::linear(x, weight, bias), 1e-4, 1e-4);
  const auto every_other = torch::randn({140, 90}).slice(0, 0, 140, 2).slice(1, 0, 90, 2);
  expect_close(linear(every_other, rows, bias, Follow::nothing), torch::linear(every_other, rows, bias), 1e-4, 1e-4);
}

TEST(Linear, LeavesOtherTypesAndAutocastToLibTorch) {
  const auto [x, weight, bias] = inputs_of({70}, 45, 37);
  const auto wide = linear(x.to(torch::kDouble), weight.to(torch::kDouble), bias.to(torch::kDouble), Follow::tanh);
  EXPECT_EQ(wide.scalar_type(), torch::kDouble);
  const Bfloat16Scope scope(torch::kCPU);
  EXPECT_EQ(linear(x, weight, bias, Follow::nothing).scalar_type(), torch::kBFloat16);
}

TEST(Linear, TanhIsAccurateAndPassesOnNan) {
  if (best_instructions() != Instructions::avx512) GTEST_SKIP() << "this CPU has no AVX-512";
  constexpr int64_t kCount = 40000;
  const auto points = torch::cat({torch::linspace(-12, 12, kCount / 2), torch::logspace(-30, 2, kCount / 2)});
  const auto one_hot = torch::eye(8);  // y = x exactly
  const auto x = points.view({-1, 8});
  const auto y = linear(x, one_hot, torch::zeros({8}), Follow::tanh);
  expect_close(y, x.to(torch::kDouble).tanh(), 4e-7, 0);
  auto odd = torch::zeros({1000, 8});
  odd[0].fill_(std::numeric_limits<double>::quiet_NaN());
  odd[1].fill_(1e30);
  odd[2].fill_(-1e30);
  for (const auto follow : {Follow::tanh, Follow::relu}) {
    const auto through = linear(odd, one_hot, torch::zeros({8}), follow);
    EXPECT_TRUE(through[0].isnan().all().item<bool>());
    EXPECT_EQ(through[2][0].item<float>(), follow == Follow::tanh ? -1.f : 0.f);
  }
}

TEST(Linear, DoesntDependOnThreads) {
  const int threads = at::get_num_threads();
  std::vector<std::vector<Tensor>> results;
  for (const int count : {1, 2}) {
    at::set_num_threads(count);
    const auto [x, weight, bias] = inputs_of({1000}, 50, 200);
    const auto y = linear(x, weight, bias, Follow::tanh);
    results.push_back(torch::autograd::grad({y.square().sum()}, {x, weight, bias}));
    results.back().push_back(y);
  }
  at::set_num_threads(threads);
  for (size_t i = 0; i < 4; ++i) EXPECT_TRUE(results[0][i].equal(results[1][i])) << i;
}

}  // namespace
}  // namespace linear_test
