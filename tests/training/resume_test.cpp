#include <ATen/Parallel.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "elbo/training/signals.h"
#include "training/fakes.h"

using namespace elbo;

namespace resume_test {
using namespace elbo::fakes;
using ::testing::HasSubstr;
namespace {

constexpr int64_t kSteps = 8;

/// Model and critic trained by two phases with Adam, averaging and clipping: everything that a checkpoint has to hold.
Kit full_kit(RunFolder& run) {
  Kit kit;
  kit.adam(0.02);
  kit.config.steps = kSteps;
  kit.config.log_every_steps = 4;
  kit.config.weight_average = 0.8;
  kit.config.clip_norm = 0.5;
  kit.config.checkpoint = {.every_epochs = 1, .every_steps = 1, .keep = 100};
  auto model = kit.model;
  kit.objective->make_phases = [model](AnyObjective& objective) {
    auto critic = objective.critic;
    Phase first, second;
    first.name = "model";
    first.parameters = model->parameters();
    first.losses = [&objective](const Batch& batch, Step& step) { return objective.losses(batch, step); };
    second.name = "critic";
    second.parameters = {critic, model->decoder};  // a segment that both phases own
    second.every = 2;
    second.losses = [model, critic](const Batch& batch, Step& step) {
      const auto loss = (critic.sum() - model->errors(batch, step.noise)).square();
      return LossTerms{.loss = loss, .terms = {{"distance", loss.detach()}}};
    };
    return std::vector<Phase>{first, second};
  };
  kit.run = &run;
  kit.hooks = {
      evaluating([model](const TrainingState& state) {
        return NamedValues{{"valid/bound", state.step == 3 ? 5.0 : 4.0}, {"valid/decoder", model->decoder.sum().item<double>()}};
      }),
      make_metrics_log(run), make_events_log(run)};
  return kit;
}

void expect_same_run(const fs::path& a, const fs::path& b) {
  const auto checkpoint = fs::path("checkpoints") / ("step-" + std::to_string(kSteps));
  for (const auto& file : {checkpoint / "model.safetensors", checkpoint / "training.safetensors", fs::path("metrics.jsonl")}) {
    EXPECT_FALSE(contents(a / file).empty()) << file;
    EXPECT_TRUE(contents(a / file) == contents(b / file)) << file << " differs";
  }
  for (const char* link : {"last", "best"}) {
    EXPECT_EQ(fs::read_symlink(a / "checkpoints" / link), fs::read_symlink(b / "checkpoints" / link));
  }
}

int64_t events_bytes(const fs::path& run) {
  int64_t files = 0, bytes = 0;
  for (const auto& entry : fs::directory_iterator(run)) {
    if (!entry.path().filename().string().starts_with("events.out.tfevents")) continue;
    ++files;
    bytes += static_cast<int64_t>(fs::file_size(entry.path()));
  }
  EXPECT_EQ(files, 1);
  return bytes;
}

void train(const fs::path& path, RunStart start, const std::shared_ptr<Hook>& hook = nullptr) {
  RunFolder run(path, config_node(), start);
  auto kit = full_kit(run);
  if (hook) kit.hooks.push_back(hook);
  Trainer trainer(kit.parts());
  if (start == RunStart::resume) trainer.resume();
  trainer.run();
}

struct Stop : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace

TEST(Resume, AtEveryStepGivesTheUndisturbedRunBitForBit) {
  TemporaryFolder folder;
  train(folder.path / "whole", RunStart::fresh);
  for (int64_t stop = 1; stop < kSteps; ++stop) {
    SCOPED_TRACE("stopped in step " + std::to_string(stop));
    const auto path = folder.path / ("stopped-" + std::to_string(stop));
    // The step's logs are written and its checkpoint is not: what they hold has to be cut off again.
    const auto hook = on_step([&](const TrainingState& state) {
      if (state.step == stop) throw Stop("here");
    });
    EXPECT_THROW(train(path, RunStart::fresh, hook), Stop);
    std::ofstream(path / "metrics.jsonl", std::ios::app) << "{\"half a li";
    train(path, RunStart::resume);
    expect_same_run(folder.path / "whole", path);
    EXPECT_EQ(events_bytes(path), events_bytes(folder.path / "whole"));
  }
}

TEST(Resume, AfterKill9GivesTheUndisturbedRunBitForBit) {
  TemporaryFolder folder;
  train(folder.path / "whole", RunStart::fresh);
  const auto path = folder.path / "killed";
  const pid_t child = ::fork();
  if (child == 0) {
    train(path, RunStart::fresh, on_step([](const TrainingState& state) {
            if (state.step == 5) ::kill(::getpid(), SIGKILL);
          }));
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  fs::create_directory(path / "checkpoints" / "step-6");  // half removed: no list of checksums
  train(path, RunStart::resume);
  expect_same_run(folder.path / "whole", path);
}

TEST(Resume, AfterAnInterruptionGivesTheSameWeights) {
  TemporaryFolder folder;
  train(folder.path / "whole", RunStart::fresh);
  const auto path = folder.path / "interrupted";
  const auto hook = on_step([](const TrainingState& state) {
    if (state.step == 5) request_stop();
  });
  EXPECT_THROW(train(path, RunStart::fresh, hook), Interrupted);
  clear_stop_request();
  train(path, RunStart::resume);
  expect_same_run(folder.path / "whole", path);
}

TEST(Resume, OnAnEmptyFolderStarts) {
  TemporaryFolder folder;
  train(folder.path / "whole", RunStart::fresh);
  train(folder.path / "resumed", RunStart::resume);
  expect_same_run(folder.path / "whole", folder.path / "resumed");
  const auto before = contents(folder.path / "whole" / "metrics.jsonl");
  train(folder.path / "whole", RunStart::resume);  // nothing is left to do
  EXPECT_EQ(contents(folder.path / "whole" / "metrics.jsonl"), before);
}

TEST(Resume, DoesNotInitialiseAgain) {
  TemporaryFolder folder;
  const auto path = folder.path / "run";
  EXPECT_THROW(train(path, RunStart::fresh, on_step([](const TrainingState& state) {
                       if (state.step == 3) throw Stop("here");
                     })),
               Stop);
  RunFolder run(path, config_node(), RunStart::resume);
  auto kit = full_kit(run);
  Trainer trainer(kit.parts());
  trainer.resume();
  EXPECT_EQ(trainer.state().step, 2);
  trainer.step();
  EXPECT_EQ(kit.model->num_initialised, 0);
}

TEST(Resume, OtherDataIsRefusedAndAnotherThreadCountIsSaid) {
  TemporaryFolder folder;
  const auto path = folder.path / "run";
  train(path, RunStart::fresh);
  const auto checkpoint = path / "checkpoints" / "step-8";
  {
    RunFolder run(path, config_node(), RunStart::resume);
    auto kit = full_kit(run);
    auto parts = kit.parts();
    parts.loader = std::make_shared<Loader>(std::make_shared<Rows>(), 5, 3, ShortBatch::keep);
    Trainer trainer(std::move(parts));
    EXPECT_EQ(message_of<CheckpointError>([&] { trainer.resume(); }),
              checkpoint.string() +
                  ": written with seed 3, batches of 8 and 20 training examples; this run has seed 3, batches of 5 and 20 "
                  "examples. It can only be continued on the same data.");
  }
  const int threads = at::get_num_threads();
  at::set_num_threads(threads + 1);
  train(path, RunStart::resume);
  at::set_num_threads(threads);
  EXPECT_THAT(contents(path / "log.txt"), HasSubstr("and goes on with " + std::to_string(threads + 1)));
}

}  // namespace resume_test
