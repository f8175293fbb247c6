#include "elbo/objectives/elbo.h"

#include "elbo/base/error.h"
#include "elbo/math/numeric.h"
#include "support/linear_gaussian.h"

namespace elbo::elbo_test {

/// 4 observed, 2 latent dimensions, orthogonal columns.
LinearGaussian exact_model() {
  LinearGaussian model(values({1, 1, -1, 1, 1, 1, 1, -1}, {4, 2}) * values({0.7, 1.3}), values({0.1, -0.2, 0.3, 0.4}), 0.6);
  model.make_posterior_exact();
  return model;
}

LossTerms losses_of(Variational& model, const ElboConfig& config, const Batch& batch, uint64_t seed = 1) {
  TestStep test(seed);
  auto step = test.step();
  return make_elbo(config, model, {})->losses(batch, step);
}

TEST(Elbo, MonteCarloIsTheExactEvidenceSampleForSampleWhenThePosteriorIsExact) {
  auto model = exact_model();
  const auto x = wavy({7, 4}) * 2;
  const ElboConfig config{.kl = KlEstimator::monte_carlo};
  const auto first = term(losses_of(model, config, batch_of(x), 1), "bound");
  const auto second = term(losses_of(model, config, batch_of(x), 2), "bound");
  expect_close(first, model.log_evidence(x), 1e-10);
  expect_close(second, first, 1e-10);
}

TEST(Elbo, EstimatorsAgreeInExpectation) {
  auto model = exact_model();
  {
    const torch::NoGradGuard no_grad;
    model.c.add_(0.4);
    model.log_var.add_(0.5);
  }
  const auto batch = batch_of(wavy({1, 4}).expand({2000, 4}));
  const ElboConfig monte_carlo{.samples = 50, .kl = KlEstimator::monte_carlo};
  const ElboConfig analytic{.samples = 50};
  const auto a = mean_and_error(term(losses_of(model, monte_carlo, batch, 3), "bound"));
  const auto b = mean_and_error(term(losses_of(model, analytic, batch, 4), "bound"));
  EXPECT_NEAR(a.mean, b.mean, 4 * std::hypot(a.standard_error, b.standard_error));
  const auto gap = model.log_evidence(batch.at("x")).mean().item<double>() - b.mean;
  EXPECT_GT(gap, 10 * b.standard_error) << "the shifted posterior must cost something, else the comparison says nothing";
}

TEST(Elbo, KlIsTheClosedFormAndTermsAddUp) {
  auto model = scalar_conjugate(0.6, 2.0 / 3);
  const auto losses = losses_of(model, {}, constant_batch(3, 1.0));
  const double kl = 0.5 * (2.0 / 3 + 0.36 - 1 - std::log(2.0 / 3));
  expect_close(term(losses, "kl"), kl, 1e-12);
  expect_close(-(term(losses, "reconstruction") + term(losses, "kl")), term(losses, "bound"), 1e-12);
  expect_close(losses.loss.detach(), -term(losses, "bound"), 1e-12);
}

TEST(Elbo, BetaWeighsTheKlOnlyInTheLoss) {
  auto model = scalar_conjugate(0.6, 2.0 / 3);
  const auto losses = losses_of(model, {.beta = scheduled_number(4)}, constant_batch(3, 1.0));
  expect_close(losses.loss.detach(), term(losses, "reconstruction") + 4 * term(losses, "kl"), 1e-6);
  const auto plain = losses_of(model, {}, constant_batch(3, 1.0));
  expect_equal(term(losses, "bound"), term(plain, "bound"));
}

TEST(Elbo, KlGradients) {
  auto model = scalar_conjugate(0.6, 2.0 / 3);
  TestStep test;
  auto step = test.step();
  // d KL / d mean = mean, d KL / d log_var = (exp(log_var) - 1) / 2, seen through beta: the difference of two losses with the
  // same noise.
  const auto gradient = [&](double beta) {
    TestStep same;
    auto same_step = same.step();
    const auto loss =
        make_elbo({.beta = scheduled_number(beta)}, model, {})->losses(constant_batch(1, 1.0), same_step).loss.sum();
    return torch::autograd::grad({loss}, {model.c, model.log_var});
  };
  const auto with = gradient(1);
  const auto without = gradient(0);
  expect_close(with[0] - without[0], 0.6, 1e-10);
  expect_close(with[1] - without[1], 0.5 * (2.0 / 3 - 1), 1e-10);
}

TEST(Elbo, ReconstructionIsSummedOverTheEvent) {
  // Four times as many pixels that look the same cost four times as many nats: no mean hides in the chain.
  LinearGaussian small(torch::zeros({4, 1}), torch::zeros({4}), 1);
  LinearGaussian large(torch::zeros({16, 1}), torch::zeros({16}), 1);
  const auto a = term(losses_of(small, {}, batch_of(torch::full({2, 4}, 0.7, torch::kDouble))), "reconstruction");
  const auto b = term(losses_of(large, {}, batch_of(torch::full({2, 16}, 0.7, torch::kDouble))), "reconstruction");
  expect_close(b, 4 * a, 1e-12);
}

TEST(Elbo, LossIsPerExample) {
  auto model = exact_model();
  const auto x = wavy({6, 4});
  const auto losses = losses_of(model, {}, batch_of(x));
  EXPECT_EQ(losses.loss.sizes(), at::IntArrayRef({6}));
  EXPECT_TRUE(losses.routes.empty());
}

TEST(BetaVae, IsTheElboWithItsOwnDefault) {
  auto model = scalar_conjugate(0.6, 2.0 / 3);
  TestStep test;
  auto step = test.step();
  const auto losses = make_beta_vae({}, model, {})->losses(constant_batch(2, 1.0), step);
  expect_close(losses.loss.detach(), term(losses, "reconstruction") + 4 * term(losses, "kl"), 1e-6);
}

/// With a fixed encoder variance s instead: w^2 = max(0, sqrt(lambda beta sigma^2 / s) - beta sigma^2) along each direction, so
/// that it collapses where lambda <= beta sigma^2 s.
TEST(BetaVae, LinearModelWithAFixedEncoderVarianceReachesItsClosedFormOptimum) {
  const auto eigenvalues = values({4, 2, 1, 0.25});
  const double sigma2 = 0.5, s = 0.6;
  for (const double beta : {1.0, 4.0}) {
    // Directions are independent: w and the encoder's gain a, one of each.
    auto w = torch::ones({4}, torch::kDouble).set_requires_grad(true),
         a = (0.3 * torch::ones({4}, torch::kDouble)).set_requires_grad(true);
    torch::optim::Adam adam(std::vector<Tensor>{w, a}, torch::optim::AdamOptions(0.01));
    const auto loss = [&] {
      const auto residual = eigenvalues * (1 - w * a).square() + w.square() * s;
      return (residual / (2 * sigma2) + beta * 0.5 * (a.square() * eigenvalues + s - std::log(s) - 1)).sum();
    };
    for (int step = 0; step < 3000; ++step) {
      adam.zero_grad();
      loss().backward();
      adam.step();
    }
    const auto w2 = ((eigenvalues * beta * sigma2 / s).sqrt() - beta * sigma2).clamp_min(0);
    expect_close(w.square(), w2, 0.01, 0.01);
    EXPECT_EQ(w2.eq(0).sum().item<int64_t>(), beta == 1 ? 1 : 2) << "directions with lambda <= beta sigma^2 s collapse";
    // The objective's own loss there, with its constants: 4 log(2 pi sigma^2) / 2.
    const torch::NoGradGuard no_grad;
    LinearGaussian model(torch::diag(w.detach()), torch::zeros({4}), std::sqrt(sigma2));
    model.A.copy_(torch::diag(a.detach()));
    model.log_var.fill_(std::log(s));
    const auto axes = torch::diag((4 * eigenvalues).sqrt());
    std::vector<Tensor> estimates;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      const auto batch = batch_of(torch::cat({axes, -axes}));
      estimates.push_back(losses_of(model, {.beta = scheduled_number(beta), .samples = 500}, batch, seed).loss.mean());
    }
    const auto estimate = mean_and_error(torch::stack(estimates));
    EXPECT_NEAR(estimate.mean, loss().item<double>() + 2 * std::log(2 * M_PI * sigma2), 4 * estimate.standard_error);
  }
}

