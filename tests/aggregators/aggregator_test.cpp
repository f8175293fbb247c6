#include "elbo/aggregators/aggregator.h"

#include <gtest/gtest.h>

#include "elbo/aggregators/joint.h"
#include "elbo/aggregators/moe.h"
#include "elbo/aggregators/mopoe.h"
#include "elbo/aggregators/poe.h"
#include "elbo/aggregators/unimodal.h"
#include "elbo/base/error.h"
#include "elbo/distributions/kl.h"
#include "elbo/distributions/laplace.h"
#include "elbo/distributions/normal.h"
#include "support/gradients.h"

namespace elbo::aggregator_test {

constexpr int64_t kB = 3, kD = 2;

Expert expert(const std::string& name, double phase, const Tensor& present = {}) {
  return expert_of(name, Normal(wavy({kB, kD}, phase), wavy({kB, kD}, phase + 1)), present);
}
std::vector<Expert> abc() { return {expert("a", 0.1), expert("b", 0.7), expert("c", 2.2)}; }
Tensor rows(std::vector<int> there) { return torch::tensor(there).to(torch::kBool); }

const Normal& normal(const DistributionPtr& q) { return dynamic_cast<const Normal&>(*q); }
const StratifiedMixture& mixture(const DistributionPtr& q) { return dynamic_cast<const StratifiedMixture&>(*q); }

TEST(Product, PrecisionsAddAndMeansAreWeightedByThem) {
  const auto experts = abc();
  const auto made = product(experts, torch::ones({kB}, torch::kBool));
  auto precision = torch::ones({kB, kD}, torch::kDouble);
  auto weighted = torch::zeros({kB, kD}, torch::kDouble);
  for (const auto& e : experts) {
    precision += (-e.log_var).exp();
    weighted += (-e.log_var).exp() * e.mean;
  }
  expect_close(made.log_var, -precision.log(), 1e-12, 1e-14);
  expect_close(made.mean, weighted / precision, 1e-12, 1e-14);
}

TEST(Product, IsAssociative) {
  const auto experts = abc();
  const auto at_once = product(experts);
  const auto stepwise = product({product({experts[0], experts[1]}), experts[2]});
  expect_close(stepwise.mean, at_once.mean, 1e-12, 1e-14);
  expect_close(stepwise.log_var, at_once.log_var, 1e-12, 1e-14);
}

TEST(Product, TwoEqualExpertsHalveTheVarianceAndKeepTheMean) {
  const auto one = expert("a", 0.4);
  const auto two = product({one, one});
  expect_close(two.mean, one.mean, 1e-12);
  expect_close(two.log_var.exp(), 0.5 * one.log_var.exp(), 1e-12);
}

TEST(Product, AnExpertWithoutPrecisionIsNeutral) {
  const auto one = expert("a", 0.4);
  const auto vague =
      expert_of("b", Normal(torch::full({kB, kD}, 5.0, torch::kDouble), torch::full({kB, kD}, 80.0, torch::kDouble)), {});
  expect_close(product({one, vague}).mean, one.mean, 1e-12);
  expect_close(product({one, vague}).log_var, one.log_var, 1e-12);
}

TEST(Product, ExtremesStayFiniteInFloat32) {
  for (const double log_var : {-60.0, 60.0}) {
    auto mean = torch::full({kB, kD}, 3.0).requires_grad_();
    auto extreme = torch::full({kB, kD}, log_var).requires_grad_();
    const auto other = expert_of("b", Normal(wavy({kB, kD}).to(torch::kFloat), torch::zeros({kB, kD})), {});
    const auto made = product({expert_of("a", Normal(mean, extreme), {}), other}, rows({1, 0, 1}));
    expect_finite(made.mean);
    expect_finite(made.log_var);
    (made.mean.sum() + made.log_var.sum()).backward();
    expect_finite(mean.grad());
    expect_finite(extreme.grad());
  }
}

TEST(Product, GradientsAreThoseOfFiniteDifferences) {
  expect_gradient_matches(
      [](const std::vector<Tensor>& in) {
        const auto there = rows({1, 0, 1});
        const auto made =
            product({expert_of("a", Normal(in[0], in[1]), there), expert_of("b", Normal(in[2], in[3]), {})}, rows({0, 1, 1}));
        return torch::cat({made.mean, made.log_var});
      },
      {wavy({kB, kD}, 0.1), wavy({kB, kD}, 1.1), wavy({kB, kD}, 2.1), wavy({kB, kD}, 3.1)});
}

/// An absent expert set to log_var = +inf would give NaN here.
TEST(Product, AnAbsentExpertLeavesWithoutATrace) {
  auto mean = torch::full({kB, kD}, std::nan(""), torch::kDouble).requires_grad_();
  auto log_var = torch::full({kB, kD}, std::nan(""), torch::kDouble).requires_grad_();
  const auto other = expert("b", 0.7);
  const auto nowhere = rows({0, 0, 0});
  const auto absent = expert_of("a", Normal(mean, log_var), nowhere);
  const auto made = product({absent, other});
  expect_close(made.mean, other.mean, 1e-12);
  expect_close(made.log_var, other.log_var, 1e-12);
  const auto q = make_distribution(made.family, made.mean, made.log_var);
  kl(*q, *make_distribution(made.family, torch::zeros_like(made.mean), torch::zeros_like(made.mean))).sum().backward();
  expect_equal(mean.grad(), torch::zeros_like(mean));
  expect_equal(log_var.grad(), torch::zeros_like(log_var));
}

TEST(Product, OfNothingIsTheStandardNormal) {
  const auto made = product({expert("a", 0.1, rows({1, 0, 0})), expert("b", 0.7, rows({0, 1, 0}))});
  expect_equal(made.mean[2], torch::zeros({kD}, torch::kDouble));
  expect_close(made.log_var[2], torch::zeros({kD}, torch::kDouble), 0, 1e-15);
  expect_close(made.mean[0], expert("a", 0.1).mean[0], 1e-14);
}

TEST(Product, OfLaplacesIsRefused) {
  const auto laplace = expert_of("a", Laplace(wavy({kB, kD}), wavy({kB, kD}, 1)), {});
  EXPECT_THROW(product({laplace, laplace}), ConfigError);
  EXPECT_THROW(product({laplace}, torch::ones({kB}, torch::kBool)), ConfigError);
}

TEST(Expert, GivesBackTheDistributionItWasReadFrom) {
  const Laplace laplace(wavy({kB, kD}), wavy({kB, kD}, 1));
  const auto back = expert_of("a", laplace, {}).distribution();
  expect_close(back->log_prob(wavy({kB, kD}, 2)), laplace.log_prob(wavy({kB, kD}, 2)), 1e-12);
  expect_close(back->variance(), laplace.variance(), 1e-12);
}

const AggregatorContext kAbc = {.modalities = {"a", "b", "c"}};

TEST(Mopoe, HasAComponentForEverySubsetEachItsProduct) {
  const auto aggregator = make_mopoe({.prior_expert = PriorExpert::none}, kAbc);
  const auto subsets = aggregator->components({"a", "b", "c"});
  ASSERT_EQ(subsets.size(), 7U);
  const auto experts = abc();
  const auto q = aggregator->posterior(experts);
  const auto& made = mixture(q);
  EXPECT_EQ(made.num_components(), 7);
  expect_close(made.log_weight(), -std::log(7.0), 1e-12);
  const auto& each = normal(made.components());
  for (size_t s = 0; s < subsets.size(); ++s) {
    std::vector<Expert> members;
    for (const auto& e : experts) {
      if (std::find(subsets[s].begin(), subsets[s].end(), e.name) != subsets[s].end()) members.push_back(e);
    }
    const auto expected = product(members);
    const auto i = static_cast<int64_t>(s);
    expect_close(each.mean()[i], expected.mean, 1e-14);
    expect_close(each.log_var()[i], expected.log_var, 1e-14);
  }
}

TEST(Mopoe, FullOnlyPutsThePriorIntoTheProductOfAll) {
  const auto made = make_mopoe({}, kAbc)->posterior(abc());
  const auto& each = normal(mixture(made).components());
  const auto with_prior = product(abc(), torch::ones({kB}, torch::kBool));
  expect_close(each.log_var()[6], with_prior.log_var, 1e-14);
  expect_close(each.log_var()[0], abc()[0].log_var, 1e-14);
  // In PoE a row that lacks a modality isn't full.
  auto experts = abc();
  experts[1] = expert("b", 0.7, rows({1, 0, 1}));
  const auto poe = make_poe({.prior_expert = PriorExpert::full_only}, kAbc)->posterior(experts);
  expect_close(normal(poe).log_var()[0], with_prior.log_var[0], 1e-14);
  expect_close(normal(poe).log_var()[1], product({experts[0], experts[2]}).log_var[1], 1e-14);
}

TEST(Mopoe, SinglesAreTheMixtureAndFullTheProduct) {
  const auto experts = abc();
  const auto x = wavy({4, kB, kD}, 5);
  expect_close(make_mopoe({.subsets = Subsets::singles}, kAbc)->posterior(experts)->log_prob(x),
               make_moe({}, kAbc)->posterior(experts)->log_prob(x), 1e-12);
  expect_close(make_mopoe({.subsets = Subsets::full}, kAbc)->posterior(experts)->log_prob(x),
               make_poe({.prior_expert = PriorExpert::full_only}, kAbc)->posterior(experts)->log_prob(x), 1e-12);
}

TEST(Mopoe, WeightsOfTheSubsetsThatARowHasSumToOne) {
  auto experts = abc();
  experts[0] = expert("a", 0.1, rows({1, 0, 0}));
  experts[2] = expert("c", 2.2, rows({1, 1, 0}));
  const auto made = make_mopoe({}, kAbc)->posterior(experts);
  const auto weight = mixture(made).log_weight().exp();
  expect_close(weight.sum(0), 1.0, 1e-12);
  const auto available = (weight > 0).sum(0);
  EXPECT_EQ(available[0].item<int64_t>(), 7);
  EXPECT_EQ(available[1].item<int64_t>(), 3);  // b, c, bc
  EXPECT_EQ(available[2].item<int64_t>(), 1);  // b
}

TEST(Mopoe, GivenSomeModalitiesIsAMixtureWithinOrTheirProduct) {
  const std::vector<Expert> two = {expert("a", 0.1), expert("c", 2.2)};
  EXPECT_EQ(mixture(make_mopoe({}, kAbc)->posterior(two)).num_components(), 3);
  const auto product_of_two = make_mopoe({.given = GivenSubset::product}, kAbc)->posterior(two);
  expect_close(normal(product_of_two).log_var(), product(two).log_var, 1e-14);
  EXPECT_EQ(mixture(make_mopoe({.given = GivenSubset::product}, kAbc)->posterior(abc())).num_components(), 7);
}

TEST(Mopoe, RefusesListsThatMeanNothing) {
  const auto refused = [](std::vector<Subset> subsets) {
    try {
      make_mopoe({.subsets = std::move(subsets)}, kAbc);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_EQ(refused({}), "aggregation.subsets: an empty list, expected at least one subset");
  EXPECT_EQ(refused({{"a", "d"}}), "aggregation.subsets: 'd' is no modality; the modalities are a, b, c");
  EXPECT_EQ(refused({{"a", "b"}, {"b", "a"}}), "aggregation.subsets: [a, b] is listed twice");
  EXPECT_EQ(refused({{"a", "a"}}), "aggregation.subsets: [a, a] is empty or names a modality twice");
}

TEST(Aggregator, WithNothingGivenThereIsNoPosterior) {
  for (const auto& aggregator : {make_poe({}, kAbc), make_moe({}, kAbc), make_mopoe({}, kAbc), make_joint({}, kAbc),
                                 make_unimodal({.modality = "b"}, kAbc)}) {
    EXPECT_THROW(aggregator->posterior({}), UsageError) << aggregator->name();
  }
  EXPECT_THROW(make_unimodal({.modality = "b"}, kAbc)->posterior({expert("a", 0.1)}), UsageError);
}

TEST(Aggregator, JointTakesTheJointExpertWhereThereIsOne) {
  const auto joint = make_joint({}, kAbc);
  auto experts = abc();
  experts.push_back(expert(std::string(kJointExpert), 4.0));
  expect_equal(normal(joint->posterior(experts)).mean(), experts[3].mean);
  expect_close(normal(joint->posterior(abc())).mean(), product(abc()).mean, 1e-14);
}

TEST(Aggregator, UnimodalIsItsOneExpert) {
  const auto q = make_unimodal({.modality = "b"}, kAbc)->posterior(abc());
  expect_equal(normal(q).mean(), abc()[1].mean);
  EXPECT_EQ(make_unimodal({}, kAbc)->sources(), Subset{"a"});
}

}  // namespace elbo::aggregator_test
