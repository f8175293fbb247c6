#include "elbo/training/checkpoint.h"

#include "elbo/io/safetensors.h"
#include "training/fakes.h"

using namespace elbo;

namespace checkpoint_test {
using namespace elbo::fakes;
using ::testing::HasSubstr;
namespace {

CheckpointContents sample(int64_t step) {
  CheckpointContents contents;
  contents.model = {{"encoder.weight", wavy({2, 3}).to(torch::kFloat)}, {"count", torch::full({}, step, torch::kLong)}};
  contents.training = {{"optimizer.main.exp_avg.encoder.weight", wavy({2, 3}, 1).to(torch::kFloat)}};
  contents.state = {.step = step,
                    .epoch = 2,
                    .seed = 18446744073709551615ull,
                    .num_threads = 4,
                    .batch_size = 8,
                    .num_examples = 20,
                    .initialised = true,
                    .monitor = "valid/bound",
                    .monitored = -1.25,
                    .best = BestValue{-1.0, 10},
                    .logs = {.metrics_bytes = 123, .events_file = "events.out.tfevents.1", .events_bytes = 456}};
  contents.config_yaml = "seed: 3\n";
  return contents;
}

/// A checkpoint of a table whose last column is a category.
CheckpointContents sample_of_table() {
  auto contents = sample(20);
  contents.state.data_spec["x"] = {.shape = {3},
                                   .kind = ValueKind::table,
                                   .columns = {{.name = "age, in years", .mean = 41.2, .scale = 1.0 / 3},
                                               {.name = "visits", .kind = ColumnKind::count},
                                               {.name = "colour", .kind = ColumnKind::category, .classes = {"red", "bl\"ue"}}}};
  return contents;
}

void overwrite(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::trunc) << text; }

}  // namespace

TEST(Checkpoint, GivesAnObjectiveItsWeightsBack) {
  TemporaryFolder folder;
  auto contents = sample(20);
  write_checkpoint(folder.path / "imported", contents);
  contents.training.push_back({"objective.critic", torch::tensor({3.f, 4.f})});
  write_checkpoint(folder.path / "whole", contents);
  contents.training.push_back({"objective.other", torch::zeros({1})});
  write_checkpoint(folder.path / "strange", contents);
  AnyObjective objective(std::make_shared<Autoencoder>());
  const auto before = objective.critic.detach().clone();
  Checkpoint(folder.path / "imported").load_objective(objective);  // of another program: there are none
  EXPECT_TRUE(torch::equal(objective.critic, before));
  EXPECT_THAT(message_of<CheckpointError>([&] { Checkpoint(folder.path / "strange").load_objective(objective); }),
              HasSubstr("unexpected: objective.other"));
  EXPECT_TRUE(torch::equal(objective.critic, before));
  Checkpoint(folder.path / "whole").load_objective(objective);
  EXPECT_TRUE(torch::equal(objective.critic, torch::tensor({3.f, 4.f})));
  torch::nn::Module without;
  Checkpoint(folder.path / "whole").load_objective(without);  // weights that nobody asks for
}

TEST(Checkpoint, KeepsTheColumnsOfATable) {
  TemporaryFolder folder;
  const auto written = sample_of_table();
  write_checkpoint(folder.path / "step-20", written);
  const auto read = Checkpoint(folder.path / "step-20").state().data_spec.at("x");
  const auto& expected = written.state.data_spec.at("x");
  EXPECT_EQ(read.kind, ValueKind::table);
  EXPECT_EQ(read.shape, expected.shape);
  ASSERT_EQ(read.columns.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(read.columns[i].name, expected.columns[i].name);
    EXPECT_EQ(read.columns[i].kind, expected.columns[i].kind);
    EXPECT_EQ(read.columns[i].classes, expected.columns[i].classes);
    EXPECT_EQ(read.columns[i].mean, expected.columns[i].mean);  // to the bit
    EXPECT_EQ(read.columns[i].scale, expected.columns[i].scale);
  }
}

TEST(Checkpoint, RefusesATableWhoseColumnsDoNotFit) {
  TemporaryFolder folder;
  auto contents = sample_of_table();
  contents.state.data_spec["x"].columns.pop_back();
  write_checkpoint(folder.path / "step-20", contents);
  try {
    Checkpoint(folder.path / "step-20").state();
    FAIL();
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("'columns' of a table is no list of as many columns as its shape has"));
  }
}

