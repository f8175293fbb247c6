#include "elbo/objectives/capacity.h"

#include "support/linear_gaussian.h"

namespace elbo::capacity_test {

LossTerms losses_of(Variational& model, const CapacityConfig& config, const Batch& batch, uint64_t seed = 1) {
  TestStep test(seed);
  auto step = test.step();
  return make_capacity(config, model, {})->losses(batch, step);
}

CapacityConfig at_capacity(double nats, double gamma = 1000) {
  CapacityConfig config;
  config.capacity = scheduled_number(nats);
  config.gamma = gamma;
  return config;
}

/// q = N(A x, I), so that the KL is |A x|^2 / 2.
LinearGaussian unit_variance_model() {
  LinearGaussian model(0.3 * wavy({3, 2}), torch::zeros({3}), 1);
  const torch::NoGradGuard no_grad;
  model.A.copy_(wavy({2, 3}, 0.4));
  return model;
}

double mean_kl(const LossTerms& losses) { return term(losses, "kl").mean().item<double>(); }

TEST(Capacity, GradientIsGammaTimesTheSignOfKlMinusC) {
  // KL = m^2 / 2 with unit variance: below C each element's mean gets -gamma m / B, above it +gamma m / B.
  auto model = unit_variance_model();
  const auto x = wavy({5, 3}, 0.7) * 3;
  TestStep test;
  auto step = test.step();
  const auto m = (torch::matmul(x, model.A.t())).detach();
  const double kl = (0.5 * m.square().sum(1)).mean().item<double>();
  ASSERT_GT(kl, 0.5);
  ASSERT_LT(kl, 25);
  // d m / d A is x: the gradient of A is (gradient of m)' x.
  const auto expected = torch::matmul((m * 1000 / 5).t(), x);
  const auto below = losses_of(model, at_capacity(25), batch_of(x));
  expect_close(torch::autograd::grad({below.batch_loss}, {model.A})[0], -expected, 1e-10);
  const auto above = losses_of(model, at_capacity(0.1), batch_of(x));
  expect_close(torch::autograd::grad({above.batch_loss}, {model.A})[0], expected, 1e-10);
}

TEST(Capacity, DistanceIsThatOfTheMeanKlNotTheMeanOfDistances) {
  auto model = unit_variance_model();
  const auto x = wavy({6, 3}, 0.7) * torch::arange(6).unsqueeze(1);  // KLs on both sides of C
  const auto losses = losses_of(model, at_capacity(2, 7), batch_of(x));
  const auto kl = term(losses, "kl");
  ASSERT_LT(kl.min().item<double>(), 2);
  ASSERT_GT(kl.max().item<double>(), 2);
  expect_close(losses.batch_loss, 7 * (kl.mean() - 2).abs(), 1e-10);
  EXPECT_GT(std::abs((kl.mean() - 2).abs().item<double>() - (kl - 2).abs().mean().item<double>()), 0.1);
  EXPECT_EQ(losses.batch_loss.dim(), 0);
}

TEST(Capacity, LossIsTheDistortionAndTheBoundKnowsNeitherGammaNorC) {
  auto model = unit_variance_model();
  const auto batch = batch_of(wavy({4, 3}));
  const auto losses = losses_of(model, at_capacity(9), batch);
  expect_close(losses.loss.detach(), term(losses, "reconstruction"), 1e-12);
  expect_close(term(losses, "bound"), -(term(losses, "reconstruction") + term(losses, "kl")), 1e-12);
  TestStep test;
  auto step = test.step();
  expect_equal(term(losses, "bound"), term(make_elbo({}, model, {})->losses(batch, step), "bound"));
}

TEST(Capacity, ReadsTheScheduleOfTheClock) {
  auto model = unit_variance_model();
  const auto batch = batch_of(wavy({4, 3}) * 2);
  const auto objective = make_capacity({}, model, {});
  EXPECT_TRUE(objective->couples_batch());
  for (const auto& [step_index, C] :
       std::vector<std::pair<int64_t, double>>{{0, 0}, {50'000, 12.5}, {100'000, 25}, {300'000, 25}}) {
    for (auto& number : objective->scheduled()) number.refill({.step = step_index, .steps_per_epoch = 1, .total_steps = 300'000});
    TestStep test;
    auto step = test.step();
    const auto losses = objective->losses(batch, step);
    expect_close(losses.batch_loss, 1000 * std::abs(mean_kl(losses) - C), 1e-9);
  }
}

/// Data along four axes with variances 4, 2, 1 and 0.25, which a linear model can carry 2.4 and more nats about.
struct Training {
  explicit Training(double sigma) : model(torch::eye(4), torch::zeros({4}), sigma) {
    const torch::NoGradGuard no_grad;
    model.A.copy_(0.3 * torch::eye(4, torch::kDouble) + 0.02 * wavy({4, 4}, 1));
    const auto axes = torch::diag((4 * values({4, 2, 1, 0.25})).sqrt());
    x = torch::cat({axes, -axes}).repeat({4, 1});
  }
  double step(Objective& objective, torch::optim::Optimizer& optimizer, int64_t index, int64_t total) {
    for (auto& number : objective.scheduled()) number.refill({.step = index, .steps_per_epoch = 10, .total_steps = total});
    TestStep test(static_cast<uint64_t>(index) + 1);
    auto now = test.step();
    optimizer.zero_grad();
    const auto losses = objective.losses(batch_of(x), now);
    (losses.loss.mean() + losses.batch_loss).backward();
    optimizer.step();
    return mean_kl(losses);
  }
  LinearGaussian model;
  Tensor x;
};

TEST(SlowCapacity, KlFollowsTheCapacityAndLatentsAwakeInTurn) {
  int64_t last_active = 0;
  for (const double C : {1.0, 2.0, 5.0}) {
    Training training(0.1);
    CapacityConfig config;
    config.capacity.set("linear", LinearScheduleConfig{.from = 0, .to = C, .steps = 3000});
    config.gamma = 1000;
    const auto objective = make_capacity(config, training.model, {});
    torch::optim::Adam adam(std::vector<Tensor>{training.model.W, training.model.A, training.model.c, training.model.log_var},
                            torch::optim::AdamOptions(4e-4));
    std::vector<double> kls, targets;
    for (int64_t i = 0; i < 4000; ++i) {
      const double kl = training.step(*objective, adam, i, 4000);
      if (i < 500) continue;  // from the start of the weights to C(t)
      kls.push_back(kl);
      targets.push_back(std::min(1.0, static_cast<double>(i) / 3000) * C);
    }
    EXPECT_NEAR(kls.back(), C, 0.5);
    EXPECT_GT(torch::corrcoef(torch::stack({values(kls), values(targets)}))[0][1].item<double>(), 0.98) << "C = " << C;
    const auto mean = torch::matmul(training.x, training.model.A.t()) + training.model.c;
    const auto& log_var = training.model.log_var;
    const auto kl_units = (0.5 * (mean.square() + log_var.exp() - log_var - 1)).mean(0);
    const auto active = kl_units.gt(0.1).sum().item<int64_t>();
    EXPECT_GE(active, last_active) << "C = " << C;
    last_active = active;
  }
  EXPECT_GE(last_active, 2);
}

}  // namespace elbo::capacity_test
