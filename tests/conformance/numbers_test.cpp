#include <gtest/gtest.h>

#include <set>

#include "conformance/components.h"
#include "elbo/data/digits.h"
#include "elbo/data/tensor_set.h"
#include "elbo/evaluation/evaluator.h"
#include "support/tensors.h"

namespace elbo::conformance {
namespace {

// ---- schedules

class EverySchedule : public ::testing::TestWithParam<Component> {};

TEST_P(EverySchedule, IsAFiniteFunctionOfTheClock) {
  const auto a = build(schedules(), GetParam().name), b = build(schedules(), GetParam().name);
  for (const int64_t step : {100, 0, 1, 50, 99, 1'000'000, 0}) {  // in any order: a schedule remembers nothing
    const Clock clock{.step = step, .steps_per_epoch = 10, .total_steps = 100};
    EXPECT_TRUE(std::isfinite(a->at(clock)));
    EXPECT_EQ(a->at(clock), b->at(clock));
  }
  EXPECT_EQ(a->at({.step = 100, .steps_per_epoch = 10, .total_steps = 100}),
            a->at({.step = 101, .steps_per_epoch = 10, .total_steps = 100}))
      << "past its end it stays";
}

INSTANTIATE_TEST_SUITE_P(Catalogs, EverySchedule, ::testing::ValuesIn(components({"schedule"})), test_name);

// ---- optimisers, on half the squared distance to a target

struct Descent {
  explicit Descent(const std::string& name) {
    segment = {.parameters = wavy({37}).to(at::kFloat), .gradients = torch::zeros({37})};
    optimizer = build(optimizers(), name, OptimizerContext{.segments = {segment}});
    for (auto& number : optimizer->scheduled()) number.refill({});
  }
  void step(double found_inf = 0) {
    segment.gradients.copy_(segment.parameters - target);
    optimizer->step(torch::full({}, found_inf));
  }
  double distance() const { return (segment.parameters - target).norm().item<double>(); }

