#include "elbo/distributions/kl.h"

#include <gmock/gmock.h>

#include "elbo/base/error.h"
#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/continuous_bernoulli.h"
#include "elbo/distributions/laplace.h"
#include "elbo/distributions/log_normal.h"
#include "elbo/distributions/mixture.h"
#include "elbo/distributions/multivariate_normal.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/one_hot_categorical.h"
#include "elbo/distributions/poisson.h"
#include "elbo/math/numeric.h"
#include "support/gradients.h"

using namespace elbo;

namespace kl_divergence {
namespace {

struct Pair {
  std::string what;
  DistributionPtr q, p;
};

std::vector<Pair> pairs() {
  const auto q = std::make_shared<Normal>(wavy({2, 3}), wavy({2, 3}, 1)),
             p = std::make_shared<Normal>(wavy({2, 3}, 2), wavy({2, 3}, 3));
  const auto standard = std::make_shared<StandardNormal>(Shape{2}, Shape{3}, torch::kDouble);
  return {
      {"normal, normal", q, p},
      {"normal, standard_normal", q, standard},
      {"standard_normal, normal", standard, p},
      {"standard_normal, standard_normal", standard, standard},
      {"bernoulli, bernoulli", std::make_shared<Bernoulli>(wavy({2, 3}) * 2, 1), std::make_shared<Bernoulli>(wavy({2, 3}, 1), 1)},
      {"categorical, categorical", std::make_shared<Categorical>(wavy({2, 3, 4}), 1),
       std::make_shared<Categorical>(wavy({2, 3, 4}, 2), 1)},
      {"continuous_bernoulli, continuous_bernoulli", std::make_shared<ContinuousBernoulli>(wavy({2, 3}) * 4),
       std::make_shared<ContinuousBernoulli>(wavy({2, 3}, 1) * 2)},
      {"laplace, laplace", std::make_shared<Laplace>(wavy({2, 3}), wavy({2, 3}, 1)),
       std::make_shared<Laplace>(wavy({2, 3}, 2), wavy({2, 3}, 3))},
      {"log_normal, log_normal", std::make_shared<LogNormal>(wavy({2, 3}), wavy({2, 3}, 1)),
       std::make_shared<LogNormal>(wavy({2, 3}, 2), wavy({2, 3}, 3))},
      {"poisson, poisson", std::make_shared<Poisson>(wavy({2, 3}) * 2), std::make_shared<Poisson>(wavy({2, 3}, 1))},
  };
}

/// Those that don't factorise over the event.
std::vector<Pair> joint_pairs() {
  const auto factor = [](double phase) { return wavy({2, 3, 3}, phase) / 2 + 1.3 * torch::eye(3, torch::kDouble); };
  const auto q = std::make_shared<MultivariateNormal>(wavy({2, 3}), factor(0)),
             p = std::make_shared<MultivariateNormal>(wavy({2, 3}, 2), factor(1));
  const auto independent = std::make_shared<Normal>(wavy({2, 3}), wavy({2, 3}, 1));
  const auto standard = std::make_shared<StandardNormal>(Shape{2}, Shape{3}, torch::kDouble);
  return {
      {"multivariate_normal, multivariate_normal", q, p},
      {"multivariate_normal, normal", q, independent},
      {"multivariate_normal, standard_normal", q, standard},
      {"normal, multivariate_normal", independent, p},
      {"standard_normal, multivariate_normal", standard, p},
      {"one_hot_categorical, one_hot_categorical", std::make_shared<OneHotCategorical>(wavy({2, 3, 4}), 2),
       std::make_shared<OneHotCategorical>(wavy({2, 3, 4}, 2), 2)},
  };
}

std::vector<Pair> all_pairs() {
  auto all = pairs();
  for (auto& pair : joint_pairs()) all.push_back(std::move(pair));
  return all;
}

TEST(Kl, JointPairsHaveNoUnits) {
  for (const auto& [what, q, p] : joint_pairs()) {
    SCOPED_TRACE(what);
    EXPECT_TRUE(has_closed_form_kl(*q, *p));
    EXPECT_THROW(kl_per_unit(*q, *p), UsageError);
    EXPECT_EQ(kl(*q, *p).sizes(), Shape{2});
    EXPECT_TRUE((kl(*q, *p) > 1e-3).all().item<bool>());
    expect_close(kl(*q, *q), 0, 0, 1e-14);
  }
  EXPECT_THROW(kl(*joint_pairs()[0].q, StandardNormal({2}, {4}, torch::kDouble)), ShapeError);
}

TEST(Kl, MonteCarloAgreesWithinFourStandardErrors) {
  for (const auto& [what, q, p] : all_pairs()) {
    SCOPED_TRACE(what);
    Stream stream(11, "kl_test", torch::kCPU, 0, torch::kDouble);
    const auto z = q->sample({50'000, 2}, stream);
    const auto draws = monte_carlo_kl(*q, *p, z);  // [K, B]
    const auto exact = kl(*q, *p);
    for (int64_t b = 0; b < 2; ++b) {
      const auto estimate = mean_and_error(draws.select(1, b));
      EXPECT_LE(std::abs(estimate.mean - exact[b].item<double>()), 4 * estimate.standard_error) << exact[b].item<double>();
    }
  }
}

TEST(Kl, IsPositiveAndZeroOnlyForEqualDistributions) {
  for (const auto& [what, q, p] : pairs()) {
    SCOPED_TRACE(what);
    EXPECT_TRUE((kl_per_unit(*q, *p) >= 0).all().item<bool>());
    if (q != p) {
      EXPECT_TRUE((kl(*q, *p) > 1e-3).all().item<bool>());
    }
    expect_close(kl(*q, *q), 0, 0, 1e-15);
    expect_close(kl(*p, *p), 0, 0, 1e-15);
  }
}

TEST(Kl, PerUnitSumsToTheWhole) {
  for (const auto& [what, q, p] : pairs()) {
    SCOPED_TRACE(what);
    const auto units = kl_per_unit(*q, *p);
    ASSERT_EQ(units.sizes(), (Shape{2, 3}));
    expect_close(units.sum(-1), kl(*q, *p), 1e-14);
  }
}

TEST(Kl, ToTheStandardNormalIsTheGeneralFormula) {
  const Normal q(wavy({2, 3}), wavy({2, 3}, 1) * 3),
      zeros(torch::zeros({2, 3}, torch::kDouble), torch::zeros({2, 3}, torch::kDouble));
  const StandardNormal standard({2}, {3}, torch::kDouble);
  expect_close(kl(q, standard), kl(q, zeros), 1e-13);
  expect_close(kl(standard, q), kl(zeros, q), 1e-13);
}

TEST(Kl, GradientsToTheStandardNormal) {
  auto mean = wavy({2, 3}).requires_grad_(), log_var = (wavy({2, 3}, 1) * 2).requires_grad_();
  const auto divergence = kl(Normal(mean, log_var), StandardNormal({2}, {3}, torch::kDouble));
  expect_close(gradient_of(divergence, mean), mean, 1e-14);
  expect_close(gradient_of(divergence, log_var), 0.5 * (log_var.exp() - 1), 1e-13, 1e-15);
}

TEST(Kl, GradientsMatchFiniteDifferences) {
  expect_gradient_matches([](const std::vector<Tensor>& in) { return kl(Normal(in[0], in[1]), Normal(in[2], in[3])); },
                          {wavy({2, 3}), wavy({2, 3}, 1), wavy({2, 3}, 2), wavy({2, 3}, 3)});
  expect_gradient_matches([](const std::vector<Tensor>& in) { return kl(Bernoulli(in[0], 1), Bernoulli(in[1], 1)); },
                          {wavy({2, 3}) * 2, wavy({2, 3}, 1)});
  expect_gradient_matches([](const std::vector<Tensor>& in) { return kl(Categorical(in[0], 1, -2), Categorical(in[1], 1, -1)); },
                          {wavy({2, 4, 3}), wavy({2, 3, 4}, 1)});
  const auto check = [](auto divergence, std::vector<Tensor> in) { expect_gradient_matches(divergence, std::move(in)); };
  using In = const std::vector<Tensor>&;
  const auto a = wavy({2, 3}), b = wavy({2, 3}, 1), c = wavy({2, 3}, 2), d = wavy({2, 3}, 3);
  check([](In in) { return kl(Laplace(in[0], in[1]), Laplace(in[2], in[3])); }, {a, b, c, d});
  check([](In in) { return kl(LogNormal(in[0], in[1]), LogNormal(in[2], in[3])); }, {a, b, c, d});
  check([](In in) { return kl(Poisson(in[0]), Poisson(in[1])); }, {a, b});
  check([](In in) { return kl(ContinuousBernoulli(in[0]), ContinuousBernoulli(in[1])); }, {4 * a, b});
  check([](In in) { return kl(MultivariateNormal(in[0], in[1]), MultivariateNormal(in[2], in[3])); },
        {a, wavy({2, 3, 3}) / 2 + torch::eye(3, torch::kDouble), c, wavy({2, 3, 3}, 1) / 2 + torch::eye(3, torch::kDouble)});
}

TEST(Kl, ImpossibleEventsOfQCountNothingAndOfPMakeItInfinite) {
  auto some = values({0.3, -INFINITY, 1}).requires_grad_();
  auto all = values({-0.2, 0.1, 0.5}).requires_grad_();
  const auto inside = kl(Categorical(some, 0), Categorical(all, 0));
  const auto q = torch::softmax(values({0.3, 1}), 0), p = torch::softmax(all.detach(), 0).index_select(0, torch::tensor({0, 2}));
  expect_close(inside, (q * (q / p).log()).sum(), 1e-14);
  expect_finite(gradient_of(inside, some));
  expect_finite(gradient_of(inside, all));
  EXPECT_EQ(kl(Categorical(all, 0), Categorical(some, 0)).item<double>(), INFINITY);
  expect_close(kl(Categorical(some, 0), Categorical(some, 0)), 0, 0, 1e-15);

  const Bernoulli never(values({-INFINITY}), 1), always(values({INFINITY}), 1), half(values({0}), 1);
  expect_close(kl(never, half), std::log(2.0), 1e-14);
  expect_close(kl(always, half), std::log(2.0), 1e-14);
  EXPECT_EQ(kl(half, never).item<double>(), INFINITY);
  EXPECT_EQ(kl(always, never).item<double>(), INFINITY);
  expect_close(kl(never, never), 0, 0, 1e-15);
}

TEST(Kl, ExtremeParametersStayFiniteInFloat32) {
  auto mean = torch::full({1, 2}, 100.F).requires_grad_();
  auto log_var = torch::tensor({{-30.F, 30.F}}).requires_grad_();
  const auto divergence = kl(Normal(mean, log_var), StandardNormal({1}, {2}));
  expect_finite(divergence);
  expect_finite(gradient_of(divergence, log_var));
  expect_finite(kl(StandardNormal({1}, {2}), Normal(mean, log_var)));
  auto logits = torch::tensor({1e4F, -1e4F, 1e4F, -1e4F}).requires_grad_();
  const Bernoulli q(logits, 1), p(torch::tensor({-1e4F, 1e4F, 1e4F, 0.F}), 1);
  expect_close(kl_per_unit(q, p), values({1e4, 1e4, 0, std::log(2.0)}), 1e-6);
  expect_finite(gradient_of(kl(q, p), logits));
}

TEST(Kl, BatchesBroadcastAndEventsMustNot) {
  const Normal q(torch::zeros({4, 5, 3}), torch::zeros({4, 5, 3})), p(torch::zeros({5, 3}), torch::zeros({5, 3}));
  EXPECT_EQ(kl(q, p).sizes(), (Shape{4, 5}));
  EXPECT_EQ(kl(p, StandardNormal({5}, {3})).sizes(), (Shape{5}));
  EXPECT_EQ(kl(*Normal::with_scale(torch::zeros({5, 3}), 2, 1), StandardNormal({5}, {3})).sizes(), (Shape{5}));
  EXPECT_THROW(kl(p, StandardNormal({5}, {1})), ShapeError);
  EXPECT_THROW(kl(Categorical(torch::zeros({2, 3}), 0), Categorical(torch::zeros({2, 1}), 0)), ShapeError);
}

TEST(Kl, IsNeverSilentlyMonteCarlo) {
  const Normal q(torch::zeros({2, 3}), torch::zeros({2, 3}));
  const MixtureSameFamily p(torch::zeros({4}), std::make_shared<Normal>(torch::zeros({4, 3}), torch::zeros({4, 3})), Shape{2});
  EXPECT_TRUE(has_closed_form_kl(q, q));
  EXPECT_FALSE(has_closed_form_kl(q, p));
  EXPECT_FALSE(has_closed_form_kl(p, q));
  try {
    kl(q, p);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(),
                 "KL('normal' || 'mixture') has no closed form here: use monte_carlo_kl(q, p, z) with z drawn from q");
  }
}

}  // namespace
}  // namespace kl_divergence
