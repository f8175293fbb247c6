#include <gtest/gtest.h>

#include "elbo/aggregators/joint.h"
#include "elbo/distributions/kl.h"
#include "elbo/objectives/jmvae.h"
#include "elbo/objectives/telbo.h"
#include "multimodal_kit.h"
#include "support/gradients.h"

namespace elbo::joint_objectives_test {

using namespace multimodal_kit;

// ---- jmvae

TEST(Jmvae, IsTheEvidencePlusTheDivergencesFromTheJointPosterior) {
  const LinearBed bed(aggregation("joint", JointConfig{}), kPosteriors);
  const auto batch = bed.draw(kB);
  const auto losses = exact(*make_jmvae({.alpha = 0.3, .samples = kSigma}, *bed.model, {}), batch);
  auto divergences = torch::zeros({kB}, torch::kDouble);
  for (const auto m : bed.every()) divergences += kl(*bed.exact(batch, bed.every()), *bed.exact(batch, {m}));
  expect_close(term(losses, "bound"), bed.log_evidence(batch), 1e-10);
  expect_close(term(losses, "unimodal_kl"), divergences, 1e-10);
  expect_close(losses.loss, -bed.log_evidence(batch) + 0.3 * divergences, 1e-10);
}

/// The best q_m under E_x KL(q(z | x) || q_m) is the exact p(z | x_m): there the expected gradient is 0, and only there.
TEST(Jmvae, UnimodalEncodersAreBestAtTheExactPosteriors) {
  const LinearBed bed(aggregation("joint", JointConfig{}), kPosteriors);
  const auto batch = bed.draw(100000);
  const auto q = bed.exact(batch, bed.every());
  const auto gradient = [&](const std::string& path) {
    const auto parameter = bed.parameter(path);
    const auto r = bed.model->experts(batch, {"m0"})[0].distribution();
    return torch::autograd::grad({kl(*q, *r).mean()}, {parameter})[0];
  };
  for (const std::string path : {"posterior.m0.mean.bias", "posterior.m0.log_var.bias"}) {
    EXPECT_LT(gradient(path).abs().max().item<double>(), 0.02) << path;
    const auto right = bed.parameter(path).detach().clone();
    bed.set(path, right + 0.2);
    EXPECT_GT(gradient(path).abs().min().item<double>(), 0.05) << path;
    bed.set(path, right);
  }
}

TEST(Jmvae, NeedsTheNetworksItTrains) {
  const LinearBed product(poe(PriorExpert::none), kPosteriors),
      alone(aggregation("joint", JointConfig{.unimodal_encoders = false}), kPosteriors);
  EXPECT_EQ(
      refusal([&] { make_jmvae({}, *product.model, {.objective = "objective 'jmvae'", .model = "model 'multimodal_vae'"}); }),
      "objective 'jmvae' needs model.aggregation joint; model 'multimodal_vae' has poe");
  EXPECT_EQ(refusal([&] { make_jmvae({}, *alone.model, {}); }),
            "this objective trains encoders of each modality: set model.aggregation.unimodal_encoders: true");
}

// ---- telbo

/// With the joint encoder's variance in the unimodal divergence, as a public re-implementation has it, the second would fail.
TEST(Telbo, OfExactPosteriorsIsTheEvidenceOfAllAndOfEach) {
  const LinearBed bed(aggregation("joint", JointConfig{}), kPosteriors);
  const auto batch = bed.draw(kB);
  const auto losses = exact(*make_telbo({.samples = kSigma}, *bed.model, {}), batch);
  expect_close(term(losses, "bound"), bed.log_evidence(batch), 1e-10);
  for (const auto m : bed.every()) {
    expect_close(term(losses, "unimodal_" + LinearBed::name(m)), evidence_given(bed, batch, {m}), 1e-10);
  }
}

TEST(Telbo, UnimodalBoundsAreBestAtTheExactPosteriors) {
  const LinearBed bed(aggregation("joint", JointConfig{}), kPosteriors);
  const auto batch = bed.draw(kB);
  const auto gradient = [&](const std::string& path) {
    const auto losses = exact(*make_telbo({.samples = kSigma}, *bed.model, {}), batch);
    return torch::autograd::grad({losses.loss.sum()}, {bed.parameter(path)})[0];
  };
  for (const std::string path : {"posterior.m1.mean.weight", "posterior.m1.log_var.bias"}) {
    EXPECT_LT(gradient(path).abs().max().item<double>(), 1e-9) << path;
    bed.set(path, bed.parameter(path) + 0.1);
    EXPECT_GT(gradient(path).abs().max().item<double>(), 1e-2) << path;
    bed.set(path, bed.parameter(path) - 0.1);
  }
}

TEST(Telbo, NeitherPartReachesTheOthersParameters) {
  const LinearBed bed(aggregation("joint", JointConfig{}), kPosteriors);
  const auto batch = bed.draw(kB);
  for (const auto stage : {TelboStage::two, TelboStage::one}) {
    const auto objective = make_telbo({.stage = stage, .switch_step = 7}, *bed.model, {});
    const auto phases = objective->phases(*bed.model);
    ASSERT_EQ(phases.size(), 2U);
    EXPECT_EQ(phases[0].parameters.size() + phases[1].parameters.size(), bed.model->parameters().size());
    EXPECT_EQ(phases[1].from_step, stage == TelboStage::two ? 7 : 0);
    EXPECT_EQ(phases[0].until_step, stage == TelboStage::two ? 7 : Phase{}.until_step);
    for (const auto& item : bed.model->named_parameters()) {
      const bool own = item.key().starts_with("posterior.");
      const auto& owned = phases[own ? 1 : 0].parameters;
      EXPECT_TRUE(std::any_of(owned.begin(), owned.end(), [&](const Tensor& t) { return t.is_same(item.value()); }))
          << item.key();
    }
    for (const auto& phase : phases) {
      TestStep test;
      auto step = test.step();
      const auto losses = phase.losses(batch, step);
      EXPECT_FALSE(losses.loss.defined());
      ASSERT_EQ(losses.routes.size(), 1U);
      EXPECT_EQ(losses.routes[0].parameters.size(), phase.parameters.size());
      const bool beside = phase.name == "encoders" && stage == TelboStage::one;  // the step has the bound of the joint phase
      EXPECT_EQ(losses.terms.front().name, beside ? "unimodal_m0" : "bound");
    }
  }
}

}  // namespace elbo::joint_objectives_test
