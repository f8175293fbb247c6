#include <torch/nn/modules/linear.h>

#include "training/fakes.h"

using namespace elbo;

namespace trainer_step_test {
using namespace elbo::fakes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace {

/// sum(x_i * column of encoder): its gradient by the encoder's first column is x_i.
LossTerms linear_loss(Autoencoder& model, const Batch& batch, Step&) {
  const auto loss = torch::matmul(batch.at("x"), model.encoder.select(1, 0));
  return {.loss = loss, .terms = {{"bound", -loss.detach()}}};
}

Phase phase_of(std::string name, std::vector<Tensor> parameters, std::function<LossTerms(const Batch&, Step&)> losses) {
  Phase phase;
  phase.name = std::move(name);
  phase.parameters = std::move(parameters);
  phase.losses = std::move(losses);
  return phase;
}

}  // namespace

TEST(TrainerStep, GradientIsTheSumOverTheBatchDividedByItsSizeShortBatchIncluded) {
  Tensor seen;
  Kit kit([&](Autoencoder& model, const Batch& batch, Step& step) {
    seen = batch.at("x");
    return linear_loss(model, batch, step);
  });
  kit.sgd(1);
  Trainer trainer(kit.parts());
  for (const int64_t rows : {8, 8, 4}) {
    const auto before = kit.model->encoder.detach().clone();
    trainer.step();
    ASSERT_EQ(seen.size(0), rows);
    const auto change = before - kit.model->encoder.detach();
    expect_close(change.select(1, 0), seen.mean(0), 1e-5, 1e-6);
    EXPECT_EQ(change.select(1, 1).abs().sum().item<float>(), 0);
  }
}

TEST(TrainerStep, BatchLossIsAddedOnce) {
  Kit kit([](Autoencoder& model, const Batch& batch, Step&) {
    return LossTerms{.loss = torch::zeros({batch.size()}) * model.decoder.sum(), .batch_loss = 3 * model.decoder.sum()};
  });
  kit.sgd(1);
  Trainer trainer(kit.parts());
  const auto before = kit.model->decoder.detach().clone();
  trainer.step();
  expect_close(before - kit.model->decoder.detach(), torch::full({2, 3}, 3.f), 1e-5);
}

TEST(TrainerStep, RoutesReachTheirOwnParametersAndAreTakenAtOnePoint) {
  // Both routes are products e * d, so that each gradient shows where the other parameter stood.
  Kit kit([](Autoencoder& model, const Batch& batch, Step&) {
    const auto product = model.encoder.sum() * model.decoder.sum();
    const auto loss = product.expand({batch.size()});
    return LossTerms{.routes = {{loss, {model.encoder}}, {-2 * loss, {model.decoder}}}};
  });
  kit.sgd(0.01);
  Trainer trainer(kit.parts());
  const auto e = kit.model->encoder.detach().clone(), d = kit.model->decoder.detach().clone();
  trainer.step();
  expect_close(kit.model->encoder, e - 0.01 * d.sum(), 1e-5, 1e-6);
  expect_close(kit.model->decoder, d + 0.02 * e.sum(), 1e-5, 1e-6);
}

TEST(TrainerStep, PhasesRunInOrderEachOnTheCurrentParameters) {
  Kit kit;
  kit.sgd(0.25);
  std::vector<std::string> calls;
  std::vector<float> critic_seen;
  kit.objective->make_phases = [&](AnyObjective& objective) {
    auto critic = objective.critic;
    auto encoder = kit.model->encoder;
    auto first = phase_of("critic", {critic}, [&calls, critic](const Batch& batch, Step& step) {
      calls.push_back("critic " + std::to_string(step.index));
      return LossTerms{.loss = critic.sum().expand({batch.size()})};
    });
    auto second = phase_of("model", {encoder}, [&, critic, encoder](const Batch& batch, Step& step) {
      calls.push_back("model " + std::to_string(step.index));
      critic_seen.push_back(critic[0].item<float>());
      return LossTerms{.loss = (encoder.sum() * critic.sum()).expand({batch.size()})};  // reaches the critic too
    });
    second.every = 2;
    second.from_step = 1;
    return std::vector<Phase>{first, second};
  };
  Trainer trainer(kit.parts());
  for (int i = 0; i < 4; ++i) trainer.step();
  EXPECT_THAT(calls, ElementsAre("critic 0", "critic 1", "model 1", "critic 2", "critic 3", "model 3"));
  EXPECT_THAT(critic_seen, ElementsAre(0.f, -0.5f)) << "0.5 less 0.25 a step, this step's included";
  EXPECT_EQ(kit.objective->critic[0].item<float>(), -0.5f) << "only its own phase moves the critic";
}

TEST(TrainerStep, APhaseThatIsOverLeavesItsParametersToTheBit) {
  Kit kit;
  std::vector<std::string> calls;
  kit.objective->make_phases = [&](AnyObjective& objective) {
    const auto named = [&](const std::string& name, const Tensor& parameter) {
      return phase_of(name, {parameter}, [&calls, &objective, name](const Batch& batch, Step& step) {
        calls.push_back(name + " " + std::to_string(step.index));
        return objective.losses(batch, step);
      });
    };
    auto first = named("first", kit.model->encoder), second = named("second", kit.model->decoder);
    first.until_step = second.from_step = 2;
    return std::vector<Phase>{first, second};
  };
  Trainer trainer(kit.parts());
  trainer.step();
  trainer.step();
  const auto encoder = kit.model->encoder.detach().clone(), decoder = kit.model->decoder.detach().clone();
  trainer.step();
  trainer.step();
  EXPECT_THAT(calls, ElementsAre("first 0", "first 1", "second 2", "second 3"));
  EXPECT_TRUE(torch::equal(kit.model->encoder, encoder));
  EXPECT_FALSE(torch::equal(kit.model->decoder, decoder));
}

TEST(TrainerStep, ParametersOfNoPhaseGetNoGradient) {
  Kit kit;
  kit.objective->make_phases = [&](AnyObjective& objective) {
    return std::vector<Phase>{phase_of("encoder", {kit.model->encoder},
                                       [&objective](const Batch& batch, Step& step) { return objective.losses(batch, step); })};
  };
  Trainer trainer(kit.parts());
  const auto before = kit.model->decoder.detach().clone();
  trainer.step();
  EXPECT_TRUE(torch::equal(kit.model->decoder, before));
  EXPECT_FALSE(kit.model->decoder.grad().defined());
  EXPECT_GT(kit.model->encoder.grad().abs().sum().item<float>(), 0);
}

TEST(TrainerStep, AfterStepRunsOnceAStepUnlessTheModuleIsFrozen) {
  Kit kit;
  auto frozen = kit.objective->register_module("frozen", std::make_shared<Counter>());
  frozen->eval();
  Trainer trainer(kit.parts());
  for (int i = 0; i < 3; ++i) trainer.step();
  EXPECT_EQ(kit.model->counter->steps.item<int64_t>(), 3);
  expect_close(kit.model->counter->trace, torch::full({2}, 2.5));  // ((0/2 + 1)/2 + 2)
  EXPECT_EQ(frozen->steps.item<int64_t>(), 0);
}

TEST(TrainerStep, AModelLeftInEvaluationModeIsTrainedAsAWhole) {
  Kit kit;
  kit.model->eval();
  Trainer trainer(kit.parts());
  trainer.step();
  EXPECT_EQ(kit.model->counter->steps.item<int64_t>(), 1);
  EXPECT_TRUE(kit.model->counter->is_training());
}

TEST(TrainerStep, ClipNormBoundsTheGlobalNorm) {
  for (const double clip_norm : {0.1, 100.0}) {
    Kit plain(linear_loss), clipped(linear_loss);
    plain.sgd(1);
    clipped.sgd(1);
    clipped.config.clip_norm = clip_norm;
    const auto before = plain.model->encoder.detach().clone();
    Trainer a(plain.parts()), b(clipped.parts());
    a.step();
    b.step();
    const auto free = (before - plain.model->encoder).norm().item<double>();
    const auto bound = (before - clipped.model->encoder).norm().item<double>();
    EXPECT_NEAR(bound, std::min(free, clip_norm), 1e-5);
  }
}

TEST(TrainerStep, LearnsWithEveryOptimizer) {
  for (const auto& name : optimizers().names()) {
    Kit kit;
    kit.optimizer.set(name);
    Trainer trainer(kit.parts());
    const auto error = [&] {
      torch::NoGradGuard no_grad;
      Stream noise(0, "test", at::kCPU);
      noise.rekey(0);
      return kit.model->errors(Rows().gather(Split::train, torch::arange(20), noise), noise).mean().item<double>();
    };
    trainer.step();  // initialises too
    const auto before = error();
    for (int i = 0; i < 30; ++i) trainer.step();
    EXPECT_LT(error(), before) << name;
  }
}

TEST(TrainerStep, LeavesTheDefaultGeneratorAlone) {
  const auto before = at::detail::getDefaultCPUGenerator().get_state();
  Kit kit;
  Trainer trainer(kit.parts());
  for (int i = 0; i < 3; ++i) trainer.step();
  EXPECT_TRUE(torch::equal(at::detail::getDefaultCPUGenerator().get_state(), before));
}

TEST(TrainerStep, InitialisesOnceBeforeTheFirstStep) {
  Kit kit([&](Autoencoder& model, const Batch& batch, Step& step) {
    EXPECT_EQ(model.num_initialised, 1);
    return reconstruction(model, batch, step);
  });
  Trainer trainer(kit.parts());
  trainer.step();
  trainer.step();
  EXPECT_EQ(kit.model->num_initialised, 1);
  EXPECT_GT(kit.model->shift.abs().sum().item<float>(), 0);
}

TEST(TrainerStep, WeightAverageFollowsTheParameters) {
  Kit kit;
  kit.config.weight_average = 0.5;
  auto expected = kit.model->encoder.detach().clone();
  Trainer trainer(kit.parts());
  for (int i = 0; i < 3; ++i) {
    trainer.step();
    expected = 0.5 * expected + 0.5 * kit.model->encoder.detach();
  }
  expect_close(trainer.buffers().slice(trainer.average()->values(), trainer.buffers().slots()[0]), expected, 1e-5);
}

TEST(TrainerStep, ANonFiniteLossIsNamedAndMovesNothing) {
  Tensor bad_index;
  Kit kit([&](Autoencoder& model, const Batch& batch, Step& step) {
    auto error = model.errors(batch, step.noise);
    if (step.index == 2) {
      bad_index = batch.index.clone();
      const auto mask = (torch::arange(batch.size()) == 1).logical_or(torch::arange(batch.size()) == 3);
      error = error + torch::where(mask, std::numeric_limits<float>::quiet_NaN(), 0.f) * model.decoder.sum();
    }
    return LossTerms{.loss = error, .terms = {{"bound", -error.detach()}, {"kl", torch::zeros({batch.size()})}}};
  });
  kit.config.weight_average = 0.9;
  Trainer trainer(kit.parts());
  trainer.step();
  trainer.step();
  const auto before = trainer.buffers().parameters().clone();
  const auto average_before = trainer.average()->values().clone();
  const auto message = message_of<NumericalError>([&] { trainer.step(); });
  const auto rows = "2 of 4 rows (training examples " + std::to_string(bad_index[1].item<int64_t>()) + ", " +
                    std::to_string(bad_index[3].item<int64_t>()) + ")";
  EXPECT_EQ(message, "step 2 (epoch 0): term 'bound' is not finite in " + rows + "; the loss is not finite in " + rows +
                         "; the first parameter with a non-finite gradient is 'decoder'. A lower learning rate or "
                         "training.clip_norm often helps.");
  EXPECT_TRUE(torch::equal(trainer.buffers().parameters(), before));
  EXPECT_TRUE(torch::equal(trainer.average()->values(), average_before));
  EXPECT_EQ(kit.model->counter->steps.item<int64_t>(), 2) << "after_step doesn't follow a non-finite step";
}

TEST(TrainerStep, AFiniteLossWithANonFiniteGradientIsFoundToo) {
  Kit kit([](Autoencoder& model, const Batch& batch, Step&) {
    const auto zero = (model.encoder - model.encoder).sum();  // sqrt has an infinite slope there
    return LossTerms{.loss = zero.sqrt().expand({batch.size()})};
  });
  Trainer trainer(kit.parts());
  EXPECT_THAT(message_of<NumericalError>([&] { trainer.step(); }),
              HasSubstr("step 0 (epoch 0): the first parameter with a non-finite gradient is 'encoder'"));
}

TEST(TrainerStep, MalformedLossesAreNamed) {
  const auto message = [](Losses losses) {
    Kit kit(std::move(losses));
    Trainer trainer(kit.parts());
    return message_of<Error>([&] { trainer.step(); });
  };
  EXPECT_EQ(message([](Autoencoder& model, const Batch&, Step&) { return LossTerms{.loss = model.encoder.sum()}; }),
            "the loss of phase 'main': got [], expected [8], a value per example");
  EXPECT_EQ(message([](Autoencoder&, const Batch&, Step&) { return LossTerms{}; }),
            "the loss of phase 'main' has neither a loss nor routes; exactly one of them is expected");
  EXPECT_EQ(message([](Autoencoder& model, const Batch& batch, Step&) {
              const auto loss = model.encoder.sum().expand({batch.size()});
              return LossTerms{.loss = loss, .terms = {{"kl", torch::zeros({3})}}};
            }),
            "term 'kl' of phase 'main': got [3], expected [8], a value per example");
  EXPECT_EQ(message([](Autoencoder& model, const Batch& batch, Step&) {
              const auto loss = model.encoder.sum().expand({batch.size()});
              return LossTerms{.routes = {{loss, {torch::zeros({1}).set_requires_grad(true)}}}};
            }),
            "phase 'main' routes a loss to a parameter that it doesn't own");
}

TEST(TrainerStep, SchedulesFollowTheClock) {
  Kit kit([](Autoencoder& model, const Batch& batch, Step&) {
    return LossTerms{.loss = model.encoder.sum().expand({batch.size()})};
  });
  SgdConfig sgd;
  LinearScheduleConfig linear;
  linear.from = 1;
  linear.to = 0;
  linear.steps = 4;
  sgd.learning_rate.set("linear", linear);
  kit.optimizer.set("sgd", sgd);
  Trainer trainer(kit.parts());
  std::vector<double> changes;
  for (int i = 0; i < 5; ++i) {
    const auto before = kit.model->encoder[0][0].item<double>();
    trainer.step();
    changes.push_back(before - kit.model->encoder[0][0].item<double>());
  }
  expect_close(values(changes), values({1, 0.75, 0.5, 0.25, 0}), 1e-5, 1e-6);
}

}  // namespace trainer_step_test
