// Values against torch.distributions in float64 (scripts/make_golden.py).
#include <gtest/gtest.h>

#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/kl.h"
#include "elbo/distributions/mixture.h"
#include "elbo/distributions/normal.h"
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

}  // namespace
}  // namespace distribution_goldens
