#include "support/linear_bed.h"

#include <torch/optim/adam.h>

#include "elbo/aggregators/moe.h"
#include "elbo/aggregators/mopoe.h"
#include "elbo/aggregators/poe.h"
#include "elbo/distributions/kl.h"
#include "elbo/math/numeric.h"
#include "elbo/objectives/elbo.h"
#include "elbo/objectives/iwae.h"

/// The facts that hold where every integral is known, through the public interface of the model and the objectives.
namespace elbo::linear_bed_test {

constexpr auto kFactors = LinearBed::Encodes::likelihood_factors;
constexpr auto kPosteriors = LinearBed::Encodes::posteriors;
constexpr int64_t kB = 5, kSigma = 6;  // 2 D samples

LossTerms losses_with(Objective& objective, const Batch& batch, Noise& noise) {
  TestStep test;
  Step step{.noise = noise, .streams = test.streams, .collective = test.collective};
  return objective.losses(batch, step);
}
/// The ELBO with both integrals exact.
Tensor exact_elbo(const LinearBed& bed, const Batch& batch) {
  SigmaPoints noise;
  return term(losses_with(*make_elbo({.samples = kSigma}, *bed.model, {}), batch, noise), "bound");
}
LossTerms iwae_of(const LinearBed& bed, const Batch& batch, const IwaeConfig& config, uint64_t seed = 1) {
  TestStep test(seed);
  return losses_with(*make_iwae(config, *bed.model, {}), batch, test.noise);
}

TEST(LinearBed, ProductWithThePriorReachesTheEvidence) {
  const LinearBed bed(aggregation("poe", PoeConfig{}), kFactors);
  const auto batch = bed.draw(kB);
  expect_close(exact_elbo(bed, batch), bed.log_evidence(batch), 1e-10);
  const auto q = bed.model->posterior(batch, bed.model->experts(batch, bed.all())).layers[0].q;
  const auto exact = bed.exact(batch, bed.every());
  expect_close(q->mean(), exact->mean(), 1e-11, 1e-12);
  expect_close(q->variance(), exact->variance(), 1e-11);
}

/// Posteriors in place of factors count the prior twice: short by KL(q || p(z | x)) of precision 1 + sum (1 + lam_m).
TEST(LinearBed, PosteriorsAsFactorsCountThePriorTwice) {
  const LinearBed bed(aggregation("poe", PoeConfig{}), kPosteriors);
  const auto batch = bed.draw(kB);
  const auto right = bed.exact(batch, bed.every());
  const auto precision = (-right->log_var()).exp();
  const auto wrong_precision = precision + 3;
  const Normal wrong(right->mean() * precision / wrong_precision, -wrong_precision.log());
  const auto gap = kl(wrong, *right);
  EXPECT_GT(gap.min().item<double>(), 0.05);
  expect_close(exact_elbo(bed, batch), bed.log_evidence(batch) - gap, 1e-10);
}

TEST(LinearBed, ExactPosteriorMakesEveryImportanceWeightTheEvidence) {
  const LinearBed bed(aggregation("poe", PoeConfig{}), kFactors);
  const auto batch = bed.draw(kB);
  for (const int64_t K : {1, 2, 50}) {
    const auto losses = iwae_of(bed, batch, {.samples = K});
    expect_close(term(losses, "bound"), bed.log_evidence(batch), 1e-10);
    expect_close(term(losses, "effective_sample_size"), static_cast<double>(K), 1e-9);
  }
  TestStep test;
  const auto latents = bed.model->infer(batch, 40, test.noise);
  const auto log_w = log_weights(latents, log_likelihood(bed.model->decode(latents, batch)));
  expect_close(log_w.var(0), 0.0, 0, 1e-20);
}

/// An implementation that reaches log p(x) here is wrong.
TEST(LinearBed, MixtureOfPosteriorsFallsShortByTheMeanDivergence) {
  const LinearBed bed(aggregation("moe"), kPosteriors);
  const auto batch = bed.draw(kB);
  const auto right = bed.exact(batch, bed.every());
  auto gap = torch::zeros({kB}, torch::kDouble);
  for (const auto m : bed.every()) {
    const auto own = kl(*bed.exact(batch, {m}), *right);
    EXPECT_GT(own.min().item<double>(), 0.01) << m;
    gap += own / 3;
    // Each component's own ELBO: the modality as the only source.
    const LinearBed alone(aggregation("mopoe", MopoeConfig{.prior_expert = PriorExpert::none,
                                                           .subsets = std::vector<Subset>{{LinearBed::name(m)}}}),
                          kPosteriors);
    expect_close(exact_elbo(alone, batch), alone.log_evidence(batch) - own, 1e-10);
  }
  expect_close(exact_elbo(bed, batch), bed.log_evidence(batch) - gap, 1e-10);
}

/// With exact posteriors of every subset (products with the prior of factors), beta 1.
TEST(LinearBed, MopoeFallsShortByTheMeanDivergenceOverSubsets) {
  const LinearBed bed(aggregation("mopoe", MopoeConfig{.prior_expert = PriorExpert::always}), kFactors);
  const auto batch = bed.draw(kB);
  const auto right = bed.exact(batch, bed.every());
  auto gap = torch::zeros({kB}, torch::kDouble);
  for (const auto& subset : std::vector<std::vector<size_t>>{{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}}) {
    gap += kl(*bed.exact(batch, subset), *right) / 7;
  }
  EXPECT_GT(gap.min().item<double>(), 0.01);
  expect_close(exact_elbo(bed, batch), bed.log_evidence(batch) - gap, 1e-10);
}

TEST(LinearBed, BoundsOfAMixtureAreInTheirOrder) {
  const LinearBed bed(aggregation("moe"), kPosteriors);
  const auto one = bed.draw(1);
  Batch batch{.fields = {}, .index = torch::arange(20000)};
  for (const auto& [name, field] : one.fields) batch.fields[name] = {.value = field.value.expand({20000, -1}).contiguous()};
  const auto evidence = bed.log_evidence(one)[0].item<double>();
  const auto naive = exact_elbo(bed, one)[0].item<double>();
  const auto bound = [&](int64_t K, Strata strata) {
    return mean_and_error(term(iwae_of(bed, batch, {.samples = K, .mixture = strata}), "bound"));
  };
  const auto looser = bound(1, Strata::apart), tight = bound(1, Strata::together), tight8 = bound(8, Strata::together);
  EXPECT_GT(looser.mean, naive + 4 * looser.standard_error);
  EXPECT_LT(looser.mean, naive + std::log(3.0) + 4 * looser.standard_error) << "at most log M";
  EXPECT_GT(tight.mean, looser.mean);
  EXPECT_GT(tight8.mean, tight.mean);
  EXPECT_LT(tight8.mean, evidence + 4 * tight8.standard_error);
}

/// D = 1: the limit of the looser bound is an integral along a line.
TEST(LinearBed, TightTendsToTheEvidenceTheLooserBoundDoesNot) {
  const LinearBed bed(aggregation("moe"), kPosteriors, {.D = 1, .sizes = {1, 1}, .scales = {0.7, 1.5}});
  const auto batch = bed.draw(3, 5);
  const auto nodes = torch::linspace(-12, 12, 24001, torch::kDouble);  // [n]
  const double width = 24.0 / 24000;
  const auto z = nodes.view({-1, 1, 1}).expand({-1, 3, 1}).contiguous();  // [n, B, 1]
  const auto q = bed.model->posterior(batch, bed.model->experts(batch, bed.all())).layers[0].q;
  Latents line{.layers = {{.q = q, .p = bed.model->prior_of("z", 3), .z = z}}};
  const auto log_joint = log_likelihood(bed.model->decode(line, batch)) + line.layers[0].p->log_prob(z);
  expect_close(torch::logsumexp(log_joint, 0) + std::log(width), bed.log_evidence(batch), 1e-9);
  auto limit = torch::zeros({3}, torch::kDouble);
  for (const auto m : bed.every()) {
    limit += torch::logsumexp(bed.exact(batch, {m})->log_prob(z) + log_joint - q->log_prob(z), 0) + std::log(width);
  }
  limit /= 2;
  EXPECT_GT((bed.log_evidence(batch) - limit).max().item<double>(), 0.02);
  const torch::NoGradGuard no_grad;
  const auto tight = term(iwae_of(bed, batch, {.samples = 100'000}, 3), "bound");
  const auto looser = term(iwae_of(bed, batch, {.samples = 100'000, .mixture = Strata::apart}, 3), "bound");
  expect_close(tight, bed.log_evidence(batch), 0, 0.01);
  expect_close(looser, limit, 0, 0.01);
}

/// log p(x_m | x_n) as the difference of two evidences, each by one sample of an exact proposal.
TEST(LinearBed, ConditionalLikelihoodsAreThoseOfTheSchurComplement) {
  const LinearBed bed(aggregation("poe", PoeConfig{}), kFactors);
  const auto batch = bed.draw(kB);
  TestStep test;
  const auto log_p = [&](const Subset& given) {
    const auto latents = drawn(bed.model->posterior(batch, bed.model->experts(batch, given)), kB, 1, test.noise);
    return log_mean_exp(latents, log_weights(latents, log_likelihood(bed.model->decode(latents, batch, given))));
  };
  for (const size_t m : {0, 1}) {
    const size_t n = 2;
    const auto ratio = log_p({LinearBed::name(m), LinearBed::name(n)}) - log_p({LinearBed::name(n)});
    // N(x_m; b_m + W_m E[z | x_n], W_m Var[z | x_n] W_m' + s_m^2): the Schur complement of x_n.
    const auto z = bed.exact(batch, {n});
    const auto mean = bed.b[m] + z->mean().matmul(bed.W[m].t());
    const double scale = m == 0 ? 0.7 : 0.5;
    const auto size = bed.W[m].size(0);
    const auto covariance =
        bed.W[m].matmul(z->variance()[0].diag()).matmul(bed.W[m].t()) + scale * scale * torch::eye(size, torch::kDouble);
    const auto centred = batch.at(LinearBed::name(m)) - mean;
    const auto solved = at::linalg_solve(covariance, centred.t()).t();
    const auto expected =
        -0.5 * ((centred * solved).sum(1) + torch::logdet(covariance) + static_cast<double>(size) * std::log(2 * M_PI));
    expect_close(ratio, expected, 1e-9);
  }
}

/// Maps, scales and encoders learned from 10,000 rows: the test ELBO comes within 0.02 nat of the true log p(x).
TEST(SlowLinearBed, LearnsTheModelThatMadeTheData) {
  const LinearBed truth(aggregation("poe", PoeConfig{}), kFactors);
  const auto train = truth.draw(10000, 1), test = truth.draw(2000, 2);
  const LinearBed::Options learned = {.variance = DecoderVariance::learned};
  const LinearBed bed(aggregation("poe", PoeConfig{}), kFactors, learned);
  Stream start(4, "start", at::kCPU, 0, torch::kDouble);
  for (auto& item : bed.model->named_parameters()) {
    bed.set(item.key(), item.key().starts_with("likelihood") ? torch::zeros_like(item.value())
                                                             : 0.3 * start.normal(item.value().sizes(), {}));
  }
  const auto objective = make_elbo({}, *bed.model, {});
  torch::optim::Adam optimizer(bed.model->parameters(), torch::optim::AdamOptions(1e-2));
  TestStep random(3);
  constexpr int64_t kSteps = 4000, kBatch = 250;
  const double before = (truth.log_evidence(test) - exact_elbo(bed, test)).mean().item<double>();
  for (int64_t i = 0; i < kSteps; ++i) {
    static_cast<torch::optim::AdamOptions&>(optimizer.param_groups()[0].options())
        .lr(1e-2 * 0.5 * (1 + std::cos(M_PI * static_cast<double>(i) / kSteps)));
    Batch batch{.fields = {}, .index = torch::arange(kBatch)};
    const auto first = i * kBatch % 10000;
    for (const auto& [name, field] : train.fields) batch.fields[name] = {.value = field.value.narrow(0, first, kBatch)};
    optimizer.zero_grad();
    losses_with(*objective, batch, random.noise).loss.mean().backward();
    optimizer.step();
  }
  const double after = (truth.log_evidence(test) - exact_elbo(bed, test)).mean().item<double>();
  EXPECT_GT(before, 1);
  EXPECT_LT(std::abs(after), 0.02);
}

}  // namespace elbo::linear_bed_test
