// Values against torch.distributions and mpmath in float64 (scripts/make_golden.py).
#include <gtest/gtest.h>

#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/continuous_bernoulli.h"
#include "elbo/distributions/discretized_logistic.h"
#include "elbo/distributions/kl.h"
#include "elbo/distributions/laplace.h"
#include "elbo/distributions/log_normal.h"
#include "elbo/distributions/mixture.h"
#include "elbo/distributions/multivariate_normal.h"
#include "elbo/distributions/negative_binomial.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/one_hot_categorical.h"
#include "elbo/distributions/poisson.h"
#include "elbo/distributions/student_t.h"
#include "elbo/distributions/transformed.h"
#include "golden/distributions.h"

using namespace elbo;

namespace distribution_goldens {
namespace {

namespace expected = elbo::golden::distributions;
constexpr double kTolerance = 1e-12;

TEST(DistributionGolden, Normal) {
  const Normal q(expected::normal_mean(), expected::normal_log_var());
  expect_close(q.log_prob(expected::normal_value()), expected::normal_log_prob(), kTolerance);
  expect_close(q.entropy(), expected::normal_entropy(), kTolerance);
}

TEST(DistributionGolden, NormalDivergences) {
  const Normal q(expected::normal_mean(), expected::normal_log_var());
  const Normal p(expected::normal_other_mean(), expected::normal_other_log_var());
  const StandardNormal standard({2}, {3}, torch::kDouble);
  expect_close(kl(q, p), expected::normal_normal_kl(), kTolerance);
  expect_close(kl(q, standard), expected::normal_standard_kl(), kTolerance);
  expect_close(kl(standard, p), expected::standard_normal_kl(), kTolerance);
  expect_close(standard.log_prob(expected::normal_value()), expected::standard_log_prob(), kTolerance);
}

TEST(DistributionGolden, Bernoulli) {
  const Bernoulli extreme(expected::bernoulli_logits(), 1);
  expect_close(extreme.log_prob(expected::bernoulli_target()), expected::bernoulli_log_prob(), kTolerance);
  const Bernoulli q(expected::bernoulli_mild(), 1), p(expected::bernoulli_other(), 1);
  expect_close(q.entropy(), expected::bernoulli_entropy(), kTolerance);
  expect_close(q.variance(), expected::bernoulli_variance(), kTolerance);
  expect_close(kl(q, p), expected::bernoulli_kl(), kTolerance);
}

TEST(DistributionGolden, Categorical) {
  const Categorical q(expected::categorical_logits(), 0), p(expected::categorical_other(), 0);
  expect_close(q.log_prob(expected::categorical_value().to(torch::kLong)), expected::categorical_log_prob(), kTolerance);
  expect_close(q.entropy(), expected::categorical_entropy(), kTolerance);
  expect_close(kl(q, p), expected::categorical_kl(), kTolerance);
}

TEST(DistributionGolden, CategoricalPixels) {
  const Categorical q(expected::pixel_logits(), 2, -3);
  expect_close(q.log_prob(expected::pixel_value().to(torch::kLong)), expected::pixel_log_prob(), kTolerance);
  expect_close(q.entropy(), expected::pixel_entropy(), kTolerance);
}

TEST(DistributionGolden, Mixture) {
  const MixtureSameFamily p(expected::mixture_logits(),
                            std::make_shared<Normal>(expected::mixture_means(), expected::mixture_log_vars()));
  expect_close(p.log_prob(expected::mixture_value()), expected::mixture_log_prob(), kTolerance);
  expect_close(p.mean(), expected::mixture_mean(), kTolerance);
  expect_close(p.variance(), expected::mixture_variance(), kTolerance);
}

TEST(DistributionGolden, Laplace) {
  const Laplace q(expected::location(), expected::log_scale()), p(expected::other_location(), expected::other_log_scale());
  expect_close(q.log_prob(expected::real_value()), expected::laplace_log_prob(), kTolerance);
  expect_close(q.entropy(), expected::laplace_entropy(), kTolerance);
  expect_close(q.variance(), expected::laplace_variance(), kTolerance);
  expect_close(kl(q, p), expected::laplace_kl(), kTolerance);
}

TEST(DistributionGolden, StudentT) {
  const StudentT p(expected::student_t_df(), expected::location(), expected::log_scale());
  expect_close(p.log_prob(expected::real_value()), expected::student_t_log_prob(), kTolerance);
  expect_close(p.entropy(), expected::student_t_entropy(), kTolerance);
  const auto has_mean = expected::student_t_df() > 1;
  expect_close(torch::where(has_mean, p.mean(), 0.0), torch::where(has_mean, expected::student_t_mean(), 0.0), kTolerance);
  EXPECT_TRUE((p.mean().isnan() == ~has_mean).all().item<bool>());
  expect_close(torch::where(has_mean, p.variance(), 0.0), torch::where(has_mean, expected::student_t_variance(), 0.0),
               kTolerance);
}

TEST(DistributionGolden, StudentTFromHeavyTailsToAlmostNormal) {
  const auto df = expected::student_t_wide_df();
  const StudentT p(df, torch::zeros_like(df), torch::zeros_like(df), 0);
  expect_close(p.log_prob(expected::student_t_wide_value()), expected::student_t_wide_log_prob(), kTolerance);
  const auto single = df.to(torch::kFloat);
  const StudentT q(single, torch::zeros_like(single), torch::zeros_like(single), 0);
  expect_close(q.log_prob(expected::student_t_wide_value().to(torch::kFloat)), expected::student_t_wide_log_prob(), 3e-6);
}

TEST(DistributionGolden, LogNormal) {
  const LogNormal q(expected::location(), expected::log_normal_log_var()),
      p(expected::other_location(), expected::log_normal_other_log_var());
  expect_close(q.log_prob(expected::log_normal_value()), expected::log_normal_log_prob(), kTolerance);
  expect_close(q.entropy(), expected::log_normal_entropy(), kTolerance);
  expect_close(q.mean(), expected::log_normal_mean(), kTolerance);
  expect_close(q.variance(), expected::log_normal_variance(), kTolerance);
  expect_close(q.mode(), expected::log_normal_mode(), kTolerance);
  expect_close(kl(q, p), expected::log_normal_kl(), kTolerance);
}

TEST(DistributionGolden, ContinuousBernoulli) {
  const ContinuousBernoulli q(expected::continuous_bernoulli_logits()), p(expected::continuous_bernoulli_other());
  expect_close(q.log_prob(expected::continuous_bernoulli_value()), expected::continuous_bernoulli_log_prob(), kTolerance);
  expect_close(kl(q, p), expected::continuous_bernoulli_kl(), 1e-10);  // PyTorch's own series has 1e-11
}

TEST(DistributionGolden, ContinuousBernoulliFromEdgeToEdge) {
  const auto logits = expected::continuous_bernoulli_wide_logits();
  const ContinuousBernoulli p(logits, 0);
  expect_close(p.log_normaliser(), expected::continuous_bernoulli_normaliser(), kTolerance, 1e-15);
  expect_close(p.mean(), expected::continuous_bernoulli_mean(), kTolerance);
  expect_close(p.variance(), expected::continuous_bernoulli_variance(), 1e-11);
  expect_close(p.entropy(), expected::continuous_bernoulli_entropy(), kTolerance, 1e-15);
  const ContinuousBernoulli single(logits.to(torch::kFloat), 0);
  expect_close(single.log_normaliser(), expected::continuous_bernoulli_normaliser(), 1e-6, 1e-7);
  expect_close(single.mean(), expected::continuous_bernoulli_mean(), 2e-6);
  expect_close(single.variance(), expected::continuous_bernoulli_variance(), 2e-5);
  expect_close(single.entropy(), expected::continuous_bernoulli_entropy(), 1e-6, 3e-7);
}

TEST(DistributionGolden, OneHotCategorical) {
  const OneHotCategorical q(expected::one_hot_logits(), 2), p(expected::one_hot_other(), 2);
  expect_close(q.log_prob(expected::one_hot_value()), expected::one_hot_log_prob(), kTolerance);
  expect_close(q.entropy(), expected::one_hot_entropy(), kTolerance);
  expect_close(q.variance(), expected::one_hot_variance(), kTolerance);
  expect_close(kl(q, p), expected::one_hot_kl(), kTolerance);
}

TEST(DistributionGolden, Poisson) {
  const Poisson q(expected::log_rate()), p(expected::other_log_rate());
  expect_close(q.log_prob(expected::count_value()), expected::poisson_log_prob(), kTolerance);
  expect_close(kl(q, p), expected::poisson_kl(), kTolerance);
}

TEST(DistributionGolden, NegativeBinomial) {
  const NegativeBinomial p(expected::negative_binomial_total_count(), expected::negative_binomial_logits());
  expect_close(p.log_prob(expected::count_value()), expected::negative_binomial_log_prob(), kTolerance);
  expect_close(p.mean(), expected::negative_binomial_mean(), kTolerance);
  expect_close(p.variance(), expected::negative_binomial_variance(), kTolerance);
  expect_close(p.mode(), expected::negative_binomial_mode(), kTolerance);
}

TEST(DistributionGolden, DiscretizedLogistic) {
  const auto location = expected::level_location().expand({5, 5}), log_scale = expected::level_log_scale().expand({5, 5});
  const DiscretizedLogistic p(location, log_scale, 0);
  expect_close(p.log_prob(expected::level_value()), expected::level_log_prob(), kTolerance);
  const DiscretizedLogistic q(expected::level_moment_location().squeeze(-1), expected::level_moment_log_scale().squeeze(-1), 0);
  expect_close(q.mean(), expected::level_mean(), 0, 1e-7);
  expect_close(q.variance(), expected::level_variance(), 1e-10);
}

TEST(DistributionGolden, DiscretizedLogisticMixture) {
  const DiscretizedLogisticMixture p(expected::level_mixture_logits(), expected::level_mixture_means(),
                                     expected::level_mixture_log_scales());
  expect_close(p.log_prob(expected::level_mixture_value()), expected::level_mixture_log_prob(), kTolerance);
}

TEST(DistributionGolden, MultivariateNormal) {
  const MultivariateNormal q(expected::full_mean(), expected::full_factor()),
      p(expected::full_other_mean(), expected::full_other_factor());
  expect_close(q.log_prob(expected::full_value()), expected::full_log_prob(), kTolerance);
  expect_close(q.entropy(), expected::full_entropy(), kTolerance);
  expect_close(q.variance(), expected::full_variance(), kTolerance);
  expect_close(q.covariance(), expected::full_covariance(), kTolerance);
  expect_close(MultivariateNormal::with_covariance(expected::full_mean(), q.covariance())->log_prob(expected::full_value()),
               expected::full_log_prob(), kTolerance);
  const Normal diagonal(expected::full_other_mean(), expected::full_log_var());
  const StandardNormal standard({2}, {3}, torch::kDouble);
  expect_close(kl(q, p), expected::full_full_kl(), kTolerance);
  expect_close(kl(q, diagonal), expected::full_diagonal_kl(), kTolerance);
  expect_close(kl(diagonal, q), expected::diagonal_full_kl(), kTolerance);
  expect_close(kl(q, standard), expected::full_standard_kl(), kTolerance);
  expect_close(kl(standard, q), expected::standard_full_kl(), kTolerance);
}

TEST(DistributionGolden, Transformed) {
  const auto base = std::make_shared<Normal>(expected::image_mean(), expected::image_log_var());
  const auto affine = affine_bijector(values({0.7}), values({std::log(2.5)}));
  const auto check = [&](const BijectorPtr& bijector, const Tensor& value, const Tensor& log_prob) {
    SCOPED_TRACE(bijector->name());
    expect_close(TransformedDistribution(base, bijector).log_prob(value), log_prob, 1e-9);
  };
  check(affine, expected::affine_value(), expected::affine_log_prob());
  check(exp_bijector(), expected::exp_value(), expected::exp_log_prob());
  check(sigmoid_bijector(), expected::sigmoid_value(), expected::sigmoid_log_prob());
  check(softplus_bijector(), expected::softplus_value(), expected::softplus_log_prob());
  check(tanh_bijector(), expected::tanh_value(), expected::tanh_log_prob());
  check(composed_bijector({affine, softplus_bijector(), affine}), expected::composed_value(), expected::composed_log_prob());
}

}  // namespace
}  // namespace distribution_goldens
