#include "elbo/training/run_folder.h"

#include <unistd.h>

#include "elbo/base/log.h"
#include "training/fakes.h"

using namespace elbo;

namespace run_folder_test {
using namespace elbo::fakes;
using ::testing::ElementsAre;

TEST(RunFolder, HoldsTheResolvedConfigLogAndFolders) {
  TemporaryFolder folder;
  const auto path = folder.path / "a" / "b";
  {
    RunFolder run(path, config_node(), RunStart::fresh);
    log_debug("a message for the log");
    EXPECT_TRUE(fs::is_directory(run.checkpoints()) && fs::is_directory(run.samples()));
    EXPECT_EQ(contents(path / "config.yaml"), run.config_yaml());
  }
  log_debug("after the run");
  EXPECT_TRUE(same_content(load_yaml(path / "config.yaml"), config_node()));
  EXPECT_THAT(contents(path / "log.txt"), ::testing::HasSubstr("a message for the log"));
  EXPECT_THAT(contents(path / "log.txt"), ::testing::Not(::testing::HasSubstr("after the run")));
}

TEST(RunFolder, AUsedFolderNeedsResume) {
  TemporaryFolder folder;
  const auto path = folder.path / "run";
  {
    RunFolder run(path, config_node(), RunStart::fresh);
    fs::create_directories(run.checkpoints() / "step-3");
    std::ofstream(run.checkpoints() / "step-3" / "SHA256SUMS");
  }
  EXPECT_EQ(message_of<CheckpointError>([&] { RunFolder(path, config_node(), RunStart::fresh); }),
            path.string() + " already holds a run; continue it with --resume or choose another --run");
  RunFolder again(path, config_node(), RunStart::resume);
}

TEST(RunFolder, WhatAKilledRunLeftHalfWrittenGoes) {
  TemporaryFolder folder;
  const auto path = folder.path / "run";
  { RunFolder run(path, config_node(), RunStart::fresh); }
  const auto picture = path / "samples" / ".step-3-samples.png.tmp-12-34-5", config = path / ".config.yaml.tmp-12-34-5";
  const auto mine = path / "samples" / "notes.txt", result = path / ".result.json.tmp-12-34-5";
  for (const auto& file : {picture, config, mine, result}) std::ofstream(file) << "x";
  RunFolder again(path, config_node(), RunStart::resume);
  EXPECT_FALSE(fs::exists(picture) || fs::exists(config));
  EXPECT_TRUE(fs::exists(mine) && fs::exists(result));
}

TEST(RunFolder, AUsedFolderWithoutACheckpointSaysSo) {
  TemporaryFolder folder;
  const auto path = folder.path / "run";
  { RunFolder run(path, config_node(), RunStart::fresh); }
  fs::create_directories(path / "checkpoints" / "step-3");  // begun, not whole
  EXPECT_EQ(message_of<CheckpointError>([&] { RunFolder(path, config_node(), RunStart::fresh); }),
            path.string() + " holds a run that has no checkpoint yet; delete it or choose another --run");
}

TEST(RunFolder, AStrangersFolderIsLeftAlone) {
  TemporaryFolder folder;
  const auto path = folder.path / "thesis";
  fs::create_directories(path);
  std::ofstream(path / "config.yaml") << "name: of another program";
  EXPECT_EQ(message_of<CheckpointError>([&] { RunFolder(path, config_node(), RunStart::fresh); }),
            path.string() + " is not empty and holds no run; choose another --run");
  EXPECT_EQ(std::distance(fs::directory_iterator(path), fs::directory_iterator()), 1);
  fs::remove(path / "config.yaml");
  std::ofstream(path / ".lock");  // of a start that was killed at once
  RunFolder run(path, config_node(), RunStart::fresh);
}

TEST(RunFolder, ASecondWriterIsRefusedNamingTheFirst) {
  TemporaryFolder folder;
  const auto path = folder.path / "run";
  RunFolder run(path, config_node(), RunStart::fresh);
  EXPECT_THAT(message_of<CheckpointError>([&] { RunFolder(path, config_node(), RunStart::resume); }),
              ::testing::HasSubstr("process " + std::to_string(::getpid()) + " holds it"));
}

TEST(RunFolder, AnotherConfigIsAConfigErrorThatListsTheKeys) {
  TemporaryFolder folder;
  const auto path = folder.path / "run";
  const auto before = config_node("objective: {type: beta, beta: 1}\ntraining: {epochs: 1}\n");
  { RunFolder run(path, before, RunStart::fresh); }
  const auto now = config_node("objective: {type: beta, beta: 4}\ntraining: {epochs: 5}\n");
  EXPECT_EQ(
      message_of<ConfigError>([&] { RunFolder(path, now, RunStart::resume); }),
      path.string() +
          ": this run was started with another config:\n  objective.beta: 1, now 4\nA continued run may change the length of "
          "training, its logging and checkpoints, and evaluation only; put the rest back or choose another --run.");
  const auto longer = config_node("objective: {type: beta, beta: 1}\ntraining: {epochs: 5}\n");
  RunFolder run(path, longer, RunStart::resume);
  EXPECT_THAT(contents(path / "config.yaml"), ::testing::HasSubstr("epochs: 5"));
}

TEST(ConfigDifferences, NamesValuesAndLeavesOutWhatMayChange) {
  const auto before = config_node(
      "a: 1\nlist: [1, 2]\nnested: {x: 1, gone: 2}\nitems: [{k: 1}, {k: 2}]\ntraining: {steps: 3, clip_norm: 0, checkpoint: "
      "{keep: 1}}\n"
      "evaluation: {samples: 1}\n");
  const auto now = config_node(
      "a: 1\nlist: [1, 3]\nnested: {x: 2, new: 3}\nitems: [{k: 1}, {k: 5}]\ntraining: {epochs: 1, clip_norm: 5, checkpoint: "
      "{keep: 2}, "
      "log_every_steps: 7}\nevaluation: {samples: 9, every: 2}\n");
  EXPECT_THAT(config_differences(before, now),
              ElementsAre("list: [1, 2], now [1, 3]", "nested.x: 1, now 2", "nested.gone: 2, now absent", "items[1].k: 2, now 5",
                          "training.clip_norm: 0, now 5", "nested.new: absent, now 3"));
  EXPECT_TRUE(config_differences(before, before).empty());
}

TEST(RunFolder, LogsAreCutBackToAPosition) {
  TemporaryFolder folder;
  RunFolder run(folder.path / "run", config_node(), RunStart::fresh);
  run.metrics().append_line("one");
  run.events().scalar("a", 1, 1);
  const auto positions = run.sync_logs();
  EXPECT_EQ(positions.metrics_bytes, 4u);
  run.metrics().append_line("two");
  run.events().scalar("a", 2, 2);
  run.cut_logs(positions);
  EXPECT_EQ(contents(run.path() / "metrics.jsonl"), "one\n");
  EXPECT_EQ(run.events().path().filename(), positions.events_file);
  EXPECT_EQ(fs::file_size(run.events().path()), positions.events_bytes);
  const auto file = run.events().path();
  run.cut_logs(std::nullopt);
  EXPECT_EQ(contents(run.path() / "metrics.jsonl"), "");
  EXPECT_FALSE(fs::exists(file));
}

}  // namespace run_folder_test
