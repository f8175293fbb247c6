#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "elbo/base/error.h"
#include "elbo/config/override.h"
#include "elbo/config/yaml.h"
#include "elbo/data/loader.h"
#include "elbo/experiment/experiment.h"
#include "elbo/training/trainer.h"
#include "support/tensors.h"

/// The configs that we hand out, on data a hundred times smaller: that each trains, and what becomes of missing modalities.
namespace elbo::multimodal_configs_test {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

std::vector<std::string> configs_in(const std::string& folder) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(ELBO_SOURCE_DIR) / "configs" / folder)) {
    if (entry.path().extension() == ".yaml") found.push_back(entry.path().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string text_of(double rate) { return std::to_string(rate); }

/// Small pictures of built-in data in place of the config's own.
ExperimentConfig small(const std::string& file, double missing) {
  auto root = load_yaml(file);
  const bool poly = file.find("/poly/") != std::string::npos;
  const std::string gaps = "missing: {rate: " + text_of(missing) + "}, batch_size: 12}";
  apply_overrides(root, std::vector<std::string>{
                            poly ? "data={type: poly, size: 8, " + gaps : "data={type: digits, binarize: dynamic, " + gaps,
                            "training.steps=3"});
  auto config = read_config<ExperimentConfig>(root);
  return config;
}

/// Three steps, the second stage of telbo among them. Returns how far the parameters went.
double trained(const std::string& file, double missing) {
  auto config = small(file, missing);
  if (file.find("telbo") != std::string::npos) {
    auto root = load_yaml(file);
    apply_overrides(root, std::vector<std::string>{"objective.switch_step=2"});
    config.objective = read_config<ExperimentConfig>(root).objective;
  }
  const auto experiment = build_experiment(config, {}, DataUse::load);
  Trainer trainer({.model = experiment.model,
                   .objective = experiment.objective,
                   .loader = std::make_shared<Loader>(experiment.dataset, 12, experiment.seed(), ShortBatch::drop),
                   .optimizer = config.optimizer,
                   .config = config.training,
                   .seed = experiment.seed()});
  const auto before = trainer.buffers().parameters().clone();
  for (int i = 0; i < 3; ++i) trainer.step();
  trainer.check_finite();
  expect_finite(trainer.buffers().parameters());
  return (trainer.buffers().parameters() - before).abs().max().item<double>();
}

/// What refuses: networks that read every row's modality have nothing to read where one is missing.
std::string refusal_of(const std::string& file, double missing) {
  try {
    trained(file, missing);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "was trained";
}

TEST(MultimodalConfigs, ThereIsOneForEveryMethodOnBothSets) {
  for (const std::string folder : {"poly", "fashion_label"}) {
    for (const std::string name :
         {"dmvae", "jmvae", "mm_jsd", "mmvae", "mmvae_iwae", "mmvae_plus", "mopoe", "mvae", "mvtcae", "telbo"}) {
      const auto file = std::string(ELBO_SOURCE_DIR) + "/configs/" + folder + "/" + name + ".yaml";
      ASSERT_TRUE(std::filesystem::exists(file)) << file;
      EXPECT_EQ(read_config<ExperimentConfig>(load_yaml(file)).name, folder + "/" + name);
    }
  }
}

TEST(SlowMultimodalConfigs, EveryOneTrainsOnWholeRows) {
  for (const std::string folder : {"poly", "fashion_label"}) {
    for (const auto& file : configs_in(folder)) {
      SCOPED_TRACE(file);
      EXPECT_GT(trained(file, 0), 1e-4);
    }
  }
}

TEST(SlowMultimodalConfigs, EveryOneTrainsOnHalfTheModalitiesOrSaysThatItCanNot) {
  for (const std::string folder : {"poly", "fashion_label"}) {
    for (const auto& file : configs_in(folder)) {
      SCOPED_TRACE(file);
      const auto name = std::filesystem::path(file).stem().string();
      if (name == "jmvae" || name == "telbo") {
        EXPECT_THAT(refusal_of(file, 0.5), HasSubstr("model.aggregation joint encodes every row's"));
        EXPECT_THAT(refusal_of(file, 0.5), HasSubstr("may lack it (data.missing); choose poe, moe or mopoe"));
      } else if (name == "cvae") {
        EXPECT_THAT(refusal_of(file, 0.5), HasSubstr("missing"));
      } else {
        EXPECT_GT(trained(file, 0.5), 1e-4);
      }
    }
  }
}

TEST(MultimodalConfigs, ARowWithNothingIsRefusedByItsIndex) {
  auto root = load_yaml(std::string(ELBO_SOURCE_DIR) + "/configs/poly/mopoe.yaml");
  apply_overrides(root, std::vector<std::string>{"data={type: poly, size: 8, missing: {rate: 0.5, guarantee_one: false}}"});
  std::string message = "was accepted";
  try {
    build_experiment(read_config<ExperimentConfig>(root), {}, DataUse::load);
  } catch (const DataError& error) {
    message = error.what();
  }
  EXPECT_THAT(message, MatchesRegex("data\\.missing: row [0-9]+ of the training split has none of m0, m1, m2, m3, m4; set "
                                    "guarantee_one: true, or lower the rates"));
}

}  // namespace elbo::multimodal_configs_test
