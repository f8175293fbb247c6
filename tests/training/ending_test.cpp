#include <ATen/Context.h>

#include "elbo/base/json.h"
#include "elbo/math/schedules/plateau.h"
#include "elbo/training/signals.h"
#include "training/fakes.h"

using namespace elbo;

namespace ending_test {
using namespace elbo::fakes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Halved after each evaluation that brought nothing better.
ScheduledNumber halving(double value) {
  ScheduledNumber number{schedules};
  number.set("plateau", PlateauScheduleConfig{.from = value, .factor = 0.5, .patience = 0});
  return number;
}

/// Values of an evaluation each.
std::shared_ptr<Hook> giving(std::vector<double> values, const std::string& name = "valid/bound") {
  return evaluating([values = std::move(values), name](const TrainingState& state) {
    return NamedValues{{name, values.at(static_cast<size_t>(state.epoch() - 1))}};
  });
}

Kit epochs_kit(int64_t epochs, std::vector<double> values) {
  Kit kit;
  kit.config.steps.reset();
  kit.config.epochs = epochs;
  kit.hooks = {giving(std::move(values))};
  return kit;
}

}  // namespace

TEST(EarlyStopping, EndsAfterPatienceEvaluationsWithoutABetterValue) {
  TemporaryFolder folder;
  auto kit = epochs_kit(9, {1, 5, 5.4, 5.2, NAN, 9, 9, 9, 9});
  kit.config.early_stopping = {.patience = 3, .min_delta = 0.5};
  {
    RunFolder run(folder.path / "run", config_node(), RunStart::fresh);
    kit.run = &run;
    const auto result = Trainer(kit.parts()).run();
    EXPECT_TRUE(result.stopped_early);
    EXPECT_EQ(result.state.epoch(), 5) << "5.4 is less than 0.5 above 5, 5.2 too, NaN is never better";
    EXPECT_EQ(result.best->value, 5.4) << "the best checkpoint doesn't ask for min_delta";
    const Checkpoint last(run.checkpoints() / "last");
    EXPECT_EQ(last.state().step, 15);
    EXPECT_THAT(last.state().history, ElementsAre(1, 5, 5.4, 5.2, -kInfinity));
  }
  {  // nothing more to do
    RunFolder run(folder.path / "run", config_node(), RunStart::resume);
    kit.run = &run;
    Trainer trainer(kit.parts());
    trainer.resume();
    EXPECT_TRUE(trainer.run().stopped_early);
    EXPECT_EQ(trainer.state().step, 15);
  }
  // unless there is more patience now
  RunFolder run(folder.path / "run", config_node(), RunStart::resume);
  kit.run = &run;
  kit.config.early_stopping.patience = 4;
  Trainer trainer(kit.parts());
  trainer.resume();
  const auto result = trainer.run();
  EXPECT_FALSE(result.stopped_early);
  EXPECT_EQ(result.state.epoch(), 9);
}

TEST(EarlyStopping, OfALowestValueCountsDownwards) {
  auto kit = epochs_kit(5, {});
  kit.config.monitor = "-valid/fid";
  kit.config.early_stopping.patience = 2;
  kit.hooks = {giving({7, 5, 6, 5, 1}, "valid/fid")};
  EXPECT_EQ(Trainer(kit.parts()).run().state.epoch(), 4);
}

TEST(EarlyStopping, IsOffByDefault) { EXPECT_EQ(Trainer(epochs_kit(5, {5, 4, 3, 2, 1}).parts()).run().state.epoch(), 5); }

