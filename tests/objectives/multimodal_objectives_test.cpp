#include "multimodal_kit.h"

#include <gtest/gtest.h>
#include "elbo/aggregators/joint.h"
#include "elbo/aggregators/poe.h"
#include "elbo/base/error.h"
#include "elbo/distributions/kl.h"
#include "elbo/math/numeric.h"
#include "elbo/objectives/dmvae.h"
#include "elbo/objectives/elbo.h"
#include "elbo/objectives/iwae.h"
#include "elbo/objectives/mm_jsd.h"
#include "elbo/objectives/mmvae_plus.h"
#include "elbo/objectives/mvtcae.h"
#include "elbo/objectives/subset_elbo.h"
#include "support/gradients.h"

namespace elbo::multimodal_objectives_test {

using namespace multimodal_kit;

// ---- mvtcae

TEST(Mvtcae, IsItsFormulaTermByTerm) {
  const LinearBed bed(poe(PriorExpert::none), kPosteriors);
  const auto batch = bed.draw(kB);
  const double alpha = 0.7, beta = 2.5;
  const auto losses = drawn_losses(*make_mvtcae({.alpha = alpha}, *bed.model, {}), batch);
  const auto q = all_posterior(bed, batch);
  auto conditional = torch::zeros({kB}, torch::kDouble);
  for (const auto m : bed.every()) {
    const auto each = kl(*q, *bed.exact(batch, {m}));
    EXPECT_GT(each.min().item<double>(), 0) << "the product is more precise than any expert";
    conditional += each;
  }
  const StandardNormal p({kB}, {3}, torch::kDouble);
  expect_close(term(losses, "conditional_kl"), conditional, 1e-10);
  expect_close(term(losses, "kl"), kl(*q, p), 1e-10);
  const auto expected =
      (3 - alpha) / 3 * term(losses, "reconstruction") + beta * ((1 - alpha) * kl(*q, p) + alpha / 3 * conditional);
  expect_close(losses.loss, expected, 1e-6);  // beta is float32
  expect_close(term(losses, "bound"), -(term(losses, "reconstruction") + kl(*q, p)), 1e-10);
}

TEST(Mvtcae, WithoutAlphaIsBetaVaeOnTheProductWithoutPrior) {
  const LinearBed bed(poe(PriorExpert::none), kPosteriors);
  const auto batch = bed.draw(kB);
  const auto elbo = drawn_losses(*make_elbo({.beta = scheduled_number(2.5)}, *bed.model, {}), batch);
  expect_close(drawn_losses(*make_mvtcae({.alpha = 0}, *bed.model, {}), batch).loss, elbo.loss, 1e-12);
}

TEST(Mvtcae, OfOneModalityIsTheVaeTimesOneMinusAlpha) {
  const LinearBed bed(poe(PriorExpert::none), kPosteriors, {.sizes = {4}, .scales = {0.7}});
  const auto batch = bed.draw(kB);
  const auto elbo = drawn_losses(*make_elbo({.beta = scheduled_number(2.5)}, *bed.model, {}), batch);
  expect_close(drawn_losses(*make_mvtcae({.alpha = 0.25}, *bed.model, {}), batch).loss, 0.75 * elbo.loss, 1e-10);
}

TEST(Mvtcae, EveryExpertLearnsFromItsOwnDivergence) {
  const LinearBed bed(poe(PriorExpert::none), kPosteriors);
  const auto batch = bed.draw(kB);
  for (auto& item : bed.model->named_parameters()) item.value().set_requires_grad(item.key().starts_with("posterior"));
  const auto gradient = [&](double alpha) {
    for (auto& parameter : bed.model->parameters()) parameter.mutable_grad() = Tensor();
    drawn_losses(*make_mvtcae({.alpha = alpha}, *bed.model, {}), batch).loss.sum().backward();
    return bed.parameter("posterior.m1.log_var.bias").grad().clone();
  };
  // In alpha the loss is linear: what alpha 1 adds is the divergences' gradient, into q and into r_m.
  const auto q = all_posterior(bed, batch);
  const auto r = bed.model->experts(batch, {"m1"})[0].distribution();
  const auto into_r = torch::autograd::grad({kl(*q->detached(), *r).sum()}, {bed.parameter("posterior.m1.log_var.bias")})[0];
  EXPECT_GT(into_r.abs().min().item<double>(), 1e-3);
  EXPECT_FALSE(gradient(1).allclose(gradient(0)));
}

TEST(Mvtcae, RowsCountTheModalitiesTheyHave) {
  const LinearBed bed(poe(PriorExpert::none), kPosteriors);
  auto batch = bed.draw(kB);
  batch.fields["m1"].present = batch.fields["m2"].present = torch::tensor({0, 1, 1, 1, 1}).to(torch::kBool);
  const auto loss = drawn_losses(*make_mvtcae({.alpha = 0.25}, *bed.model, {}), batch).loss;
  const auto terms = drawn_losses(*make_elbo({.beta = scheduled_number(2.5)}, *bed.model, {}), batch);
  expect_close(loss[0], 0.75 * terms.loss[0], 1e-10);
}

// ---- subset_elbo

TEST(SubsetElbo, OfExactPosteriorsIsTheSumOfEvidences) {
  const LinearBed bed(poe(PriorExpert::always), kFactors);
  const auto batch = bed.draw(kB);
  const auto loss = [&](bool singles, int64_t random_subsets) {
    return exact(*make_subset_elbo({.singles = singles, .random_subsets = random_subsets, .samples = kSigma}, *bed.model, {}),
                 batch);
  };
  const auto all = bed.log_evidence(batch);
  expect_close(loss(false, 0).loss, -all, 1e-10);
  auto each = all;
  for (const auto m : bed.every()) each = each + evidence_given(bed, batch, {m});
  expect_close(loss(true, 0).loss, -each, 1e-10);
  // The fixed number 0.5 picks the second of the three pairs.
  expect_close(loss(true, 1).loss, -(each + evidence_given(bed, batch, {0, 2})), 1e-10);
  expect_close(term(loss(true, 1), "bound"), all, 1e-10);
}

TEST(SubsetElbo, RandomSubsetsDifferFromRowToRowAndAreDrawnEvenly) {
  const LinearBed bed(poe(PriorExpert::always), kFactors);
  auto batch = bed.draw(1);
  for (auto& [name, field] : batch.fields) field.value = field.value.expand({3000, -1}).contiguous();
  batch.index = torch::arange(3000);
  TestStep test;
  struct Both final : Noise {
    explicit Both(Noise& random) : source(random) {}
    Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override { return points.normal(leading, event); }
    Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return source.uniform(leading, event); }
    Noise& source;
    SigmaPoints points;
  } noise(test.noise);
  const auto loss =
      with_noise(*make_subset_elbo({.singles = false, .random_subsets = 1, .samples = kSigma}, *bed.model, {}), batch, noise)
          .loss;
  const auto one = batch;
  const auto all = bed.log_evidence(one);
  for (const auto& pair : std::vector<std::vector<size_t>>{{0, 1}, {0, 2}, {1, 2}}) {
    const auto hits = (loss + all + evidence_given(bed, one, pair)).abs() < 1e-8;
    EXPECT_NEAR(hits.to(torch::kDouble).mean().item<double>(), 1.0 / 3, 0.04);
  }
}

