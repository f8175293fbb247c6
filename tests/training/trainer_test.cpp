#include <ATen/Parallel.h>

#include <csignal>
#include <numeric>

#include "elbo/base/json.h"
#include "elbo/training/signals.h"
#include "training/fakes.h"

using namespace elbo;

namespace trainer_test {
using namespace elbo::fakes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace {

std::vector<Json> lines_of(const fs::path& path) {
  std::vector<Json> lines;
  std::istringstream in(contents(path));
  for (std::string line; std::getline(in, line);) lines.push_back(parse_json(line, path.string()));
  return lines;
}

}  // namespace

TEST(Trainer, LogsMeansOverTheWindowAtLogPointsEpochEndsAndTheEnd) {
  TemporaryFolder folder;
  RunFolder run(folder.path / "run", config_node(), RunStart::fresh);
  Kit kit([](Autoencoder& model, const Batch& batch, Step& step) {
    const auto loss = 0 * model.errors(batch, step.noise);
    // 10, 20, 30, … a step: the mean over steps 0 and 1 is 15, with the short third batch (4 rows) counting half.
    return LossTerms{.loss = loss,
                     .terms = {{"bound", torch::full({batch.size()}, 10.f * (step.index + 1))}, {"beta", torch::full({}, 2.f)}}};
  });
  kit.run = &run;
  kit.hooks = {make_metrics_log(run)};
  kit.config.log_every_steps = 5;
  const auto result = Trainer(kit.parts()).run();
  EXPECT_EQ(result.state.step, 7);
  const auto lines = lines_of(run.path() / "metrics.jsonl");
  ASSERT_EQ(lines.size(), 4u);  // epoch end 3, log point 5, epoch end 6, the end 7
  std::vector<int64_t> steps, epochs;
  std::vector<double> bounds;
  for (const auto& line : lines) {
    EXPECT_EQ(line["split"], "train");
    EXPECT_EQ(line["beta"], 2.0);
    EXPECT_NEAR(line["learning_rate"], 0.05, 1e-9);
    EXPECT_TRUE(line.contains("gradient_norm") && line.contains("loss"));
    steps.push_back(line["step"]);
    epochs.push_back(line["epoch"]);
    bounds.push_back(line["bound"]);
  }
  EXPECT_THAT(steps, ElementsAre(3, 5, 6, 7));
  EXPECT_THAT(epochs, ElementsAre(1, 1, 2, 2));
  EXPECT_THAT(bounds, ElementsAre(18.0, 45.0, 60.0, 70.0));  // (8*10 + 8*20 + 4*30) / 20 = 18
}

TEST(Trainer, EvaluatesAveragedWeightsInEvaluationModeAtEpochEndsAndTheEnd) {
  Kit kit;
  kit.config.weight_average = 0.75;
  std::vector<int64_t> steps;
  Trainer* trainer_seen = nullptr;
  kit.hooks = {evaluating([&](const TrainingState& state) {
    steps.push_back(state.step);
    EXPECT_FALSE(kit.model->is_training());
    EXPECT_FALSE(kit.model->counter->is_training());
    EXPECT_TRUE(torch::equal(trainer_seen->buffers().parameters(), trainer_seen->average()->values()));
    return NamedValues{{"valid/bound", 1}};
  })};
  Trainer trainer(kit.parts());
  trainer_seen = &trainer;
  trainer.run();
  EXPECT_THAT(steps, ElementsAre(3, 6, 7));
  EXPECT_TRUE(kit.model->is_training());
  EXPECT_FALSE(torch::equal(trainer.buffers().parameters(), trainer.average()->values()));
}

TEST(Trainer, BestIsTheHighestMonitoredValueAndOldCheckpointsGo) {
  TemporaryFolder folder;
  RunFolder run(folder.path / "run", config_node(), RunStart::fresh);
  Kit kit;
  kit.run = &run;
  kit.config.steps.reset();
  kit.config.epochs = 6;
  kit.config.checkpoint.keep = 2;
  const std::vector<double> bounds = {-5, -3, -4, -3, NAN, -9};  // ties keep the earlier one
  kit.hooks = {make_metrics_log(run), evaluating([&](const TrainingState& state) {
                 return NamedValues{{"valid/bound", bounds[state.epoch() - 1]}, {"valid/kl", 2}};
               })};
  const auto result = Trainer(kit.parts()).run();
  ASSERT_TRUE(result.best);
  EXPECT_EQ(result.best->step, 6);
  EXPECT_EQ(result.best->value, -3);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(run.checkpoints())) names.push_back(entry.path().filename());
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("step-6", "step-15", "step-18", "best", "last"));
  EXPECT_EQ(fs::read_symlink(run.checkpoints() / "best"), "step-6");
  EXPECT_EQ(fs::read_symlink(run.checkpoints() / "last"), "step-18");
  EXPECT_EQ(find_checkpoint(run.path()), run.checkpoints() / "step-6");
  EXPECT_EQ(find_checkpoint(run.checkpoints() / "step-18"), run.checkpoints() / "step-18");
  EXPECT_EQ(Checkpoint(run.checkpoints() / "step-18").state().best->step, 6);
  EXPECT_EQ(Checkpoint(run.checkpoints() / "last").state().monitored, -9);
  const auto lines = lines_of(run.path() / "metrics.jsonl");
  const auto valid = std::find_if(lines.begin(), lines.end(), [](const Json& line) { return line["split"] == "valid"; });
  ASSERT_NE(valid, lines.end());
  EXPECT_EQ(valid->dump(), R"({"step":3,"epoch":1,"split":"valid","bound":-5.0,"kl":2.0})");
  EXPECT_THAT(contents(run.path() / "metrics.jsonl"), HasSubstr(R"("step":15,"epoch":5,"split":"valid","bound":null)"));
}

