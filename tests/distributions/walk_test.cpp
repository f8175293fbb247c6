// What every distribution of the library promises, on one table of them all.
#include <gtest/gtest.h>

#include <type_traits>

#include "elbo/base/error.h"
#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/continuous_bernoulli.h"
#include "elbo/distributions/discretized_logistic.h"
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
#include "elbo/math/numeric.h"
#include "support/gradients.h"

using namespace elbo;

namespace distribution_walk {
namespace {

using Parameters = std::vector<Tensor>;

/// What values look like, for sums and integrals over all of them; `none` where elements aren't independent.
enum class Values { none, real, positive, unit, symmetric, bits, classes, counts, levels };

struct Case {
  std::string name;
  std::function<DistributionPtr(const Parameters&)> make;
  Parameters parameters = {};  // float64, of a batch [2]
  Values values = Values::none;
  bool has_moments = true;
  bool has_entropy = true;
  bool mode_is_highest = true;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

template <class D>
Case one(std::string name, Values values, Tensor a) {
  return {.name = std::move(name),
          .make = [](const Parameters& p) { return std::make_shared<D>(p[0], 1); },
          .parameters = {a},
          .values = values};
}

template <class D>
Case two(std::string name, Values values, Tensor a, Tensor b) {
  return {.name = std::move(name),
          .make = [](const Parameters& p) { return std::make_shared<D>(p[0], p[1]); },
          .parameters = {a, b},
          .values = values};
}

template <class D>
Case three(std::string name, Values values, Tensor a, Tensor b, Tensor c) {
  return {.name = std::move(name),
          .make = [](const Parameters& p) { return std::make_shared<D>(p[0], p[1], p[2]); },
          .parameters = {a, b, c},
          .values = values};
}

std::vector<Case> cases() {
  const auto a = wavy({2, 3}), b = wavy({2, 3}, 1);
  std::vector<Case> all = {
      one<Bernoulli>("bernoulli", Values::bits, 2 * a),
      one<Categorical>("categorical", Values::classes, wavy({2, 3, 4})),
      one<ContinuousBernoulli>("continuous_bernoulli", Values::unit, 4 * a),
      two<DiscretizedLogistic>("discretized_logistic", Values::levels, (a + 1) / 2, b - 2),
      three<DiscretizedLogisticMixture>("discretized_logistic_mixture", Values::levels, wavy({2, 3, 2}),
                                        (wavy({2, 3, 2}, 1) + 1) / 2, wavy({2, 3, 2}, 2) - 2),
      two<Laplace>("laplace", Values::real, a, b),
      two<LogNormal>("log_normal", Values::positive, a, b - 1.5),
      two<MultivariateNormal>("multivariate_normal", Values::none, a,
                              wavy({2, 3, 3}, 1) / 2 + 1.3 * torch::eye(3, torch::kDouble)),
      two<NegativeBinomial>("negative_binomial", Values::counts, 2 * a.exp(), b),
      two<Normal>("normal", Values::real, a, b),
      {.name = "one_hot_categorical",
       .make = [](const Parameters& p) { return std::make_shared<OneHotCategorical>(p[0], 2); },
       .parameters = {wavy({2, 3, 4})}},
      one<Poisson>("poisson", Values::counts, 2 * a + 1),
      {.name = "standard_normal",
       .make = [](const Parameters&) { return std::make_shared<StandardNormal>(Shape{2}, Shape{3}, torch::kDouble); },
       .values = Values::real},
      three<StudentT>("student_t", Values::real, 9 + 2 * wavy({2, 3}, 2).exp(), a, b),
      {.name = "mixture",
       .make =
           [](const Parameters& p) { return std::make_shared<MixtureSameFamily>(p[0], std::make_shared<Normal>(p[1], p[2])); },
       .parameters = {wavy({2, 2}), wavy({2, 2, 3}, 1), wavy({2, 2, 3}, 2)},
       .mode_is_highest = false},
      {.name = "transformed_affine",
       .make =
           [](const Parameters& p) {
             return std::make_shared<TransformedDistribution>(std::make_shared<Laplace>(p[0], p[1]), affine_bijector(p[2], p[3]));
           },
       .parameters = {a, b, wavy({2, 3}, 2), wavy({2, 3}, 3)},
       .values = Values::real},
      {.name = "transformed_tanh",
       .make =
           [](const Parameters& p) {
             return std::make_shared<TransformedDistribution>(std::make_shared<Normal>(p[0], p[1]),
                                                              composed_bijector({affine_bijector(p[2], p[3]), tanh_bijector()}));
           },
       .parameters = {a, b - 1, wavy({2, 3}, 2) / 2, wavy({2, 3}, 3) - 1},
       .values = Values::symmetric,
       .has_moments = false,
       .mode_is_highest = false},
  };
  for (auto& c : all) {
    for (const auto* name : {"discretized_logistic", "discretized_logistic_mixture", "mixture", "negative_binomial", "poisson",
                             "transformed_tanh"}) {
      if (c.name == name) c.has_entropy = false;
    }
    if (c.name == "discretized_logistic_mixture") c.mode_is_highest = false;
  }
  return all;
}

Parameters mapped(const Parameters& parameters, const std::function<Tensor(const Tensor&)>& change) {
  Parameters changed;
  for (const auto& p : parameters) changed.push_back(change(p));
  return changed;
}

struct Grid {
  Tensor points, weights;
};

/// Infinite ranges by x = sinh t and e^t, edges by x = sigmoid t and tanh t.
Grid grid_of(Values kind) {
  const auto t = [](double end) { return torch::linspace(-end, end, 100'001, torch::kDouble); };
  const auto whole = [](int64_t n) { return torch::arange(n, torch::kDouble); };
  const double dt = 1. / 50'000;
  switch (kind) {
    case Values::real:
      return {t(20).sinh(), t(20).cosh() * (20 * dt)};
    case Values::positive:
      return {t(40).exp(), t(40).exp() * (40 * dt)};
    case Values::unit:
      return {t(40).sigmoid(), t(40).sigmoid() * (-t(40)).sigmoid() * (40 * dt)};
    case Values::symmetric:
      return {t(12).tanh(), t(12).cosh().pow(-2) * (12 * dt)};
    case Values::bits:
      return {whole(2), torch::ones({2})};
    case Values::classes:
      return {whole(4), torch::ones({4})};
    case Values::counts:
      return {whole(3000), torch::ones({3000})};
    case Values::levels:
      return {whole(256) / 256, torch::ones({256})};
    case Values::none:
      break;
  }
  return {};
}

/// Uniform numbers at both ends of [0, 1), normal ones far out, of float32.
class EdgeNoise final : public Noise {
 public:
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override { return alternating(leading, event, -6, 6); }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return alternating(leading, event, 0, 1 - 0x1p-24F); }

 private:
  static Tensor alternating(at::IntArrayRef leading, at::IntArrayRef event, float even, float odd) {
    const auto shape = joined(leading, event);
    const auto is_odd = torch::arange(c10::multiply_integers(shape)).remainder(2).view(shape) == 1;
    return torch::where(is_odd, torch::full(shape, odd), torch::full(shape, even));
  }
};

class DistributionWalk : public testing::TestWithParam<Case> {
 protected:
  const Case& c() const { return GetParam(); }
  DistributionPtr make() const { return c().make(c().parameters); }
  Tensor drawn(int64_t n, uint64_t seed = 1) const {
    Stream stream(seed, "walk", torch::kCPU, 0, torch::kDouble);
    return make()->sample({n, 2}, stream);
  }
};

TEST_P(DistributionWalk, ShapesBroadcastBothWays) {
  const auto d = make();
  EXPECT_EQ(d->batch_shape(), Shape{2});
  const auto event = d->event_shape();
  const auto x = drawn(4);
  EXPECT_EQ(x.sizes(), joined({4, 2}, event));
  const auto log_prob = d->log_prob(x);
  ASSERT_EQ(log_prob.sizes(), (Shape{4, 2}));
  for (int64_t k = 0; k < 4; ++k) expect_close(log_prob[k], d->log_prob(x[k]), 1e-12);
  EXPECT_EQ(d->mode().sizes(), joined({2}, event));
  EXPECT_THROW(d->log_prob(torch::zeros({2, 7})), ShapeError);

  if (c().parameters.empty()) return;
  const auto of = [&](int64_t k) { return mapped(c().parameters, [&](const Tensor& p) { return p * (1 - 0.05 * k); }); };
  Parameters wide;
  for (size_t i = 0; i < c().parameters.size(); ++i) wide.push_back(torch::stack({of(0)[i], of(1)[i], of(2)[i]}));
  const auto samples = c().make(wide);
  ASSERT_EQ(samples->batch_shape(), (Shape{3, 2}));
  const auto against_one = samples->log_prob(x[0]);
  ASSERT_EQ(against_one.sizes(), (Shape{3, 2}));
  for (int64_t k = 0; k < 3; ++k) expect_close(against_one[k], c().make(of(k))->log_prob(x[0]), 1e-12);
  Stream stream(1, "walk", torch::kCPU, 0, torch::kDouble);
  EXPECT_EQ(samples->sample({5, 3, 2}, stream).sizes(), joined({5, 3, 2}, event));
  if (c().has_moments) {
    EXPECT_EQ(samples->variance().sizes(), joined({3, 2}, event));
    expect_close(samples->mean()[1], c().make(of(1))->mean(), 1e-12);
  }
  if (c().has_entropy) expect_close(samples->entropy()[1], c().make(of(1))->entropy(), 1e-12);
}

TEST_P(DistributionWalk, OnlyRsampleCarriesAGradientAndDetachedHasNone) {
  const auto leaves = mapped(c().parameters, [](const Tensor& p) { return p.clone().requires_grad_(); });
  const auto d = c().make(leaves);
  Stream stream(2, "walk", torch::kCPU, 0, torch::kDouble);
  const auto x = d->sample({4, 2}, stream);
  EXPECT_FALSE(x.requires_grad());
  if (d->has_rsample()) {
    stream.rekey(0);
    const auto z = d->rsample({4, 2}, stream);
    expect_equal(z.detach(), x);
    for (const auto& leaf : leaves) {
      const auto gradient = gradient_of(z.square(), leaf);
      ASSERT_TRUE(gradient.defined());
      expect_finite(gradient);
      EXPECT_GT(gradient.abs().sum().item<double>(), 0);
    }
  } else {
    EXPECT_THROW(d->rsample({4, 2}, stream), UsageError);
  }
  const auto cut = d->detached();
  EXPECT_EQ(cut->name(), d->name());
  EXPECT_EQ(cut->batch_shape(), d->batch_shape());
  EXPECT_EQ(cut->event_shape(), d->event_shape());
  const auto log_prob = cut->log_prob(x);
  EXPECT_FALSE(log_prob.requires_grad());
  expect_close(log_prob, d->log_prob(x), 1e-14);
}

TEST_P(DistributionWalk, LogProbIsTheSumOfItsElements) {
  const auto d = make();
  const auto x = drawn(4);
  if (c().values == Values::none) {
    EXPECT_THROW(d->log_prob_per_element(x), UsageError);
    return;
  }
  const auto elements = d->log_prob_per_element(x);
  ASSERT_EQ(elements.sizes(), joined({4, 2}, d->event_shape()));
  expect_close(elements.sum(-1), d->log_prob(x), 1e-12);
  const auto valid = torch::arange(2 * 3).view({2, 3}).remainder(2) == 0;
  expect_close(d->log_prob(x, valid), torch::where(valid, elements, 0.0).sum(-1), 1e-12);
}

TEST_P(DistributionWalk, SumsOrIntegratesToOne) {
  if (c().values == Values::none) return;  // joint: their own tests integrate them
  const auto [points, weights] = grid_of(c().values);
  const auto d = make();
  const auto mass = d->log_prob_per_element(points.view({-1, 1, 1}).expand({-1, 2, 3})).exp() * weights.view({-1, 1, 1});
  expect_close(mass.sum(0), 1, 1e-6);
}

TEST_P(DistributionWalk, GradientsMatchFiniteDifferences) {
  if (c().parameters.empty()) return;
  const auto x = drawn(4);
  expect_gradient_matches([&](const Parameters& p) { return c().make(p)->log_prob(x); }, c().parameters, {.atol = 1e-7});
  if (!make()->has_rsample()) return;
  expect_gradient_matches(
      [&](const Parameters& p) {
        Stream stream(3, "walk", torch::kCPU, 0, torch::kDouble);
        return c().make(p)->rsample({4, 2}, stream);
      },
      c().parameters, {.atol = 1e-7});
}

TEST_P(DistributionWalk, SamplesHaveItsMomentsAndEntropy) {
  const auto d = make();
  constexpr int64_t kDraws = 20'000;
  const auto x = drawn(kDraws, 5);
  const auto near = [](const Tensor& draws, const Tensor& expected, const char* what) {  // within 4 standard errors
    const auto error = draws.std(0) / std::sqrt(static_cast<double>(kDraws));
    const auto off = (draws.mean(0) - expected).abs();
    EXPECT_TRUE((off <= 4 * error + 1e-12).all().item<bool>()) << what << ": off by " << off << "\nstandard error " << error;
  };
  if (c().has_moments) {
    const auto value = x.to(torch::kDouble);
    near(value, d->mean(), "mean");
    near((value - d->mean()).square(), d->variance(), "variance");
  } else {
    EXPECT_THROW(d->mean(), UsageError);
    EXPECT_THROW(d->variance(), UsageError);
  }
  if (c().has_entropy) {
    near(-d->log_prob(x), d->entropy(), "entropy");
  } else {
    EXPECT_THROW(d->entropy(), UsageError);
  }
  if (c().mode_is_highest) {
    EXPECT_TRUE((d->log_prob(x) <= d->log_prob(d->mode()) + 1e-12).all().item<bool>());
  }
}

TEST_P(DistributionWalk, TheEdgesOfTheNoiseGiveFiniteDrawsInFloat32) {
  const auto leaves = mapped(c().parameters, [](const Tensor& p) { return p.to(torch::kFloat).requires_grad_(); });
  const auto d = c().make(leaves);
  EdgeNoise noise;
  const auto x = d->sample({3, 2}, noise);
  expect_finite(x);
  const auto log_prob = d->log_prob(x);
  expect_finite(log_prob);
  for (const auto& leaf : leaves) expect_finite(gradient_of(log_prob, leaf));
  if (!d->has_rsample()) return;
  const auto z = d->rsample({3, 2}, noise);
  for (const auto& leaf : leaves) expect_finite(gradient_of(z, leaf));
}

INSTANTIATE_TEST_SUITE_P(All, DistributionWalk, testing::ValuesIn(cases()), [](const auto& tested) { return tested.param.name; });

// Parameters and values far beyond what training meets, in float32: [N] parameter rows against [M] values.
struct Extreme {
  std::string name;
  std::function<DistributionPtr(const Parameters&)> make;
  std::vector<std::vector<float>> parameters;
  std::vector<float> values;
};

std::vector<Extreme> extremes() {
  const auto of = [](auto type) {
    using D = typename decltype(type)::type;
    return [](const Parameters& p) -> DistributionPtr {
      if constexpr (std::is_constructible_v<D, Tensor, Tensor, Tensor, int64_t>)
        return std::make_shared<D>(p[0], p[1], p[2], 1);
      else if constexpr (std::is_constructible_v<D, Tensor, Tensor, int64_t>)
        return std::make_shared<D>(p[0], p[1], 1);
      else
        return std::make_shared<D>(p[0], 1);
    };
  };
  return {
      {"laplace", of(std::type_identity<Laplace>{}), {{0, 0, 100}, {-30, 30, -30}}, {-100, 0, 100}},
      {"student_t", of(std::type_identity<StudentT>{}), {{1e-3F, 1, 1e8F}, {0, 0, 100}, {-20, 20, -20}}, {-100, 0, 100}},
      {"log_normal", of(std::type_identity<LogNormal>{}), {{0, -50, 50}, {-20, 20, -20}}, {1e-30F, 1, 1e30F}},
      {"continuous_bernoulli",
       of(std::type_identity<ContinuousBernoulli>{}),
       {{-1e4F, -1e-20F, 0, 1e-20F, 100, 1e4F}},
       {0, 0.3F, 1}},
      {"poisson", of(std::type_identity<Poisson>{}), {{-100, 0, 50}}, {0, 1, 1e6F}},
      {"negative_binomial", of(std::type_identity<NegativeBinomial>{}), {{1e-4F, 1, 1e6F}, {-80, 80, 0}}, {0, 1, 1e6F}},
      {"discretized_logistic",
       of(std::type_identity<DiscretizedLogistic>{}),
       {{-10, 0.5F, 0.5F, 10}, {-10, -7, 16, -3}},
       {0, 1.F / 256, 0.5F, 254.F / 256, 1}},
      {"normal", of(std::type_identity<Normal>{}), {{-100, 0, 100}, {-30, 30, 0}}, {-100, 0, 100}},
  };
}

TEST(DistributionExtremes, ValuesAndGradientsStayFiniteInFloat32) {
  for (const auto& [name, make, columns, numbers] : extremes()) {
    SCOPED_TRACE(name);
    Parameters leaves;
    for (const auto& column : columns) leaves.push_back(torch::tensor(column).unsqueeze(-1).requires_grad_());
    const auto value = torch::tensor(numbers).view({-1, 1, 1});
    const auto log_prob = make(leaves)->log_prob(value);
    EXPECT_EQ(log_prob.scalar_type(), torch::kFloat);
    expect_finite(log_prob);
    for (const auto& leaf : leaves) expect_finite(gradient_of(log_prob, leaf));
  }
}

TEST(DistributionExtremes, ParametersOfOneSizeOrShared) {
  const auto mean = wavy({2, 3}), shared = torch::full({}, 0.7, torch::kDouble), x = (wavy({4, 2, 3}, 1) + 1) / 2;
  const auto same = [&](const Distribution& a, const Distribution& b) {
    SCOPED_TRACE(a.name());
    expect_close(a.log_prob(x), b.log_prob(x), 1e-13);
    expect_close(a.mean(), b.mean(), 1e-13);
    expect_close(a.variance(), b.variance(), 1e-13);
  };
  const auto full = shared.expand({2, 3});
  same(Laplace(mean, shared), Laplace(mean, full));
  expect_close(Laplace(mean, shared).entropy(), Laplace(mean, full).entropy(), 1e-13);
  same(StudentT(shared + 5, mean, shared), StudentT(full + 5, mean, full));
  expect_close(StudentT(shared + 5, mean, shared).entropy(), StudentT(full + 5, mean, full).entropy(), 1e-13);
  same(LogNormal(mean, shared), LogNormal(mean, full));
  expect_close(LogNormal(mean, shared).entropy(), LogNormal(mean, full).entropy(), 1e-13);
  same(NegativeBinomial(shared, mean), NegativeBinomial(full, mean));
  same(DiscretizedLogistic(mean, shared), DiscretizedLogistic(mean, full));
  try {
    Laplace(mean, torch::zeros({3}, torch::kDouble));
    ADD_FAILURE() << "a log_scale of another shape was taken";
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "laplace: log_scale: got [3], expected [2, 3]");
  }
}

}  // namespace
}  // namespace distribution_walk