TEST(SubsetElbo, OfTwoModalitiesHasNoRandomSubsetsAndMissingRowsAddNothing) {
  const LinearBed bed(poe(PriorExpert::always), kFactors, {.sizes = {4, 5}, .scales = {0.7, 0.5}});
  auto batch = bed.draw(kB);
  const auto objective = make_subset_elbo({.random_subsets = 3, .samples = kSigma}, *bed.model, {});
  const auto whole = exact(*objective, batch).loss;
  expect_close(whole, -(bed.log_evidence(batch) + evidence_given(bed, batch, {0}) + evidence_given(bed, batch, {1})), 1e-10);
  batch.fields["m1"].present = torch::tensor({0, 1, 1, 1, 1}).to(torch::kBool);
  const auto lacking = exact(*objective, batch).loss;
  expect_close(lacking.slice(0, 1), whole.slice(0, 1), 1e-12);
  expect_close(lacking[0], -2 * evidence_given(bed, batch, {0})[0], 1e-10);
}

// ---- mm_jsd

/// M = 1, x = 2, p(x | z) = N(z, 1), q = N(mean, exp(log_var)).
LinearBed scalar_bed(double mean, double log_var) {
  LinearBed bed(aggregation("moe"), kPosteriors, {.D = 1, .sizes = {1}, .scales = {1}});
  bed.set("posterior.m0.mean.weight", torch::zeros({1, 1}));
  bed.set("posterior.m0.mean.bias", torch::full({1}, mean, torch::kDouble));
  bed.set("posterior.m0.log_var.bias", torch::full({1}, log_var, torch::kDouble));
  bed.set("decoder.m0.output.weight", torch::ones({1, 1}));
  bed.set("decoder.m0.output.bias", torch::zeros({1}));
  return bed;
}
Batch scalar_batch(double x) {
  return {.fields = {{"m0", {.value = torch::full({1, 1}, x, torch::kDouble)}}}, .index = torch::arange(1)};
}

