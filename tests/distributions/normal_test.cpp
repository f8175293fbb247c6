#include "elbo/distributions/normal.h"

#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "support/gradients.h"

using namespace elbo;

namespace normal_distribution {
namespace {

/// Gives out one prepared tensor: what makes a sampler a function.
class FixedNoise final : public Noise {
 public:
  explicit FixedNoise(Tensor numbers) : numbers_(std::move(numbers)) {}
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override { return numbers_.view(joined(leading, event)); }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return numbers_.view(joined(leading, event)); }

 private:
  Tensor numbers_;
};

TEST(Normal, RsampleIsMeanPlusScaleTimesNoise) {
  const auto mean = wavy({2, 3}), log_var = wavy({2, 3}, 1), eps = wavy({4, 2, 3}, 2);
  FixedNoise noise(eps);
  expect_close(Normal(mean, log_var).rsample({4, 2}, noise), mean + (log_var / 2).exp() * eps, 1e-14);
}

TEST(Normal, GradientsOfRsampleAndLogProbMatchFiniteDifferences) {
  const auto eps = wavy({4, 2, 3}, 2);
  expect_gradient_matches(
      [&](const std::vector<Tensor>& in) {
        FixedNoise noise(eps);
        return Normal(in[0], in[1]).rsample({4, 2}, noise);
      },
      {wavy({2, 3}), wavy({2, 3}, 1)});
  expect_gradient_matches([](const std::vector<Tensor>& in) { return Normal(in[0], in[1]).log_prob(in[2]); },
                          {wavy({2, 3}), wavy({2, 3}, 1), wavy({4, 2, 3}, 2)});
}

TEST(Normal, OneSharedVarianceEqualsItsExpansion) {
  const auto mean = wavy({2, 3, 4}), value = wavy({5, 2, 3, 4}, 1);
  const auto log_var = torch::full({}, 0.7, torch::kDouble);
  const Normal shared(mean, log_var, 2), expanded(mean, log_var.expand({2, 3, 4}), 2);
  expect_close(shared.log_prob(value), expanded.log_prob(value), 1e-14);
  expect_close(shared.entropy(), expanded.entropy(), 1e-14);
  expect_close(shared.variance(), expanded.variance(), 1e-14);
  expect_gradient_matches([&](const std::vector<Tensor>& in) { return Normal(mean, in[0], 2).log_prob(value); }, {log_var});
}

TEST(Normal, WithScaleHasThatVarianceAndTheRightNormaliser) {
  const auto p = Normal::with_scale(torch::zeros({1, 1}, torch::kDouble), 0.25, 1);
  expect_close(p->variance(), 0.0625, 1e-14);
  const auto x = torch::linspace(-5, 5, 20'001, torch::kDouble).view({-1, 1, 1});
  EXPECT_NEAR(p->log_prob(x).exp().sum().item<double>() * 10 / 20'000, 1, 1e-9);
  EXPECT_THROW(Normal::with_scale(torch::zeros({1}), 0, 1), UsageError);
  EXPECT_THROW(Normal::with_scale(torch::zeros({1}), NAN, 1), UsageError);
}

TEST(Normal, ExtremeLogVariancesStayFiniteInFloat32) {
  for (const float log_var : {-30.F, 30.F}) {
    auto mean = torch::zeros({1, 2}).requires_grad_(), scale = torch::full({1, 2}, log_var).requires_grad_();
    const auto log_prob = Normal(mean, scale).log_prob(torch::ones({3, 1, 2}));
    expect_finite(log_prob);
    expect_finite(gradient_of(log_prob, mean));
    expect_finite(gradient_of(log_prob, scale));
  }
}

TEST(Normal, DetachedCutsTheParametersButNotTheValue) {
  auto mean = wavy({2, 3}).requires_grad_(), log_var = wavy({2, 3}, 1).requires_grad_(), z = wavy({4, 2, 3}, 2).requires_grad_();
  const Normal q(mean, log_var);
  const auto log_prob = q.detached()->log_prob(z);
  EXPECT_FALSE(gradient_of(log_prob, mean).defined());
  EXPECT_FALSE(gradient_of(log_prob, log_var).defined());
  expect_close(gradient_of(log_prob, z), gradient_of(q.log_prob(z), z), 1e-15);
}

TEST(Normal, SamplesHaveItsMoments) {
  const auto mean = wavy({3}), log_var = wavy({3}, 1);
  Stream stream(3, "normal_test", torch::kCPU, 0, torch::kDouble);
  const int64_t n = 100'000;
  const auto z = Normal(mean, log_var).sample({n}, stream);
  ASSERT_EQ(z.sizes(), (Shape{n, 3}));
  EXPECT_FALSE(z.requires_grad());
  const auto variance = log_var.exp();
  EXPECT_TRUE(((z.mean(0) - mean).abs() < 4 * (variance / n).sqrt()).all().item<bool>());
  EXPECT_TRUE(((z.var(0) - variance).abs() < 4 * variance * std::sqrt(2.0 / n)).all().item<bool>());
}

TEST(Normal, BroadcastsSamplesAndBatches) {
  const Normal batch(torch::zeros({5, 3}), torch::zeros({5, 3})), wide(torch::zeros({4, 5, 3}), torch::zeros({4, 5, 3}));
  EXPECT_EQ(batch.batch_shape(), (Shape{5}));
  EXPECT_EQ(batch.event_shape(), (Shape{3}));
  EXPECT_EQ(batch.log_prob(torch::zeros({2, 4, 5, 3})).sizes(), (Shape{2, 4, 5}));
  EXPECT_EQ(wide.log_prob(torch::zeros({5, 3})).sizes(), (Shape{4, 5}));
  EXPECT_EQ(batch.log_prob(torch::zeros({0, 5, 3})).sizes(), (Shape{0, 5}));
}

TEST(Normal, EmptyBatch) {
  const Normal none(torch::zeros({0, 3}), torch::zeros({0, 3}));
  Stream stream(3, "normal_test", torch::kCPU);
  EXPECT_EQ(none.log_prob(none.rsample({2, 0}, stream)).sizes(), (Shape{2, 0}));
}

TEST(Normal, ShapeErrorsNameTheDistribution) {
  const Normal q(torch::zeros({5, 3}), torch::zeros({5, 3}));
  const auto message = [](auto&& call) -> std::string {
    try {
      call();
    } catch (const ShapeError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([&] {
              q.log_prob(torch::zeros({5, 4}));
            }),
            "normal with batch [5], event [3]: log_prob got a value [5, 4], expected [sample..., batch..., event...]");
  EXPECT_EQ(message([&] {
              q.log_prob(torch::zeros({4, 3}));
            }),
            "normal with batch [5], event [3]: log_prob got a value [4, 3], expected [sample..., batch..., event...]");
  Stream stream(3, "normal_test", torch::kCPU);
  EXPECT_EQ(message([&] {
              q.sample({5, 4}, stream);
            }),
            "normal with batch [5], event [3]: can't draw [5, 4], expected [sample..., batch...]");
  EXPECT_EQ(message([] { Normal(torch::zeros({5, 3}), torch::zeros({5, 1})); }), "normal: log_var: got [5, 1], expected [5, 3]");
}

TEST(StandardNormal, EqualsANormalOfZeros) {
  const StandardNormal p({2}, {3}, torch::kDouble);
  const Normal zeros(torch::zeros({2, 3}, torch::kDouble), torch::zeros({2, 3}, torch::kDouble));
  const auto z = wavy({4, 2, 3}) * 3;
  expect_close(p.log_prob(z), zeros.log_prob(z), 1e-14);
  expect_close(p.entropy(), zeros.entropy(), 1e-14);
  expect_equal(p.mean(), zeros.mean());
  expect_equal(p.variance(), zeros.variance());
  EXPECT_EQ(p.log_prob(z[0][0]).sizes(), (Shape{2}));
  FixedNoise noise(z);
  expect_equal(p.rsample({4, 2}, noise), z);
}

}  // namespace
}  // namespace normal_distribution
