#include "elbo/math/couples_batch.h"
#include "elbo/training/check.h"
#include "training/fakes.h"

using namespace elbo;

namespace accumulate_test {
using namespace elbo::fakes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace {

/// Means over the batch of everything that was logged, by step.
class Logged final : public Hook {
 public:
  void on_values(const TrainingState&, std::string_view split, const NamedValues& values) override {
    if (split != "train") return;
    lines.emplace_back();
    for (const auto& [name, value] : values) lines.back()[name] = value;
  }
  std::vector<std::map<std::string, double>> lines;
};

struct Trained {
  Tensor parameters;
  std::vector<std::map<std::string, double>> lines;
};

Trained trained(int64_t accumulate, const Losses& losses) {
  Kit kit(losses);
  kit.adam(0.02);
  kit.config.accumulate = accumulate;
  kit.config.log_every_steps = 1;
  auto logged = std::make_shared<Logged>();
  kit.hooks = {logged};
  Trainer trainer(kit.parts());
  trainer.run();
  return {trainer.buffers().parameters().clone(), logged->lines};
}

/// Two samples of every example's noise, [K, B, 2], one uniform number a row, and one draw that has no rows at all.
LossTerms sampled(Autoencoder& model, const Batch& batch, Step& step) {
  const auto B = batch.size();
  const auto code = torch::matmul(batch.at("x"), model.encoder) + 0.5 * step.noise.normal({2, B}, {2});
  const auto error = (torch::matmul(code, model.decoder) - batch.at("x")).square().sum(-1).mean(0);
  const auto loss = error * (0.5 + step.noise.uniform({B}, {})) + 0.1 * step.noise.normal({3}, {}).sum() * model.decoder.sum();
  return {.loss = loss, .terms = {{"bound", -error.detach()}, {"beta", torch::full({}, 3.f)}}};
}

class Coupled final : public torch::nn::Module, public CouplesBatch {
 public:
  std::string_view couples_batch_by() const override { return by; }
  std::string_view by = "batch normalisation";
};

}  // namespace

TEST(Accumulation, GivesTheLossAndTheStepsOfTheWholeBatchAtEveryPart) {
  const auto whole = trained(1, sampled);
  for (const int64_t parts : {2, 4, 8}) {
    SCOPED_TRACE(parts);
    const auto accumulated = trained(parts, sampled);
    expect_close(accumulated.parameters, whole.parameters, 1e-4, 1e-6);
    ASSERT_EQ(accumulated.lines.size(), whole.lines.size());
    for (size_t i = 0; i < whole.lines.size(); ++i) {  // the short third batch of 4 rows included
      for (const char* name : {"loss", "bound", "beta", "gradient_norm", "update_norm"}) {
        EXPECT_NEAR(accumulated.lines[i].at(name), whole.lines[i].at(name), 1e-5 * (1 + std::abs(whole.lines[i].at(name))))
            << name << " of step " << i + 1;
      }
    }
  }
}

TEST(Accumulation, SeesTheRowsInOrderAndPartsOfTheirSize) {
  std::vector<int64_t> sizes;
  std::vector<Tensor> indices;
  Kit kit([&](Autoencoder& model, const Batch& batch, Step& step) {
    sizes.push_back(batch.size());
    indices.push_back(batch.index);
    EXPECT_EQ(batch.at("x").size(0), batch.size());
    return reconstruction(model, batch, step);
  });
  kit.config.accumulate = 4;
  Trainer trainer(kit.parts());
  for (int i = 0; i < 3; ++i) trainer.step();
  EXPECT_THAT(sizes, ElementsAre(2, 2, 2, 2, 2, 2, 2, 2, 2, 2));
  EXPECT_TRUE(torch::equal(std::get<0>(torch::cat(indices).sort()), torch::arange(20))) << "each row of the epoch once";
}

TEST(Accumulation, RoutesAreTakenFromEveryPart) {
  const Losses routed = [](Autoencoder& model, const Batch& batch, Step& step) {
    const auto error = model.errors(batch, step.noise);
    return LossTerms{.routes = {{error, {model.encoder}}, {-2 * error, {model.decoder}}}};
  };
  expect_close(trained(4, routed).parameters, trained(1, routed).parameters, 1e-4, 1e-6);
}

TEST(Accumulation, WhatCouplesTheBatchIsRefusedByName) {
  const auto refusal = [](const std::function<void(Kit&)>& change) {
    Kit kit;
    kit.config.accumulate = 4;
    change(kit);
    return message_of<ConfigError>([&] { Trainer trainer(kit.parts()); });
  };
  EXPECT_EQ(refusal([](Kit& kit) { kit.model->counter->register_module("norm", std::make_shared<Coupled>()); }),
            "training.accumulate: 4, but batch normalisation of model.counter.norm couples the examples of a batch, so its parts "
            "would give another loss; leave accumulate at 1");
  EXPECT_EQ(refusal([](Kit& kit) { kit.config.accumulate = 3; }),
            "training.accumulate: 3 parts do not divide a batch of 8 rows (data.batch_size) evenly");
  EXPECT_EQ(refusal([](Kit& kit) { kit.objective->couples = true; }),
            "training.accumulate: 4, but the objective couples the examples of a batch, so its parts would give another loss; "
            "leave accumulate at 1");
  EXPECT_EQ(refusal([](Kit& kit) {
              kit.model->counter->register_module("norm", std::make_shared<Coupled>())->by = "";  // it doesn't after all
            }),
            "nothing was thrown");
  Kit kit([](Autoencoder& model, const Batch& batch, Step& step) {
    auto terms = reconstruction(model, batch, step);
    terms.batch_loss = model.decoder.sum();
    return terms;
  });
  kit.config.accumulate = 2;
  Trainer trainer(kit.parts());
  EXPECT_THAT(message_of<ConfigError>([&] { trainer.step(); }), HasSubstr("phase 'main' has a loss of the batch as a whole"));
}

TEST(Accumulation, ANonFiniteRowIsNamedByItsPlaceInTheSplit) {
  Tensor bad;
  Kit kit([&](Autoencoder& model, const Batch& batch, Step& step) {
    auto terms = reconstruction(model, batch, step);
    if (step.index == 1) {
      bad = batch.index[1];
      terms.loss = torch::where(torch::arange(batch.size()) == 1, std::numeric_limits<float>::quiet_NaN(), terms.loss);
    }
    return terms;
  });
  kit.config.accumulate = 2;
  Trainer trainer(kit.parts());
  trainer.step();
  const auto message = message_of<NumericalError>([&] { trainer.step(); });
  EXPECT_THAT(message,
              HasSubstr("the loss is not finite in 1 of 4 rows (training examples " + std::to_string(bad.item<int64_t>()) + ")"));
}

TEST(PhaseOptimizers, AreTheirOwnAndAnUnknownPhaseIsNamed) {
  Kit kit;
  kit.sgd(0.25);
  SgdConfig own;
  own.learning_rate = scheduled_number(1);
  kit.config.phases["critic"].optimizer.set("sgd", own);
  kit.objective->make_phases = [&](AnyObjective& objective) {
    std::vector<Phase> phases(2);
    phases[0].name = "model";
    phases[0].parameters = {kit.model->encoder};
    phases[0].losses = [&](const Batch& batch, Step&) {
      return LossTerms{.loss = kit.model->encoder.sum().expand({batch.size()})};
    };
    phases[1].name = "critic";
    phases[1].parameters = {objective.critic};
    phases[1].losses = [&objective](const Batch& batch, Step&) {
      return LossTerms{.loss = objective.critic.sum().expand({batch.size()})};
    };
    return phases;
  };
  kit.config.steps = 1;
  auto logged = std::make_shared<Logged>();
  kit.hooks = {logged};
  const auto encoder = kit.model->encoder.detach().clone(), critic = kit.objective->critic.detach().clone();
  Trainer(kit.parts()).run();
  expect_close(encoder - kit.model->encoder, torch::full({3, 2}, 0.25), 1e-5);
  expect_close(critic - kit.objective->critic, torch::ones({2}), 1e-5);
  EXPECT_EQ(logged->lines[0].at("learning_rate"), 0.25);
  EXPECT_EQ(logged->lines[0].at("critic/learning_rate"), 1);
  EXPECT_NEAR(logged->lines[0].at("update_norm"), std::sqrt(6 * 0.25 * 0.25 + 2), 1e-5);
  const auto norm =
      std::sqrt(kit.model->encoder.square().sum().item<double>() + kit.objective->critic.square().sum().item<double>());
  EXPECT_NEAR(logged->lines[0].at("parameter_norm"), norm, 1e-5);

  kit.config.phases["critc"];
  EXPECT_EQ(message_of<ConfigError>([&] { Trainer trainer(kit.parts()); }),
            "training.phases: 'critc' is no phase of the objective, did you mean 'critic'? Its phases are model, critic");
}

}  // namespace accumulate_test