TEST(MmJsd, OfOneEncoderIsAnEighthOfTheSquaredMean) {
  const auto js = [](double mean) {
    const auto bed = scalar_bed(mean, 0);
    return term(exact(*make_mm_jsd({.samples = 2}, *bed.model, {}), scalar_batch(1)), "js").item<double>();
  };
  EXPECT_NEAR(js(0), 0, 1e-14);
  EXPECT_NEAR(js(1.7), 1.7 * 1.7 / 8, 1e-12);
}

TEST(MmJsd, IsNoBoundButReportsOne) {
  const auto bed = scalar_bed(1, std::log(0.5));
  const auto losses = exact(*make_mm_jsd({.samples = 2}, *bed.model, {}), scalar_batch(2));
  EXPECT_NEAR(term(losses, "js").item<double>(), 0.24139, 1e-5);
  EXPECT_NEAR(-losses.loss.item<double>(), -1.91033, 1e-5);  // above log p(x)
  EXPECT_NEAR(term(losses, "bound").item<double>(), -2.26551, 1e-5);
}

TEST(MmJsd, ObeysTheIdentitiesOfTheDynamicPrior) {
  const LinearBed bed(aggregation("moe"), kPosteriors);
  const auto batch = bed.draw(kB);
  const auto js = term(exact(*make_mm_jsd({.samples = kSigma}, *bed.model, {}), batch), "js");
  std::vector<DistributionPtr> q;
  for (const auto& expert : bed.model->experts(batch, bed.all())) q.push_back(expert.distribution());
  q.push_back(
      make_distribution(ExpertFamily::normal, torch::zeros({kB, 3}, torch::kDouble), torch::zeros({kB, 3}, torch::kDouble)));
  const double pi = 1.0 / 4;
  // log Z of prod N(mu, var)^pi, by completing the square.
  auto precision = torch::zeros({kB, 3}, torch::kDouble), linear = precision, constant = precision;
  for (const auto& each : q) {
    const auto own = pi / each->variance();
    precision = precision + own;
    linear = linear + own * each->mean();
    constant = constant - 0.5 * own * each->mean().square() - 0.5 * pi * (2 * M_PI * each->variance()).log();
  }
  const auto log_z = (constant + 0.5 * linear.square() / precision + 0.5 * (2 * M_PI / precision).log()).sum(-1);
  auto pairs = log_z, reverse = torch::zeros({kB}, torch::kDouble);
  const Normal f(linear / precision, -precision.log());
  for (const auto& a : q) {
    reverse = reverse + pi * kl(f, *a);
    for (const auto& b : q) pairs = pairs + pi * pi * kl(*a, *b);
  }
  expect_close(js, pairs, 1e-10);
  expect_close(reverse, -log_z, 1e-10);
}