TEST(Checkpoint, ReturnsWhatWasWritten) {
  TemporaryFolder folder;
  write_checkpoint(folder.path / "step-20", sample(20));
  const Checkpoint checkpoint(folder.path / "step-20");
  const auto& state = checkpoint.state();
  EXPECT_EQ(state.step, 20);
  EXPECT_EQ(state.epoch, 2);
  EXPECT_EQ(state.seed, 18446744073709551615ull);
  EXPECT_EQ(state.num_threads, 4);
  EXPECT_TRUE(state.initialised);
  EXPECT_EQ(state.monitored, -1.25);
  EXPECT_EQ(state.best->step, 10);
  EXPECT_EQ(state.logs.metrics_bytes, 123u);
  EXPECT_EQ(state.logs.events_file, "events.out.tfevents.1");
  EXPECT_EQ(state.torch_version.substr(0, 2), "2.");
  EXPECT_EQ(checkpoint.config_yaml(), "seed: 3\n");
  auto weight = torch::zeros({2, 3});
  auto count = torch::zeros({}, torch::kLong);
  load_by_name(checkpoint.model_file(), {{"count", count}, {"encoder.weight", weight}});
  EXPECT_TRUE(torch::equal(weight, wavy({2, 3}).to(torch::kFloat)));
  EXPECT_EQ(count.item<int64_t>(), 20);
}

TEST(Checkpoint, ChecksumsAreAsSha256sumWritesThem) {
  TemporaryFolder folder;
  write_checkpoint(folder.path / "step-20", sample(20));
  EXPECT_EQ(std::system(("cd " + (folder.path / "step-20").string() + " && sha256sum --quiet -c SHA256SUMS").c_str()), 0);
}

TEST(Checkpoint, LoadingListsEverythingThatDoesNotFitAndChangesNothing) {
  TemporaryFolder folder;
  write_checkpoint(folder.path / "step-20", sample(20));
  auto weight = torch::zeros({3, 2});
  auto count = torch::zeros({});
  auto bias = torch::zeros({4});
  const auto file = folder.path / "step-20" / "model.safetensors";
  EXPECT_EQ(message_of<CheckpointError>([&] {
              load_by_name(file, {{"encoder.weight", weight}, {"bias", bias}});
            }),
            file.string() +
                " does not fit what it is loaded into:\n"
                "  misshapen: encoder.weight is float32 [2, 3], expected float32 [3, 2]\n"
                "  missing: bias (float32 [4])\n"
                "  unexpected: count (int64 [])");
  auto fits = torch::zeros({2, 3});
  EXPECT_THAT(message_of<CheckpointError>([&] {
                load_by_name(file, {{"encoder.weight", fits}, {"count", count}});
              }),
              HasSubstr("misshapen: count is int64 [], expected float32 []"));
  EXPECT_EQ(fits.abs().sum().item<float>(), 0);
}

TEST(Checkpoint, ADamagedFileIsNamedWithTheOtherCheckpoints) {
  TemporaryFolder folder;
  for (const int64_t step : {10, 20, 30}) write_checkpoint(folder.path / ("step-" + std::to_string(step)), sample(step));
  const auto damaged = folder.path / "step-30";
  {
    std::fstream file(damaged / "training.safetensors", std::ios::in | std::ios::out);
    file.seekp(-1, std::ios::end);
    file.put('!');
  }
  EXPECT_EQ(
      message_of<CheckpointError>([&] { Checkpoint{damaged}; }),
      damaged.string() +
          ": training.safetensors is damaged: it has another SHA-256 than when it was written; others here: step-10, step-20");
  fs::remove(folder.path / "step-20" / "state.json");
  EXPECT_EQ(message_of<CheckpointError>([&] { Checkpoint{folder.path / "step-20"}; }),
            (folder.path / "step-20").string() + ": the checkpoint lacks state.json; others here: step-10, step-30");
  fs::remove(folder.path / "step-10" / "SHA256SUMS");
  EXPECT_THAT(message_of<CheckpointError>([&] { Checkpoint{folder.path / "step-10"}; }),
              HasSubstr("the checkpoint has no SHA256SUMS: it is not whole"));
  EXPECT_THAT(message_of<CheckpointError>([&] { Checkpoint{folder.path / "step-40"}; }),
              HasSubstr("there is no such checkpoint"));
}