TEST(Trainer, ALeadingMinusMonitorsTheLowestAndABestOneIsWrittenWhateverTheCadence) {
  TemporaryFolder folder;
  RunFolder run(folder.path / "run", config_node(), RunStart::fresh);
  Kit kit;
  kit.run = &run;
  kit.config.monitor = "-valid/fid";
  kit.config.steps = 9;
  kit.config.checkpoint = {.every_epochs = 0, .every_steps = 4, .keep = 10};
  const std::vector<double> fid = {7, 5, 6};
  kit.hooks = {evaluating([&](const TrainingState& state) { return NamedValues{{"valid/fid", fid[state.epoch() - 1]}}; })};
  EXPECT_EQ(Trainer(kit.parts()).run().best->step, 6);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(run.checkpoints())) names.push_back(entry.path().filename());
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("step-3", "step-4", "step-6", "step-8", "step-9", "best", "last"));
}

TEST(Trainer, WithoutAMonitorTheLastCheckpointStands) {
  TemporaryFolder folder;
  RunFolder run(folder.path / "run", config_node(), RunStart::fresh);
  Kit kit;
  kit.run = &run;
  kit.config.monitor = "none";
  kit.config.steps = 9;
  kit.hooks = {evaluating([](const TrainingState& state) { return NamedValues{{"valid/bound", -double(state.step)}}; })};
  EXPECT_FALSE(Trainer(kit.parts()).run().best);
  EXPECT_FALSE(fs::exists(run.checkpoints() / "best"));
  EXPECT_EQ(find_checkpoint(run.path()), run.checkpoints() / "step-9");
  kit.run = nullptr;
  kit.config.early_stopping.patience = 2;
  EXPECT_THAT(message_of<ConfigError>([&] { Trainer(kit.parts()); }), HasSubstr("early_stopping: nothing is monitored"));
}

TEST(Trainer, AnUnknownMonitorIsAnErrorThatListsTheValues) {
  Kit kit;
  kit.config.monitor = "valid/buond";
  kit.hooks = {evaluating([](const TrainingState&) { return NamedValues{{"valid/bound", 1}, {"valid/kl", 1}}; })};
  EXPECT_EQ(message_of<ConfigError>([&] { Trainer(kit.parts()).run(); }),
            "training.monitor: 'valid/buond' is not among the evaluated values, did you mean 'valid/bound'? The values are "
            "valid/bound, valid/kl");
}

TEST(Trainer, ExactlyOneOfEpochsAndStepsIsGiven) {
  Kit both, neither;
  both.config.epochs = 2;
  neither.config.steps.reset();
  EXPECT_THAT(message_of<ConfigError>([&] { Trainer(both.parts()); }),
              HasSubstr("epochs is given too; give exactly one of epochs and steps"));
  EXPECT_THAT(message_of<ConfigError>([&] { Trainer(neither.parts()); }),
              HasSubstr("neither epochs nor steps is given; give exactly one of them"));
}

TEST(Trainer, AStopRequestEndsAfterTheStepAndItsCheckpoint) {
  TemporaryFolder folder;
  RunFolder run(folder.path / "run", config_node(), RunStart::fresh);
  Kit kit;
  kit.run = &run;
  kit.hooks = {on_step([](const TrainingState& state) {
    if (state.step == 4) request_stop();
  })};
  try {
    Trainer(kit.parts()).run();
    FAIL();
  } catch (const Interrupted& stop) {
    EXPECT_EQ(stop.exit_code(), 130);
    EXPECT_EQ(std::string(stop.what()), "stopped after step 4 of 7; continue it with --run " + run.path().string() + " --resume");
  }
  clear_stop_request();
  EXPECT_EQ(Checkpoint(find_checkpoint(run.path())).state().step, 4);
}

TEST(Trainer, TheProgressLineShowsEpochAndValues) {
  Kit kit([](Autoencoder& model, const Batch& batch, Step& step) {
    return LossTerms{.loss = model.errors(batch, step.noise), .terms = {{"bound", torch::full({batch.size()}, -2.5f)}}};
  });
  kit.hooks = {make_progress_line({.num_examples = 20, .unit = "img", .num_values = 1})};
  ::testing::internal::CaptureStderr();
  Trainer(kit.parts()).run();
  const auto shown = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(shown, HasSubstr("epoch 3/3"));
  EXPECT_THAT(shown, HasSubstr("100 %"));
  EXPECT_THAT(shown, HasSubstr("bound -2.5"));
}

TEST(SignalScope, TheFirstSignalOnlyAsks) {
  {
    SignalScope scope;
    EXPECT_FALSE(stop_requested());
    std::raise(SIGTERM);
    EXPECT_TRUE(stop_requested());
    EXPECT_EXIT(std::raise(SIGINT), ::testing::ExitedWithCode(130), "");
  }
  clear_stop_request();
}

TEST(Trainer, ANonFiniteStepLeavesTheLastGoodCheckpointAndNamesIt) {
  TemporaryFolder folder;
  RunFolder run(folder.path / "run", config_node(), RunStart::fresh);
  Kit kit([](Autoencoder& model, const Batch& batch, Step& step) {
    auto terms = reconstruction(model, batch, step);
    if (step.index == 4) terms.loss = terms.loss / 0;
    return terms;
  });
  kit.run = &run;
  EXPECT_THAT(message_of<NumericalError>([&] { Trainer(kit.parts()).run(); }),
              HasSubstr("the last good checkpoint is " + (run.checkpoints() / "step-3").string()));
  EXPECT_EQ(Checkpoint(find_checkpoint(run.path())).state().step, 3);
}

}  // namespace trainer_test