TEST(MmJsd, GradientFlowsThroughTheDynamicPrior) {
  const LinearBed bed(aggregation("moe"), kPosteriors);
  const auto batch = bed.draw(kB);
  for (const std::string path : {"posterior.m1.mean.bias", "posterior.m1.log_var.bias"}) {
    const auto parameter = bed.parameter(path);
    const auto js = [&] {
      const auto losses = exact(*make_mm_jsd({.beta = scheduled_number(1000), .samples = kSigma}, *bed.model, {}), batch);
      return losses.loss.sum();
    };
    const auto analytic = torch::autograd::grad({js()}, {parameter})[0];
    const torch::NoGradGuard no_grad;
    for (int64_t d = 0; d < 3; ++d) {
      const double step = 1e-5;
      parameter[d] += step;
      const auto above = js().item<double>();
      parameter[d] -= 2 * step;
      const auto below = js().item<double>();
      parameter[d] += step;
      EXPECT_NEAR(analytic[d].item<double>(), (above - below) / (2 * step), 1e-3 * std::abs(analytic[d].item<double>()) + 1e-3);
    }
  }
}

TEST(MmJsd, AMissingModalityIsTheModelWithoutIt) {
  const LinearBed three(aggregation("moe"), kPosteriors);
  const LinearBed two(aggregation("moe"), kPosteriors, {.sizes = {4, 5}, .scales = {0.7, 0.5}});
  auto batch = three.draw(kB);
  batch.fields["m2"].present = torch::zeros({kB}, torch::kBool);
  batch.fields["m2"].value = torch::full_like(batch.at("m2"), std::nan(""));
  const auto masked = exact(*make_mm_jsd({.samples = kSigma}, *three.model, {}), batch);
  const auto without = exact(*make_mm_jsd({.samples = kSigma}, *two.model, {}), batch);
  expect_close(masked.loss, without.loss, 1e-10);
  expect_close(term(masked, "js"), term(without, "js"), 1e-10);
  expect_close(term(masked, "bound"), term(without, "bound"), 1e-10);
}

/// Encoders at 50 and a decoder that says so: whatever is drawn from the prior is reconstructed badly.
TEST(MmJsd, DrawsNothingFromThePriorUnlessAsked) {
  const auto bed = scalar_bed(50, 2 * std::log(0.01));
  const auto own = exact(*make_mm_jsd({.beta = scheduled_number(0), .samples = 2}, *bed.model, {}), scalar_batch(50));
  const auto prior =
      exact(*make_mm_jsd({.beta = scheduled_number(0), .samples = 2, .sample_prior = true}, *bed.model, {}), scalar_batch(50));
  EXPECT_LT(own.loss.item<double>(), 1);
  EXPECT_GT(prior.loss.item<double>(), 500);
  expect_close(term(prior, "bound"), term(own, "bound"), 1e-10);
}

TEST(MmJsd, WeightsAreThoseGivenOrRefused) {
  const LinearBed bed(aggregation("moe"), kPosteriors, {.sizes = {4, 5}, .scales = {0.7, 0.5}});
  const auto batch = bed.draw(kB);
  const auto loss = [&](std::map<std::string, double> weights) {
    return exact(*make_mm_jsd({.weights = std::move(weights), .samples = kSigma}, *bed.model, {}), batch).loss;
  };
  const auto uniform = exact(*make_mm_jsd({.samples = kSigma}, *bed.model, {}), batch).loss;
  expect_close(loss({{"m0", 1.0 / 3}, {"m1", 1.0 / 3}, {"prior", 1.0 / 3}}), uniform, 1e-10);
  EXPECT_FALSE(loss({{"m0", 0.5}, {"m1", 0.3}, {"prior", 0.2}}).allclose(uniform));
  EXPECT_EQ(refusal([&] {
              loss({{"m0", 0.5}, {"prior", 0.5}});
            }),
            "this objective: objective.weights must name m0, m1, prior and add up to 1");
  EXPECT_THROW(loss({{"m0", 0.5}, {"m1", 0.5}, {"prior", 0.5}}), ConfigError);
}

// ---- mmvae_plus

constexpr auto kAuxiliary = CrossReconstruction::auxiliary_prior;
constexpr auto kFactorized = CrossReconstruction::factorized;
const LinearBed::Options kPrivate = {.D = 2, .sizes = {5, 6}, .scales = {0.7, 0.5}, .private_size = 2};

