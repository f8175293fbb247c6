#include "elbo/aggregators/aggregator.h"
#include "elbo/distributions/normal.h"
#include "elbo/objectives/elbo.h"
#include "elbo/objectives/iwae.h"
#include "support/linear_gaussian.h"

namespace elbo::iwae_mixture_test {

/// log p~(z) = -z^2/2 - (z - 1)^2 + constant, q an even mixture of N(0.3, 0.7^2) and N(1.2, 0.4^2).
class TwoComponents final : public Model, public Variational {
 public:
  TwoComponents() { mean = register_parameter("mean", values({0.3, 1.2})); }
  std::string_view family() const override { return "variational"; }
  std::string summary() const override { return "two components"; }

  Latents infer(const Batch& batch, int64_t K, Noise& noise) override {
    const auto B = batch.size();
    const auto log_var = (2 * values({0.7, 0.4}).log()).view({2, 1, 1}).expand({2, B, 1}).contiguous();
    const auto q = std::make_shared<StratifiedMixture>(
        std::make_shared<Normal>(mean.view({2, 1, 1}).expand({2, B, 1}).contiguous(), log_var),
        torch::zeros({2, B}, torch::kDouble));
    return drawn({.layers = {{.q = q, .p = std::make_shared<StandardNormal>(Shape{B}, Shape{1}, torch::kDouble)}}}, B, K, noise);
  }
  Latents prior(const Batch& batch, int64_t K, Noise& noise) override { return infer(batch, K, noise); }
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override {
    return {{.likelihood = Normal::with_scale(latents.layers[0].z, std::sqrt(0.5), 1), .target = batch.at("x")}};
  }
  std::vector<Tensor> inference_parameters() override { return {mean}; }

  Tensor mean;
};

/// Rows are the nodes of a rule over one or two standard normal variables: a weighted sum over them is an expectation.
struct Nodes final : Noise {
  /// One variable, the same in both strata, or two.
  Nodes(int64_t num_variables, int64_t n) {
    const auto line = torch::linspace(-9, 9, n, torch::kDouble);
    const auto density = (-0.5 * line.square()).exp();
    const auto weights = density / density.sum();
    if (num_variables == 1) {
      first = second = line;
      weight = weights;
    } else {
      first = line.repeat_interleave(n);
      second = line.repeat({n});
      weight = weights.outer(weights).flatten();
    }
  }
  /// [S, K, B, 1]: two variables are two samples of every stratum, or with one sample one of each stratum.
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef) override {
    const auto own = torch::stack({first, second});  // [2, B]
    const auto drawn = leading[1] == 2 ? own.unsqueeze(0).expand({2, 2, -1}) : own.unsqueeze(1);
    return drawn.unsqueeze(-1).contiguous();
  }
  Tensor uniform(at::IntArrayRef, at::IntArrayRef) override { throw std::runtime_error("not asked for"); }
  Tensor first, second, weight;
};

/// d bound / d mean of the first component, exact.
double gradient(const IwaeConfig& config, Nodes nodes) {
  TwoComponents model;
  TestStep test;
  Step step{.noise = nodes, .streams = test.streams, .collective = test.collective};
  const auto losses = make_iwae(config, model, {})->losses(constant_batch(nodes.weight.size(0), 1.0), step);
  (losses.loss * nodes.weight).sum().backward();
  return -model.mean.grad()[0].item<double>();
}

constexpr auto kStandard = PathwiseEstimator::standard;
constexpr auto kDreg = PathwiseEstimator::dreg;
constexpr auto kStl = PathwiseEstimator::stl;

TEST(IwaeOfMixtures, WithOneSampleTheLooserGradientIsUnbiasedByEveryEstimator) {
  for (const auto estimator : {kStandard, kStl, kDreg}) {
    EXPECT_NEAR(gradient({.samples = 1, .estimator = estimator, .mixture = Strata::apart}, Nodes(1, 2001)), 0.17560, 5e-6);
  }
}

TEST(IwaeOfMixtures, WithTwoSamplesTheLooserGradientByDregIsBiasedAsDocumented) {
  EXPECT_NEAR(gradient({.samples = 2, .estimator = kStandard, .mixture = Strata::apart}, Nodes(2, 401)), 0.02352, 5e-6);
  EXPECT_NEAR(gradient({.samples = 2, .estimator = kDreg, .mixture = Strata::apart}, Nodes(2, 401)), 0.04350, 5e-6);
}

TEST(IwaeOfMixtures, TheTightGradientByDregIsBiasedWithOneSample) {
  EXPECT_NEAR(gradient({.samples = 1, .estimator = kStandard}, Nodes(2, 401)), 0.06948, 5e-6);
  EXPECT_NEAR(gradient({.samples = 1, .estimator = kDreg}, Nodes(2, 401)), 0.04951, 5e-6);
}

TEST(IwaeOfMixtures, LooserWithOneSampleIsTheMonteCarloElbo) {
  TwoComponents model;
  TestStep test, same;
  auto step = test.step(), other = same.step();
  const auto batch = constant_batch(7, 1.0);
  const auto looser = make_iwae({.samples = 1, .mixture = Strata::apart}, model, {})->losses(batch, step);
  const auto elbo = make_elbo({.kl = KlEstimator::monte_carlo}, model, {})->losses(batch, other);
  expect_close(looser.loss, elbo.loss, 1e-12);
}

TEST(IwaeOfMixtures, EstimatorsReportTheSameBound) {
  for (const auto mixture : {Strata::apart, Strata::together}) {
    std::vector<Tensor> bounds;
    for (const auto estimator : {kStandard, kStl, kDreg}) {
      TwoComponents model;
      TestStep test;
      auto step = test.step();
      bounds.push_back(term(
          make_iwae({.samples = 5, .estimator = estimator, .mixture = mixture}, model, {})->losses(constant_batch(4, 1.0), step),
          "bound"));
    }
    expect_close(bounds[1], bounds[0], 1e-12);
    expect_close(bounds[2], bounds[0], 1e-12);
  }
}

}  // namespace elbo::iwae_mixture_test