  Tensor target = wavy({37}, 2).to(at::kFloat);
  FlatSegment segment = {};
  std::shared_ptr<Optimizer> optimizer = nullptr;
};

class EveryOptimizer : public ::testing::TestWithParam<Component> {};

TEST_P(EveryOptimizer, Descends) {
  Descent descent(GetParam().name);
  const auto before = descent.distance();
  for (int i = 0; i < 50; ++i) descent.step();
  EXPECT_LT(descent.distance(), 0.99 * before);
}

TEST_P(EveryOptimizer, StandsStillToTheBitAtANonFiniteStep) {
  Descent descent(GetParam().name), undisturbed(GetParam().name);
  for (int i = 0; i < 3; ++i) descent.step(), undisturbed.step();
  descent.step(1);
  expect_equal(descent.segment.parameters, undisturbed.segment.parameters);
  descent.step(), undisturbed.step();
  expect_equal(descent.segment.parameters, undisturbed.segment.parameters);
}

TEST_P(EveryOptimizer, GoesOnFromItsStateToTheBit) {
  Descent descent(GetParam().name), resumed(GetParam().name);
  for (int i = 0; i < 3; ++i) descent.step();
  resumed.segment.parameters.copy_(descent.segment.parameters);
  const auto from = descent.optimizer->state(), to = resumed.optimizer->state();
  ASSERT_EQ(from.size(), to.size());
  for (size_t i = 0; i < from.size(); ++i) {
    EXPECT_EQ(from[i].name, to[i].name);
    auto target = to[i].segments[0];
    target.copy_(from[i].segments[0]);
  }
  for (int i = 0; i < 3; ++i) descent.step(), resumed.step();
  expect_equal(resumed.segment.parameters, descent.segment.parameters);
}

TEST_P(EveryOptimizer, ReadsItsLearningRateFromTheScheduledNumber) {
  Descent descent(GetParam().name);
  bool found = false;
  for (auto& number : descent.optimizer->scheduled()) {
    if (number.name() != "learning_rate") continue;
    found = true;
    auto tensor = number.tensor();
    tensor.zero_();
  }
  EXPECT_TRUE(found);
  const auto before = descent.segment.parameters.clone();
  descent.step();
  expect_equal(descent.segment.parameters, before);
}

INSTANTIATE_TEST_SUITE_P(Catalogs, EveryOptimizer, ::testing::ValuesIn(components({"optimizer"})), test_name);

// ---- metrics, of an untrained model on digits

struct Measured {
  explicit Measured(const std::string& metric) {
    const std::set<std::string> of_modalities = {"coherence", "frechet_classifier", "latent_classification"};
    const std::string name = of_modalities.contains(metric)                  ? "multimodal_vae"
                             : metric == "codebook" || metric == "code_rate" ? "vq_vae"
                                                                             : "vae";
    dataset = make_digits({.options = {.binarize = Binarize::threshold}}, {.seed = 1});
    dataset->load(at::kCPU);
    if (name != "multimodal_vae") {
      Stream unused(1, "data", at::kCPU);
      const auto x = dataset->gather(Split::train, torch::arange(1000), unused).at("x");
      // Twice as large: ssim's window needs 11 x 11 pixels.
      const auto large = x.repeat_interleave(2, -1).repeat_interleave(2, -2);
      dataset = make_tensor_set(large, {.kind = ValueKind::binary, .seed = 1});
      dataset->load(at::kCPU);
    }
    Stream init(1, "init", at::kCPU);
    model = build(models(), name, ModelContext{.spec = dataset->spec(), .init = init});
    objective = build(objectives(), name == "vq_vae" ? "vq" : "elbo", *model, ObjectiveContext{});
  }
  EvaluationResult with(const std::string& metric, int64_t batch_size = 64, uint64_t seed = 0) const {
    return evaluate({.model = *model,
                     .objective = objective.get(),
                     .dataset = dataset,
                     .limit = 70,
                     .samples = 5,
                     .seed = seed,
                     .batch_size = batch_size},
                    {metric});
  }
  std::shared_ptr<Dataset> dataset = nullptr;
  std::shared_ptr<Model> model = nullptr;
  std::shared_ptr<Objective> objective = nullptr;
};

class EveryMetric : public ::testing::TestWithParam<Component> {};

TEST_P(EveryMetric, IsFiniteRepeatableAndIndependentOfTheBatch) {
  const Measured measured(GetParam().name);
  const auto first = measured.with(GetParam().name), again = measured.with(GetParam().name);
  const auto alone = measured.with(GetParam().name, 1);
  ASSERT_FALSE(first.measurements.empty());
  for (size_t i = 0; i < first.measurements.size(); ++i) {
    const auto& value = first.measurements[i];
    EXPECT_TRUE(std::isfinite(value.value)) << value.key();
    EXPECT_EQ(value.value, again.measurements[i].value) << value.key();
    EXPECT_NEAR(value.value, alone.measurements[i].value, 1e-5 * std::max(1.0, std::abs(value.value))) << value.key();
    if (!value.per_example.defined()) continue;
    check_shape(value.per_example, {70}, value.key());
    EXPECT_NEAR(value.per_example.mean().item<double>(), value.value, 1e-9 * std::max(1.0, std::abs(value.value)));
    ASSERT_TRUE(value.standard_error);
    EXPECT_NEAR(*value.standard_error, value.per_example.std().item<double>() / std::sqrt(70.0),
                1e-9 + 1e-6 * *value.standard_error);
  }
}

TEST_P(EveryMetric, LeavesTheModelAsItWas) {
  const Measured measured(GetParam().name);
  measured.model->train();
  std::vector<Tensor> before;
  for (const auto& parameter : measured.model->parameters()) before.push_back(parameter.detach().clone());
  measured.with(GetParam().name);
  EXPECT_TRUE(measured.model->is_training());
  EXPECT_TRUE(torch::GradMode::is_enabled());
  for (size_t i = 0; i < before.size(); ++i) {
    expect_equal(measured.model->parameters()[i].detach(), before[i]);
    EXPECT_FALSE(measured.model->parameters()[i].grad().defined());
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogs, EveryMetric, ::testing::ValuesIn(components({"metric"})), test_name);

}  // namespace
}  // namespace elbo::conformance
