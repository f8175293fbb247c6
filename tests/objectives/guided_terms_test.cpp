#include <torch/autograd.h>

#include "elbo/base/error.h"
#include "elbo/objectives/adversarial.h"
#include "elbo/objectives/lower_bound_guided.h"
#include "models/enlarged_codes.h"
#include "support/linear_gaussian.h"

// What lower_bound_guided adds beside its pixels: a distance of features, and a critic.
namespace elbo::guided_terms_test {

constexpr int64_t kGuided = 5, kStart = 8;
constexpr double kN = 256;

LowerBoundGuidedConfig adversarial() {
  return {.guided_steps = kGuided,
          .perceptual = {.weight = 0.3},
          .critic = {.channels = 4, .layers = 1},
          .critic_start = kStart,
          .critic_weight = scheduled_number(0.8)};
}

struct Bench {
  explicit Bench(const LowerBoundGuidedConfig& config) {
    objective = make_lower_bound_guided(config, *model, {.spec = enlarged_codes::spec(), .seed = 3});
    for (auto& number : objective->scheduled()) number.refill({.step = 0, .steps_per_epoch = 1, .total_steps = 1});
  }
  LossTerms run(size_t phase, int64_t index) {
    auto step = steps.step();
    step.index = index;
    return objective->phases(*model).at(phase).losses(batch, step);
  }
  Tensor made() { return model->reconstruct(batch); }
  const Tensor& target() const { return batch.at("target"); }
  /// |D(z) - x| + relu(|D(z) - x|^2 - |floor - x|^2).
  Tensor pixels() {
    const auto sum = [](const Tensor& each) { return each.flatten(1).sum(1); };
    const auto floor = model->floor(model->code(target())), image = made();
    return sum((image - target()).abs()) + torch::relu(sum((image - target()).square()) - sum((floor - target()).square()));
  }
  Tensor distance() { return FeatureDistance({.weight = 1})(2 * made() - 1, 2 * target() - 1); }
  PatchCritic& critic() { return dynamic_cast<PatchCritic&>(*objective->named_children()["critic"]); }

  QuantizerSteps steps;
  Batch batch = enlarged_codes::batch();
  std::shared_ptr<AsymmetricVae> model = enlarged_codes::model(enlarged_codes::base());
  std::shared_ptr<Objective> objective;
};

bool has_term(const LossTerms& losses, const std::string& name) {
  return std::any_of(losses.terms.begin(), losses.terms.end(), [&](const Term& each) { return each.name == name; });
}

TEST(GuidedTerms, AreOffByDefault) {
  Bench bench({.guided_steps = kGuided});
  EXPECT_EQ(bench.objective->parameters().size(), 0U);
  EXPECT_EQ(bench.objective->phases(*bench.model).size(), 2U);
  EXPECT_FALSE(bench.objective->couples_batch());
  const auto losses = bench.run(1, kStart);
  expect_close(losses.loss, bench.pixels(), 1e-5);
  for (const auto* name : {"perceptual", "generator", "critic_real"}) EXPECT_FALSE(has_term(losses, name)) << name;
}

TEST(GuidedTerms, TheDistanceOfFeaturesCountsInTheSecondPhaseForEachNumber) {
  Bench bench({.guided_steps = kGuided, .perceptual = {.weight = 0.3}});
  EXPECT_EQ(bench.objective->phases(*bench.model).size(), 2U);
  EXPECT_FALSE(has_term(bench.run(0, 0), "perceptual"));
  const auto losses = bench.run(1, kGuided);
  EXPECT_GT(bench.distance().min().item<double>(), 0);
  expect_close(term(losses, "perceptual"), bench.distance(), 1e-5);
  expect_close(losses.loss, bench.pixels() + 0.3 * kN * bench.distance(), 1e-5);
}

TEST(GuidedTerms, TheCriticComesInAtTheLaterOfTwoSteps) {
  Bench bench(adversarial());
  auto phases = bench.objective->phases(*bench.model);
  ASSERT_EQ(phases.size(), 3U);
  EXPECT_EQ(phases[2].name, "critic");
  EXPECT_EQ(phases[2].from_step, kStart);
  EXPECT_EQ(phases[2].parameters.size(), bench.critic().parameters().size());
  EXPECT_TRUE(bench.objective->couples_batch());
  for (size_t phase : {0, 1}) {
    for (const auto& parameter : phases[phase].parameters) {
      for (const auto& own : bench.critic().parameters()) EXPECT_FALSE(parameter.is_same(own));
    }
  }
  auto early = adversarial();
  early.critic_start = 1;
  Bench soon(early);
  EXPECT_EQ(soon.objective->phases(*soon.model)[2].from_step, kGuided);

  const auto before = bench.run(1, kStart - 1);
  expect_close(before.loss, bench.pixels() + 0.3 * kN * bench.distance(), 1e-5);
  EXPECT_EQ(term(before, "adaptive_weight").item<float>(), 0);
  before.loss.sum().backward();
  for (const auto& parameter : bench.critic().parameters()) EXPECT_FALSE(parameter.grad().defined());
}

// lambda = 0.8 |grad of all else| / (|grad n g| + 1e-4) at the last layer, against autograd.
TEST(GuidedTerms, TheCriticPullsByTheRatioOfTwoGradients) {
  Bench bench(adversarial());
  bench.critic().eval();  // so that scores taken twice are the same
  const auto losses = bench.run(1, kStart);
  const auto rest = bench.pixels() + 0.3 * kN * bench.distance();
  const auto g = -bench.critic().forward(2 * bench.made() - 1).mean({1, 2});
  const auto last = bench.model->output_weight();
  const auto size = [&](const Tensor& loss) { return torch::autograd::grad({loss}, {last}, {}, true)[0].norm().item<double>(); };
  const double lambda = 0.8 * size(rest.mean()) / (size(kN * g.mean()) + 1e-4);
  EXPECT_GT(lambda, 0);
  EXPECT_NEAR(term(losses, "adaptive_weight").item<double>(), lambda, 1e-3 * lambda);
  expect_close(term(losses, "generator"), g, 1e-4, 1e-6);
  expect_close(losses.loss, rest + lambda * kN * g, 1e-3);
}

TEST(GuidedTerms, TheCriticSeesPicturesCutOff) {
  Bench bench(adversarial());
  bench.critic().eval();
  const auto losses = bench.run(2, kStart);
  const auto real = bench.critic().forward(2 * bench.target() - 1), fake = bench.critic().forward(2 * bench.made() - 1);
  expect_close(losses.loss, hinge_loss(real, fake), 1e-5);
  expect_close(term(losses, "critic_real"), real.mean({1, 2}), 1e-5, 1e-6);
  EXPECT_TRUE(has_term(losses, "bound"));
  losses.loss.sum().backward();
  EXPECT_TRUE(bench.critic().parameters().front().grad().defined());
  for (const auto& parameter : bench.model->parameters()) EXPECT_FALSE(parameter.grad().defined());
  // In evaluation it is looked at and doesn't pull.
  const torch::NoGradGuard no_grad;
  auto step = bench.steps.step(false);
  const auto evaluated = bench.objective->losses(bench.batch, step);
  EXPECT_EQ(term(evaluated, "adaptive_weight").item<float>(), 0);
  expect_close(term(evaluated, "critic_fake"), fake.mean({1, 2}), 1e-5, 1e-6);
}

}  // namespace elbo::guided_terms_test