TEST(MmvaePlus, WithoutPrivateLatentsIsTheLooserBoundToTheBit) {
  const LinearBed bed(aggregation("moe"), kPosteriors);
  const auto batch = bed.draw(kB);
  for (const int64_t K : {1, 4}) {
    for (const auto estimator : {PathwiseEstimator::standard, PathwiseEstimator::dreg}) {
      const auto plus = drawn_losses(*make_mmvae_plus({.samples = K, .estimator = estimator}, *bed.model, {}), batch);
      const auto iwae =
          drawn_losses(*make_iwae({.samples = K, .estimator = estimator, .mixture = Strata::apart}, *bed.model, {}), batch);
      expect_equal(plus.loss, iwae.loss);
      const auto parameter = bed.parameter("posterior.m1.mean.weight");
      expect_equal(torch::autograd::grad({plus.loss.sum()}, {parameter})[0],
                   torch::autograd::grad({iwae.loss.sum()}, {parameter})[0]);
    }
  }
}

/// Another draw of one stratum.
struct Shifted final : Noise {
  explicit Shifted(int64_t which) : stratum(which) {}
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override {
    auto drawn = stream.normal(leading, event);
    if (first && stratum >= 0) drawn[stratum] += 0.7;
    first = false;
    return drawn;
  }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return stream.uniform(leading, event); }
  Stream stream{5, "noise", at::kCPU, 0, torch::kDouble};
  int64_t stratum;
  bool first = true;
};

/// What is private of m1 learns nothing from how m1 is reconstructed out of m0: the draw of z from m0 doesn't matter to it.
TEST(MmvaePlus, PrivateEncodersGetNoGradientFromCrossReconstruction) {
  const LinearBed bed(aggregation("moe"), kPosteriors, kPrivate);
  const auto batch = bed.draw(kB);
  const auto gradient = [&](CrossReconstruction cross, int64_t stratum) {
    Shifted noise(stratum);
    const auto losses = with_noise(*make_mmvae_plus({.cross = cross}, *bed.model, {}), batch, noise);
    return torch::autograd::grad({losses.loss.sum()}, {bed.parameter("private_posterior.m1.mean.weight")})[0];
  };
  // Where the decoder's columns are orthogonal, z doesn't enter its gradient by w: bend them.
  bed.set("decoder.m1.output.weight", bed.parameter("decoder.m1.output.weight") + 0.1);
  expect_equal(gradient(kAuxiliary, 0), gradient(kAuxiliary, -1));
  EXPECT_FALSE(gradient(kAuxiliary, 1).allclose(gradient(kAuxiliary, -1)));
  EXPECT_FALSE(gradient(kFactorized, 0).allclose(gradient(kFactorized, -1)));
}

TEST(MmvaePlus, FactorizedOfOneSampleIsTheElboOfAllLatents) {
  const LinearBed bed(aggregation("moe"), kPosteriors, kPrivate);
  const auto losses = drawn_losses(*make_mmvae_plus({.cross = kFactorized}, *bed.model, {}), bed.draw(kB));
  expect_close(-losses.loss, term(losses, "bound"), 1e-12);
}

TEST(MmvaePlus, ReportsTheElboWhateverIsOptimised) {
  const LinearBed bed(aggregation("moe"), kPosteriors, kPrivate);
  auto batch = bed.draw(1);
  for (auto& [name, field] : batch.fields) field.value = field.value.expand({20000, -1}).contiguous();
  batch.index = torch::arange(20000);
  const auto objective = make_mmvae_plus({.beta = scheduled_number(2.5)}, *bed.model, {});
  const auto reported = mean_and_error(term(drawn_losses(*objective, batch), "bound"));
  const auto direct =
      mean_and_error(term(drawn_losses(*make_elbo({.kl = KlEstimator::monte_carlo}, *bed.model, {}), batch, 9), "bound"));
  EXPECT_NEAR(reported.mean, direct.mean, 4 * std::hypot(reported.standard_error, direct.standard_error));
  EXPECT_LT(reported.mean, bed.log_evidence(batch)[0].item<double>());
  EXPECT_EQ(objective->parameters().size(), 2U);
}

