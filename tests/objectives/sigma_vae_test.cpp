// A VAE whose decoder has an optimal variance (Rybkin et al. 2021, arXiv:2006.13202): what is optimised and what is reported.
#include "elbo/distributions/normal_likelihood.h"
#include "elbo/models/vae.h"
#include "elbo/objectives/elbo.h"
#include "elbo/objectives/iwae.h"
#include "support/gradients.h"

namespace elbo::sigma_vae_test {
namespace {

std::shared_ptr<Vae> sigma_vae() {
  static const DataSpec spec = {{"x", {.shape = {1, 4, 4}, .kind = ValueKind::unit}}};
  VaeConfig config{.latent_size = 3};
  config.likelihood.set("normal", NormalLikelihoodConfig{.scale = 2, .variance = DecoderVariance::optimal});
  Stream init(1, "init", at::kCPU);
  return std::make_shared<Vae>(config, ModelContext{.spec = spec, .init = init});
}

Batch batch() { return {.fields = {{"x", {.value = wavy({6, 1, 4, 4}).abs().to(torch::kFloat)}}}, .index = torch::arange(6)}; }

Tensor named_term(const LossTerms& terms, const std::string& name) {
  for (const auto& each : terms.terms) {
    if (each.name == name) return each.value;
  }
  return {};
}

LossTerms losses(Objective& objective) {
  Streams streams(1, at::kCPU);
  Collective collective;
  Step step{.noise = streams.noise, .streams = streams, .collective = collective};
  for (auto& number : objective.scheduled()) number.refill({});
  return objective.losses(batch(), step);
}

TEST(SigmaVae, TrainingOptimisesTheBatchsOptimumAndReportsTheBufferedScale) {
  const auto vae = sigma_vae();
  const auto objective = make_elbo({}, *vae, {});
  const auto trained = losses(*objective);
  vae->eval();
  const auto evaluated = losses(*objective);
  expect_close(named_term(trained, "bound"), named_term(evaluated, "bound"), 1e-6);  // the same noise, the same s2
  const auto surrogate = trained.loss.mean().item<double>(), bound = -named_term(trained, "bound").mean().item<double>();
  EXPECT_LT(surrogate, bound - 0.5);  // it has seen the data
  expect_close(evaluated.loss, -named_term(evaluated, "bound"), 1e-5);
}

TEST(SigmaVae, ImportanceWeightedBoundsAreReportedByTheBufferedScaleToo) {
  const auto vae = sigma_vae();
  const auto objective = make_iwae({.samples = 5}, *vae, {});
  const auto trained = losses(*objective);
  vae->eval();
  expect_close(named_term(trained, "bound"), named_term(losses(*objective), "bound"), 1e-5);
}

TEST(SigmaVae, EvaluatingARowAloneGivesTheSameNats) {
  const auto vae = sigma_vae();
  vae->eval();
  const torch::NoGradGuard no_grad;
  const auto x = batch().at("x");
  const auto z = wavy({6, 3}).to(torch::kFloat);
  const auto whole = vae->decode(z)->log_prob(x);
  expect_close(vae->decode(z.slice(0, 2, 3))->log_prob(x.slice(0, 2, 3)), whole.slice(0, 2, 3), 1e-6);
}

}  // namespace
}  // namespace elbo::sigma_vae_test
