#include "elbo/experiment/config.h"

#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "elbo/config/dump.h"
#include "elbo/config/yaml.h"
#include "elbo/experiment/experiment.h"

namespace elbo::experiment_config_test {

std::string message_of(const std::string& yaml) {
  try {
    read_config<ExperimentConfig>(parse_yaml(yaml, "a.yaml"));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

constexpr const char* kGood =
    "name: a/b\ndata: {type: digits, binarize: threshold}\nmodel: {type: vae, latent_size: 2}\nobjective: {type: "
    "elbo}\ntraining: {steps: 2}\n";

TEST(ExperimentConfig, DumpReadsBackTheSame) {
  const auto config = read_config<ExperimentConfig>(parse_yaml(kGood, "a.yaml"));
  const auto again = read_config<ExperimentConfig>(parse_yaml(to_yaml(dump_config(config)), "b.yaml"));
  EXPECT_TRUE(same_config(config, again));
}

TEST(ExperimentConfig, OneReportHoldsEveryProblem) {
  const auto message = message_of(
      "name: ../up\ndata: {type: digit}\nmodel: {type: vae, latent_sise: 2}\nobjective:\n  type: iwae\n  samples: 0\ntraining: "
      "{steps: 2}\n");
  for (const std::string part : {"a.yaml:2: data", "did you mean 'digits'", "a.yaml:3: model.latent_sise",
                                 "did you mean 'latent_size'", "a.yaml:6: objective.samples", "nothing was run"}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << "\n" << message;
  }
}

TEST(ExperimentConfig, NamesStayBelowRuns) {
  for (const std::string name : {"/abs", "a/../b", "..", "a//b", "a/", "a b", "a\\b", ".", "a/./b"}) {
    EXPECT_FALSE(name_problem(name).empty()) << name;
  }
  for (const std::string name : {"a", "fashion_mnist/vae", "a.b-c_1/D"}) EXPECT_EQ(name_problem(name), "") << name;
  EXPECT_FALSE(name_problem(std::string(300, 'a')).empty());
}

TEST(Experiment, CatalogsAreSortedByAxisAndByName) {
  std::string last_axis;
  for (const auto* catalog : all_catalogs()) {
    EXPECT_LT(last_axis, catalog->axis());
    last_axis = catalog->axis();
    const auto names = catalog->names();
    EXPECT_TRUE(std::is_sorted(names.begin(), names.end())) << catalog->axis();
    for (const auto& entry : catalog->entries()) EXPECT_FALSE(entry.source.empty()) << entry.name;
  }
}

TEST(Experiment, BuildsTheSameModelForTheSameSeedWithOrWithoutData) {
  const auto config = read_config<ExperimentConfig>(parse_yaml(kGood, "a.yaml"));
  const auto a = build_experiment(config, {}, DataUse::load);
  const auto b = build_experiment(config, {}, DataUse::headers);
  for (size_t i = 0; i < a.model->parameters().size(); ++i) EXPECT_TRUE(a.model->parameters()[i].equal(b.model->parameters()[i]));
}

TEST(Experiment, GreyDataUnderABernoulliIsRefusedBeforeAnythingIsRead) {
  auto config = read_config<ExperimentConfig>(
      parse_yaml("name: a\ndata: {type: digits}\nmodel: {type: vae}\nobjective: {type: elbo}\ntraining: {steps: 1}\n", "a.yaml"));
  EXPECT_THROW(build_experiment(config, {}, DataUse::load), ConfigError);
}

}  // namespace elbo::experiment_config_test