TEST(MonitoredHistory, ReachesSchedulesAndAResumedRunGoesOnInTheMiddle) {
  const std::vector<double> bounds = {1, 2, 2, 3, 1, 4};  // halved after the third and the fifth
  const auto kit_of = [&](RunFolder& run, std::vector<double>* rates) {
    auto kit = epochs_kit(6, bounds);
    SgdConfig sgd;
    sgd.learning_rate = halving(0.08);
    kit.optimizer.set("sgd", sgd);
    kit.run = &run;
    kit.hooks.push_back(make_metrics_log(run));
    if (rates) {
      kit.hooks.push_back(on_step([rates, model = kit.model](const TrainingState& state) {
        double best = -kInfinity, rate = 0.08;  // what the next step sees
        for (const double seen : state.clock.monitored ? *state.clock.monitored : std::vector<double>{}) {
          if (seen <= best) rate /= 2;
          best = std::max(best, seen);
        }
        rates->push_back(rate);
      }));
    }
    return kit;
  };
  TemporaryFolder folder;
  std::vector<double> rates;
  {
    RunFolder run(folder.path / "whole", config_node(), RunStart::fresh);
    Trainer(kit_of(run, &rates).parts()).run();
  }
  std::vector<double> at_epochs;
  for (size_t i = 2; i < rates.size(); i += 3) at_epochs.push_back(rates[i]);
  EXPECT_THAT(at_epochs, ElementsAre(0.08, 0.08, 0.08, 0.04, 0.04, 0.02));
  for (const int64_t stop : {4, 10, 11, 16}) {
    SCOPED_TRACE(stop);
    const auto path = folder.path / std::to_string(stop);
    {
      RunFolder run(path, config_node(), RunStart::fresh);
      auto kit = kit_of(run, nullptr);
      kit.hooks.push_back(on_step([stop](const TrainingState& state) {
        if (state.step == stop) throw std::runtime_error("here");
      }));
      EXPECT_THROW(Trainer(kit.parts()).run(), std::runtime_error);
    }
    RunFolder run(path, config_node(), RunStart::resume);
    Trainer trainer(kit_of(run, nullptr).parts());
    trainer.resume();
    trainer.run();
    for (const char* file :
         {"metrics.jsonl", "checkpoints/step-18/training.safetensors", "checkpoints/step-18/model.safetensors"})
      EXPECT_TRUE(contents(path / file) == contents(folder.path / "whole" / file)) << file;
  }
}

TEST(MonitoredHistory, OfAnotherMeasurementIsForgottenAndSaid) {
  TemporaryFolder folder;
  const auto path = folder.path / "run";
  auto kit = epochs_kit(3, {9, 8, 7});
  const auto train = [&](RunStart start, int64_t epochs, std::vector<double> values, const std::string& measured) {
    RunFolder run(path, config_node(), start);
    kit.config.epochs = epochs;
    kit.hooks = {giving(std::move(values))};
    kit.run = &run;
    auto parts = kit.parts();
    parts.measured = measured;
    Trainer trainer(std::move(parts));
    if (start == RunStart::resume) trainer.resume();
    return trainer.run();
  };
  EXPECT_EQ(train(RunStart::fresh, 3, {9, 8, 7}, "all rows").best->step, 3);
  EXPECT_EQ(train(RunStart::resume, 4, {9, 8, 7, 6}, "all rows").best->step, 3);
  const auto best = train(RunStart::resume, 6, {0, 0, 0, 0, 1, 2}, "the first 10 rows").best;
  EXPECT_EQ(best->step, 18);
  EXPECT_EQ(best->value, 2);
  EXPECT_EQ(fs::read_symlink(path / "checkpoints" / "best"), "step-18");
  EXPECT_THAT(Checkpoint(path / "checkpoints" / "last").state().history, ElementsAre(1, 2));
  EXPECT_THAT(contents(path / "log.txt"),
              HasSubstr("valid/bound is measured on other data than before (the first 10 rows; before: "
                        "all rows): the best checkpoint is chosen anew"));
}

TEST(MonitoredHistory, WhereAScheduleFollowsItEvaluationIsNotFree) {
  const std::string rest = "evaluation: {limit: 0}\ntraining: {early_stopping: {patience: 0}}\n";
  const auto plateau = parse_yaml("optimizer: {learning_rate: {type: plateau}}\n" + rest, "a.yaml");
  const auto constant = parse_yaml("optimizer: {learning_rate: 1}\n" + rest, "a.yaml");
  const auto changed = [](Node config) {
    *config.find("evaluation")->find("limit") = scalar_node("5");
    *config.find("training")->find("early_stopping")->find("patience") = scalar_node("7");
    return config;
  };
  EXPECT_THAT(config_differences(constant, changed(constant)), ::testing::IsEmpty());
  EXPECT_THAT(config_differences(plateau, changed(plateau)), ElementsAre("evaluation.limit: 0, now 5"));
}