/// The optimum of the linear beta-VAE with fixed decoder variance, per eigen-direction of the data (derived in closed form):
/// KL = 0.5 ln(lambda / (beta sigma^2)) where lambda > beta sigma^2, else 0.
TEST(SlowBetaVae, LinearModelReachesTheClosedFormOptimum) {
  const auto eigenvalues = values({4, 2, 1, 0.25});
  const double sigma2 = 0.5;
  // Data whose population covariance is exactly diag(eigenvalues): +-sqrt(4 lambda) along each axis.
  const auto axes = torch::diag((4 * eigenvalues).sqrt());
  const auto x = torch::cat({axes, -axes}) / std::sqrt(2) * std::sqrt(2);
  const auto covariance = torch::matmul(x.t(), x) / static_cast<double>(x.size(0));
  expect_close(covariance, torch::diag(eigenvalues), 1e-12, 1e-12);
  const std::vector<std::pair<double, std::vector<double>>> expected = {
      {1, {1.040, 0.693, 0.347, 0}}, {3, {0.490, 0.144, 0, 0}}, {6, {0.144, 0, 0, 0}}};
  double last_kl = INFINITY;
  double last_reconstruction = -INFINITY;
  for (const auto& [beta, kls] : expected) {
    LinearGaussian model(wavy({4, 4}) * 0.3 + torch::eye(4), torch::zeros({4}), std::sqrt(sigma2));
    {
      const torch::NoGradGuard no_grad;
      model.A.copy_(0.3 * torch::eye(4, torch::kDouble) + 0.05 * wavy({4, 4}, 1));
    }
    torch::optim::Adam adam(std::vector<Tensor>{model.W, model.b, model.A, model.c, model.log_var},
                            torch::optim::AdamOptions(0.01));
    // The loss in closed form: E_q |x - W z - b|^2 = |x - W m - b|^2 + tr(W S W'), so that the optimum is met without noise.
    const auto mean_of = [&] { return torch::matmul(x, model.A.t()) + model.c; };
    const auto kl_units = [&] { return 0.5 * (mean_of().square() + model.log_var.exp() - model.log_var - 1); };
    const auto reconstruction = [&] {
      const auto residual = x - torch::matmul(mean_of(), model.W.t()) - model.b;
      return (residual.square().sum(1) + (model.W.square() * model.log_var.exp()).sum()) / (2 * sigma2);
    };
    for (int step = 0; step < 6000; ++step) {
      adam.zero_grad();
      (reconstruction() + beta * kl_units().sum(1)).mean().backward();
      adam.step();
    }
    // The objective itself agrees with the closed form of its loss at the optimum.
    std::vector<Tensor> estimates;
    for (uint64_t seed = 1; seed <= 40; ++seed) {
      const torch::NoGradGuard no_grad;
      estimates.push_back(losses_of(model, {.beta = scheduled_number(beta), .samples = 2000}, batch_of(x), seed).loss.mean());
    }
    const auto estimate = mean_and_error(torch::stack(estimates));
    const auto constant = 2 * std::log(2 * M_PI * sigma2);
    EXPECT_NEAR(estimate.mean, (reconstruction() + beta * kl_units().sum(1)).mean().item<double>() + constant,
                4 * estimate.standard_error);
    const auto kl = std::get<0>(kl_units().mean(0).detach().sort(0, /*descending=*/true));
    expect_close(kl, values(kls), 0, 0.02);
    EXPECT_LT(kl.sum().item<double>(), last_kl);
    EXPECT_GT(reconstruction().mean().item<double>(), last_reconstruction);
    last_kl = kl.sum().item<double>();
    last_reconstruction = reconstruction().mean().item<double>();
  }
}

}  // namespace elbo::elbo_test