TEST(Checkpoint, AStateOfAnotherShapeIsNamed) {
  TemporaryFolder folder;
  const auto with_state = [&](const std::string& name, const std::string& from, const std::string& to) {
    const auto path = folder.path / name;
    write_checkpoint(path, sample(20));
    auto state = contents(path / "state.json");
    const auto at = state.find(from);
    EXPECT_NE(at, std::string::npos) << state;
    overwrite(path / "state.json", state.replace(at, from.size(), to));
    const auto sum = std::system(("cd " + path.string() +
                                  " && sha256sum config.yaml model.safetensors state.json "
                                  "training.safetensors > SHA256SUMS")
                                     .c_str());
    EXPECT_EQ(sum, 0);
    return message_of<CheckpointError>([&] { Checkpoint{path}; });
  };
  EXPECT_THAT(with_state("a", "\"format_version\": 1", "\"format_version\": 9"),
              HasSubstr("state.json: format version 9, this program reads version 1"));
  EXPECT_THAT(with_state("b", "\"step\": 20", "\"step\": \"many\""),
              HasSubstr("state.json: 'step' is \"many\", which is of another type than expected"));
  EXPECT_THAT(with_state("c", "\"epoch\": 2,", ""), HasSubstr("state.json: 'epoch' is missing"));
  EXPECT_THAT(with_state("d", "\"step\": 20", "\"step\": {{"), HasSubstr("state.json"));
}

TEST(FindCheckpoint, PrefersBestThenLastThenTheNewest) {
  TemporaryFolder folder;
  const auto run = folder.path / "run";
  EXPECT_EQ(message_of<CheckpointError>([&] { find_checkpoint(run); }), run.string() + ": there is no such run or checkpoint");
  fs::create_directories(run);
  EXPECT_EQ(message_of<CheckpointError>([&] { find_checkpoint(run); }),
            run.string() + ": expected the folder of a run or one of its checkpoints");
  fs::create_directories(run / "checkpoints");
  EXPECT_EQ(message_of<CheckpointError>([&] { find_checkpoint(run); }), run.string() + ": the run has no checkpoint yet");
  write_checkpoint(run / "checkpoints" / "step-9", sample(9));
  write_checkpoint(run / "checkpoints" / "step-10", sample(10));
  EXPECT_EQ(find_checkpoint(run), run / "checkpoints" / "step-10");
  fs::create_directory(run / "checkpoints" / "step-11");  // half removed
  EXPECT_EQ(find_checkpoint(run), run / "checkpoints" / "step-10");
  replace_link(run / "checkpoints" / "last", "step-9");
  EXPECT_EQ(find_checkpoint(run), run / "checkpoints" / "step-9");
  replace_link(run / "checkpoints" / "best", "step-10");
  EXPECT_EQ(find_checkpoint(run), run / "checkpoints" / "step-10");
  EXPECT_EQ(find_checkpoint(run / "checkpoints" / "last"), run / "checkpoints" / "last");
}

TEST(CheckpointToResume, IsTheNewestWholeOneAndClearsLeftovers) {
  TemporaryFolder folder;
  EXPECT_EQ(newest_checkpoint(folder.path / "none"), std::nullopt);
  EXPECT_EQ(checkpoint_to_resume(folder.path / "none"), std::nullopt);
  for (const int64_t step : {9, 10}) write_checkpoint(folder.path / ("step-" + std::to_string(step)), sample(step));
  replace_link(folder.path / "last", "step-9");  // killed between the rename and the link
  fs::create_directory(folder.path / "step-11");
  {
    AtomicFolder unfinished(folder.path / "step-12");
    EXPECT_EQ(newest_checkpoint(folder.path), folder.path / "step-10");
    EXPECT_TRUE(fs::exists(folder.path / "step-11")) << "looking removes nothing";
    EXPECT_EQ(checkpoint_to_resume(folder.path), folder.path / "step-10");
    EXPECT_FALSE(fs::exists(unfinished.path()));
  }
  EXPECT_FALSE(fs::exists(folder.path / "step-11"));
  EXPECT_TRUE(fs::exists(folder.path / "step-9"));
}

}  // namespace checkpoint_test