TEST(MmvaePlus, MissingModalitiesAreNeitherSourceNorTarget) {
  const LinearBed bed(aggregation("moe"), kPosteriors, kPrivate);
  auto batch = bed.draw(kB);
  batch.fields["m1"].present = torch::tensor({0, 1, 1, 1, 1}).to(torch::kBool);
  batch.fields["m1"].value[0].fill_(std::nan(""));
  const auto losses = drawn_losses(*make_mmvae_plus({}, *bed.model, {}), batch);
  expect_finite(losses.loss);
  losses.loss[0].backward();
  for (const auto& item : bed.model->named_parameters()) {
    if (item.key().find(".m1.") == std::string::npos || !item.value().grad().defined()) continue;
    expect_equal(item.value().grad(), torch::zeros_like(item.value()));
  }
}

// ---- dmvae

TEST(Dmvae, IsTheEvidenceOnceForEverySourceAndTheirGaps) {
  for (const auto unimodal : {UnimodalSource::posterior, UnimodalSource::head}) {
    const LinearBed bed(poe(PriorExpert::always), kFactors, {.D = 2, .sizes = {5, 6}, .scales = {0.7, 0.5}, .private_size = 2});
    const auto batch = bed.draw(kB);
    const auto losses = exact(*make_dmvae({.unimodal = unimodal, .samples = 4}, *bed.model, {}), batch);
    const auto right = bed.exact(batch, bed.every());
    auto gaps = torch::zeros({kB}, torch::kDouble);
    for (const auto m : bed.every()) {
      const auto factor = Normal(bed.factor_mean(m, batch), (-bed.precision(m).log()).expand({kB, 2}).contiguous());
      gaps += unimodal == UnimodalSource::posterior ? kl(*bed.exact(batch, {m}), *right) : kl(factor, *right);
    }
    EXPECT_GT(gaps.min().item<double>(), 0.01);
    expect_close(term(losses, "bound"), bed.log_evidence(batch), 1e-10);
    expect_close(losses.loss, -3 * bed.log_evidence(batch) + gaps, 1e-10);
  }
}

TEST(Dmvae, OfOneModalityIsTwiceTheVae) {
  const LinearBed bed(poe(PriorExpert::always), kFactors, {.D = 2, .sizes = {5}, .scales = {0.7}, .private_size = 2});
  const auto batch = bed.draw(kB);
  expect_close(exact(*make_dmvae({.samples = 4}, *bed.model, {}), batch).loss, -2 * bed.log_evidence(batch), 1e-10);
}

TEST(Dmvae, CountsThePrivateDivergencesOnceASource) {
  const LinearBed bed(poe(PriorExpert::always), kFactors, kPrivate);
  const auto batch = bed.draw(kB);
  const auto loss = [&](double private_beta) {
    return exact(*make_dmvae({.private_beta = private_beta, .samples = 4}, *bed.model, {}), batch).loss;
  };
  auto divergences = torch::zeros({kB}, torch::kDouble);
  for (const auto& expert : bed.model->experts(batch, bed.all())) {
    divergences += kl(*expert.own, StandardNormal({kB}, {2}, torch::kDouble));
  }
  expect_close(loss(1) - loss(0), 3 * divergences, 1e-9);
}

TEST(Dmvae, AMissingModalityLeavesEverySource) {
  const LinearBed two(poe(PriorExpert::always), kFactors, kPrivate);
  auto batch = two.draw(kB);
  batch.fields["m1"].present = torch::zeros({kB}, torch::kBool);
  batch.fields["m1"].value.fill_(std::nan(""));
  const auto losses = exact(*make_dmvae({.samples = 4}, *two.model, {}), batch);
  expect_close(losses.loss, -2 * two.log_evidence(batch, {0}), 1e-10);
  losses.loss.sum().backward();
  for (const auto& item : two.model->named_parameters()) {
    if (item.key().find(".m1.") == std::string::npos || !item.value().grad().defined()) continue;
    expect_equal(item.value().grad(), torch::zeros_like(item.value()));
  }
}

}  // namespace elbo::multimodal_objectives_test