TEST(Interruption, InTheMiddleOfAnEvaluationEndsItWithACheckpointAndItIsMadeUpFor) {
  TemporaryFolder folder;
  const auto train = [&](const fs::path& path, RunStart start, int64_t stop_at) {
    RunFolder run(path, config_node(), start);
    Kit kit;
    kit.config.steps = 9;
    kit.config.checkpoint.keep = 10;
    kit.run = &run;
    kit.hooks = {evaluating([&, stop_at](const TrainingState& state) {
                   run.metrics().append_line("{\"half\": true}");
                   if (state.step == stop_at) throw Interrupted("asked to");
                   return NamedValues{{"valid/bound", state.step == 6 ? 9.0 : 1.0}};
                 }),
                 make_metrics_log(run), make_events_log(run)};
    Trainer trainer(kit.parts());
    if (start == RunStart::resume) trainer.resume();
    trainer.run();
  };
  train(folder.path / "whole", RunStart::fresh, -1);
  for (const int64_t stop : {3, 6, 9}) {
    SCOPED_TRACE(stop);
    const auto path = folder.path / std::to_string(stop);
    EXPECT_EQ(message_of<Interrupted>([&] { train(path, RunStart::fresh, stop); }),
              text("stopped after step ", stop, " of 9; continue it with --run ", path.string(), " --resume"));
    const Checkpoint half(path / "checkpoints" / "last");
    EXPECT_EQ(half.state().step, stop);
    EXPECT_TRUE(half.state().evaluation_due);
    EXPECT_THROW(train(path, RunStart::resume, stop), Interrupted) << "stopped a second time";
    train(path, RunStart::resume, -1);
    EXPECT_EQ(contents(path / "metrics.jsonl"), contents(folder.path / "whole" / "metrics.jsonl"));
    for (const char* file : {"checkpoints/step-9/training.safetensors", "checkpoints/step-9/model.safetensors"})
      EXPECT_TRUE(contents(path / file) == contents(folder.path / "whole" / file)) << file;
    EXPECT_EQ(fs::read_symlink(path / "checkpoints" / "best"), "step-6");
    const Checkpoint made_up(path / "checkpoints" / ("step-" + std::to_string(stop)));
    EXPECT_FALSE(made_up.state().evaluation_due);
    EXPECT_EQ(made_up.state().monitored, stop == 6 ? 9.0 : 1.0);
  }
}

