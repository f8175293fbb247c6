#include "elbo/ops/normal.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "support/gradients.h"

using namespace elbo;

namespace normal_ops {
namespace {

/// The definitions by LibTorch's operations.
Tensor naive_log_prob(const Tensor& value, const Tensor& mean, const Tensor& log_var, int64_t event_dims) {
  return sum_last(-0.5 * (std::log(2 * M_PI) + log_var + (value - mean).square() / log_var.exp()), event_dims);
}
Tensor naive_kl(const Tensor& mean, const Tensor& log_var, int64_t event_dims) {
  return sum_last(0.5 * (mean.square() + log_var.exp() - log_var - 1), event_dims);
}
Tensor naive_clip(const Tensor& x, double lo, double hi) {
  const auto softplus = [](const Tensor& t) { return torch::logaddexp(t, torch::zeros_like(t)); };
  return hi - softplus(hi - (lo + softplus(x - lo)));
}

struct Case {
  Shape parameters;
  Shape samples;  // before the parameters' extents
  int64_t event_dims;
};
const std::vector<Case> kCases = {
    {{4, 17}, {}, 1},           // a tail that fills no vector
    {{3, 8}, {5}, 1},           // K samples of each row
    {{2, 3, 2, 5}, {2, 3}, 3},  // an image, R and K
    {{3, 600}, {2}, 1},         // more than one stretch of elements
    {{7}, {3}, 0},              // no event
    {{9}, {}, 1},               // no batch
};

struct Inputs {
  Tensor value, mean, log_var;
};
Inputs inputs_of(const Case& c, at::ScalarType type) {
  const auto of = [&](const Shape& shape, double phase) { return wavy(shape, phase).to(type).set_requires_grad(true); };
  return {of(joined(c.samples, c.parameters), 0.1), of(c.parameters, 0.7), of(c.parameters, 2.3)};
}

std::vector<Tensor> gradients_of(const Tensor& output, const std::vector<Tensor>& inputs) {
  const auto weights = (wavy(output.sizes(), 0.4) + 1.5).to(output.scalar_type());
  return torch::autograd::grad({(output * weights).sum()}, inputs);
}

void expect_same(const Tensor& fused, const Tensor& expected, const std::vector<Tensor>& inputs, double tolerance) {
  expect_close(fused, expected, tolerance, tolerance);
  const auto actual = gradients_of(fused, inputs), wanted = gradients_of(expected, inputs);
  for (size_t i = 0; i < inputs.size(); ++i) expect_close(actual[i], wanted[i], tolerance, tolerance);
}

TEST(NormalOps, MatchTheDefinitionsWithTheirGradients) {
  for (const auto type : {torch::kDouble, torch::kFloat}) {
    const double tolerance = type == torch::kDouble ? 1e-12 : 5e-6;
    for (const auto& c : kCases) {
      SCOPED_TRACE(shape_text(c.parameters) + " with samples " + shape_text(c.samples) + " " + c10::toString(type));
      const auto [value, mean, log_var] = inputs_of(c, type);
      expect_same(normal_log_prob(value, mean, log_var, c.event_dims), naive_log_prob(value, mean, log_var, c.event_dims),
                  {value, mean, log_var}, tolerance);
      expect_same(normal_rsample(mean, log_var, value.detach()), mean + (0.5 * log_var).exp() * value.detach(), {mean, log_var},
                  tolerance);
      expect_same(normal_kl_to_standard(mean, log_var, c.event_dims), naive_kl(mean, log_var, c.event_dims), {mean, log_var},
                  tolerance);
      expect_same(soft_clip(3 * value, -1, 2), naive_clip(3 * value, -1, 2), {value}, tolerance);
    }
  }
}

TEST(NormalOps, HaveSecondDerivatives) {
  const auto second = [](const Tensor& output, const std::vector<Tensor>& inputs) {
    const auto first = torch::autograd::grad({(output * (wavy(output.sizes(), 0.4) + 1.5)).sum()}, inputs, {}, true, true);
    Tensor sum = torch::zeros({}, torch::kDouble);
    for (const auto& gradient : first) sum = sum + (gradient * gradient * (wavy(gradient.sizes(), 0.9) + 1.5)).sum();
    return torch::autograd::grad({sum}, inputs);
  };
  const Case c{{3, 5}, {4}, 1};
  const auto [value, mean, log_var] = inputs_of(c, torch::kDouble);
  const auto same = [](const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
    for (size_t i = 0; i < a.size(); ++i) expect_close(a[i], b[i], 1e-11, 1e-12);
  };
  same(second(normal_log_prob(value, mean, log_var, 1), {value, mean, log_var}),
       second(naive_log_prob(value, mean, log_var, 1), {value, mean, log_var}));
  same(second(normal_rsample(mean, log_var, value.detach()).square(), {mean, log_var}),
       second((mean + (0.5 * log_var).exp() * value.detach()).square(), {mean, log_var}));
  same(second(normal_kl_to_standard(mean, log_var, 1), {mean, log_var}), second(naive_kl(mean, log_var, 1), {mean, log_var}));
  same(second(soft_clip(value, -1, 0.5), {value}), second(naive_clip(value, -1, 0.5), {value}));
}

TEST(NormalOps, GradientsGoOnlyWhereTheyAreAskedFor) {
  const auto [value, mean, log_var] = inputs_of({{4, 6}, {3}, 1}, torch::kFloat);
  const auto fused = normal_log_prob(value, mean.detach(), log_var, 1);
  expect_close(gradient_of(fused, log_var), gradient_of(naive_log_prob(value, mean, log_var, 1), log_var), 1e-5, 1e-6);
  EXPECT_FALSE(gradient_of(fused, mean).defined());
  EXPECT_FALSE(normal_log_prob(value.detach(), mean.detach(), log_var.detach(), 1).requires_grad());
}

TEST(NormalOps, OtherShapesGoByOperations) {
  const auto value = wavy({3, 4, 6}, 0.1), mean = wavy({3, 1, 6}, 0.2), log_var = wavy({3, 1, 6}, 0.3);
  expect_close(normal_log_prob(value, mean, log_var, 1), naive_log_prob(value, mean, log_var, 1), 1e-12);
  EXPECT_EQ(normal_log_prob(value.slice(0, 0, 0), wavy({4, 6}), wavy({4, 6}), 1).sizes(), at::IntArrayRef({0, 4}));
}

TEST(NormalOps, ExtremesAreFiniteInFloat32) {
  const auto mean = torch::tensor({0.f, 1e3f, -1e3f, 0.f}).set_requires_grad(true);
  const auto log_var = torch::tensor({-30.f, 30.f, 0.f, 80.f}).set_requires_grad(true);
  const auto value = torch::tensor({1.f, -1e4f, 1e4f, 0.f}).set_requires_grad(true);
  const auto log_prob = normal_log_prob(value, mean, log_var, 0);
  expect_finite(log_prob);
  for (const auto& input : {value, mean, log_var}) expect_finite(gradient_of(log_prob, input));
  for (const auto& x : {-1e30f, -50.f, 0.f, 50.f, 1e30f}) {
    const auto far = torch::full({3}, x).set_requires_grad(true);
    const auto clipped = soft_clip(far, -10, 10);
    expect_finite(gradient_of(clipped, far));
    EXPECT_GE(clipped.min().item<float>(), -10.f);
    EXPECT_LE(clipped.max().item<float>(), 10.f);
  }
}

TEST(NormalOps, ThreadsChangeNoBit) {
  const auto threads = at::get_num_threads();
  const auto [value, mean, log_var] = inputs_of({{64, 33}, {40}, 1}, torch::kFloat);
  std::vector<std::vector<Tensor>> runs;
  for (const int count : {1, 2}) {
    at::set_num_threads(count);
    const auto log_prob = normal_log_prob(value, mean, log_var, 1);
    auto results = gradients_of(log_prob, {value, mean, log_var});
    results.push_back(log_prob.detach());
    runs.push_back(results);
  }
  at::set_num_threads(threads);
  for (size_t i = 0; i < runs[0].size(); ++i) expect_equal(runs[0][i], runs[1][i]);
}

}  // namespace
}  // namespace normal_ops