TEST(NonFiniteSteps, AreSkippedWhenAskedAndCounted) {
  TemporaryFolder folder;
  RunFolder run(folder.path / "run", config_node(), RunStart::fresh);
  Kit kit([](Autoencoder& model, const Batch& batch, Step& step) {
    auto terms = reconstruction(model, batch, step);
    if (step.index == 1 || step.index == 2 || step.index == 4) terms.loss = terms.loss * kNan;
    return terms;
  });
  kit.adam(0.05);
  kit.config.non_finite = NonFinite::skip;
  kit.config.max_skipped = 3;
  kit.config.weight_average = 0.5;
  kit.config.log_every_steps = 1;
  kit.run = &run;
  kit.hooks = {make_metrics_log(run)};
  std::vector<Tensor> seen;
  Trainer* running = nullptr;
  kit.hooks.push_back(on_step([&](const TrainingState&) {
    seen.push_back(torch::cat({running->buffers().parameters(), running->average()->values()}));
  }));
  Trainer trainer(kit.parts());
  running = &trainer;
  trainer.run();
  for (size_t i = 1; i < seen.size(); ++i) {
    const bool skipped = i == 1 || i == 2 || i == 4;
    EXPECT_EQ(torch::equal(seen[i], seen[i - 1]), skipped) << "step " << i;
  }
  EXPECT_EQ(kit.model->counter->steps.item<int64_t>(), 4) << "after_step follows no skipped step";
  EXPECT_TRUE(seen.back().isfinite().all().item<bool>());
  std::vector<int64_t> counts;
  std::istringstream lines(contents(run.path() / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto values = parse_json(line, "metrics");
    counts.push_back(values["skipped_steps"]);
    EXPECT_EQ(values.contains("loss"), counts.size() == 1 || counts.back() == counts[counts.size() - 2]) << line;
    EXPECT_THAT(line, ::testing::Not(HasSubstr("null")));
  }
  EXPECT_THAT(counts, ElementsAre(0, 1, 2, 2, 3, 3, 3));
  EXPECT_EQ(Checkpoint(run.checkpoints() / "last").state().skipped, 3);
  EXPECT_THAT(contents(run.path() / "log.txt"), HasSubstr("skipped step 1 (epoch 0): the loss is not finite in 8 of 8 rows"));
}

TEST(NonFiniteSteps, StayOutOfTheMeans) {
  TemporaryFolder folder;
  RunFolder run(folder.path / "run", config_node(), RunStart::fresh);
  Kit kit([](Autoencoder& model, const Batch& batch, Step& step) {
    auto terms = reconstruction(model, batch, step);
    if (step.index == 1 || step.index == 2 || step.index == 4) terms.loss = terms.loss * kNan;
    terms.terms[0].value = torch::full({batch.size()}, terms.loss.isfinite().all().item<bool>() ? 10.f * (step.index + 1) : kNan);
    return terms;
  });
  kit.config.non_finite = NonFinite::skip;
  kit.config.log_every_steps = 100;
  kit.run = &run;
  kit.hooks = {make_metrics_log(run)};
  Trainer(kit.parts()).run();
  std::vector<double> bounds;
  std::istringstream lines(contents(run.path() / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) bounds.push_back(parse_json(line, "metrics")["bound"]);
  EXPECT_THAT(bounds, ElementsAre(10, ::testing::DoubleNear((8 * 40 + 4 * 60) / 12.0, 1e-9), 70))
      << "short third batches count half";
}

TEST(NonFiniteSteps, TooManyInARowEndTraining) {
  Kit kit([](Autoencoder& model, const Batch& batch, Step& step) {
    auto terms = reconstruction(model, batch, step);
    if (step.index == 0 || step.index >= 2) terms.loss = terms.loss * kNan;
    return terms;
  });
  kit.config.non_finite = NonFinite::skip;
  kit.config.max_skipped = 3;
  Trainer trainer(kit.parts());
  EXPECT_THAT(
      message_of<NumericalError>([&] { trainer.run(); }),
      HasSubstr("3 steps in a row had to be skipped (training.max_skipped); the last of them is step 4 (epoch 1): the loss is "
                "not finite in 8 of 8 rows"));
}

TEST(NonFiniteSteps, ABadPhaseHoldsBackTheLaterOnesOfItsStepOnly) {
  Kit kit;
  kit.sgd(0.25);
  kit.config.non_finite = NonFinite::skip;
  kit.objective->make_phases = [&](AnyObjective& objective) {
    std::vector<Phase> phases(2);
    phases[0].name = "model";
    phases[0].parameters = {kit.model->encoder};
    phases[0].losses = [&](const Batch& batch, Step& step) {
      return LossTerms{.loss = kit.model->encoder.sum().expand({batch.size()}) * (step.index == 0 ? kNan : 1.f)};
    };
    phases[1].name = "critic";
    phases[1].parameters = {objective.critic};
    phases[1].losses = [&objective](const Batch& batch, Step&) {
      return LossTerms{.loss = objective.critic.sum().expand({batch.size()})};
    };
    return phases;
  };
  Trainer trainer(kit.parts());
  const auto encoder = kit.model->encoder.detach().clone(), critic = kit.objective->critic.detach().clone();
  trainer.step();
  EXPECT_TRUE(torch::equal(encoder, kit.model->encoder) && torch::equal(critic, kit.objective->critic));
  trainer.step();
  expect_close(encoder - kit.model->encoder, torch::full({3, 2}, 0.25), 1e-5);
  expect_close(critic - kit.objective->critic, torch::full({2}, 0.25), 1e-5);
}

TEST(Deterministic, TurnsLibTorchsDeterministicAlgorithmsOnAndTrains) {
  EXPECT_FALSE(at::globalContext().deterministicAlgorithms());
  Kit kit;
  kit.config.deterministic = true;
  Trainer(kit.parts()).run();
  EXPECT_TRUE(at::globalContext().deterministicAlgorithms());
  EXPECT_TRUE(at::globalContext().deterministicCuDNN());
  EXPECT_FALSE(at::globalContext().benchmarkCuDNN());
  EXPECT_STREQ(std::getenv("CUBLAS_WORKSPACE_CONFIG"), ":4096:8");
  constexpr bool kWarnOnly = false;
  at::globalContext().setDeterministicAlgorithms(false, kWarnOnly);
  at::globalContext().setDeterministicCuDNN(false);
}

}  // namespace ending_test
