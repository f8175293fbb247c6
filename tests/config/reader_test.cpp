#include "elbo/config/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/example_config.h"
#include "elbo/base/error.h"
#include "elbo/config/yaml.h"

namespace reader_test {
namespace {
using namespace elbo;
using config_example::Activation;
using config_example::Experiment;
using config_example::MlpConfig;
using config_example::VaeConfig;

Experiment read(std::string_view yaml) { return read_config<Experiment>(parse_yaml(yaml, "a.yaml")); }

std::string message_of(std::string_view yaml) {
  try {
    read(yaml);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

/// The report of one problem in a config that is complete otherwise; what is given stands on line 3.
std::string problem_of(std::string_view line) {
  std::string message = message_of("name: x\nmodel: {type: vae}\n" + std::string(line) + "\n");
  const std::string tail = "\n1 problem; nothing was run.";
  if (message.ends_with(tail)) message.resize(message.size() - tail.size());
  return message;
}

TEST(Reader, FillsEveryKindOfField) {
  const auto config = read(
      "name: fashion_mnist/vae\n"
      "seed: 1e3\n"
      "verbose: true\n"
      "rate: .5\n"
      "data_root: /data/sets\n"
      "model:\n"
      "  latent_size: 7\n"
      "  type: vae\n"
      "  encoder: {hidden: [3], type: mlp, activation: tanh}\n"
      "training: {epochs: 9, clip_norm: 5}\n"
      "metrics: [a, 'b', 3]\n"
      "stages:\n"
      "  - epochs: 2\n"
      "  - {}\n"
      "modalities:\n"
      "  zeta: {field: x}\n"
      "  alpha: {field: y, weight: 0, encoder: {type: mlp}}\n"
      "quantiles: [0, 0.5, 1]\n");
  EXPECT_EQ(config.name, "fashion_mnist/vae");
  EXPECT_EQ(config.seed, 1000);
  EXPECT_TRUE(config.verbose);
  EXPECT_EQ(config.rate, 0.5);
  EXPECT_EQ(config.data_root, "/data/sets");
  const auto* vae = config.model.config_as<VaeConfig>();
  ASSERT_NE(vae, nullptr);
  EXPECT_EQ(vae->latent_size, 7);
  const auto* mlp = vae->encoder.config_as<MlpConfig>();
  ASSERT_NE(mlp, nullptr);
  EXPECT_EQ(mlp->hidden, std::vector<int64_t>{3});
  EXPECT_EQ(mlp->activation, Activation::tanh);
  EXPECT_FALSE(vae->critic.has_value());
  EXPECT_EQ(config.training.epochs, 9);
  EXPECT_EQ(config.training.clip_norm, 5.0);
  EXPECT_EQ(config.metrics, (std::vector<std::string>{"a", "b", "3"}));
  ASSERT_EQ(config.stages.size(), 2U);
  EXPECT_EQ(config.stages[0].epochs, 2);
  EXPECT_EQ(config.stages[1].epochs, 50);
  ASSERT_EQ(config.modalities.size(), 2U);
  EXPECT_EQ(config.modalities.at("alpha").encoder.type(), "mlp");
  EXPECT_EQ(config.modalities.at("zeta").encoder.type(), "linear");
  EXPECT_EQ(config.quantiles->at(1), 0.5);
}

TEST(Reader, LeavesDefaultsWhereTheFileIsSilent) {
  const auto config = read("name: x\nmodel: {type: vae}\n");
  EXPECT_EQ(config.seed, 1);
  EXPECT_EQ(config.metrics, (std::vector<std::string>{"elbo"}));
  EXPECT_EQ(config.training.clip_norm, std::nullopt);
  EXPECT_EQ(config.quantiles, std::nullopt);
  EXPECT_EQ(config.beta.make()->at(5), 1.0);
}

TEST(Reader, NullEmptiesAnOptional) {
  EXPECT_EQ(read("name: x\nmodel: {type: vae}\ntraining: {clip_norm: null}\nquantiles: ~\n").training.clip_norm, std::nullopt);
}

TEST(Reader, OneReportHasEveryProblem) {
  EXPECT_EQ(message_of("seed: 1.5\n"
                       "sede: 3\n"
                       "verbose: yes\n"
                       "rate: 1\n"
                       "seed: 2\n"
                       "model:\n"
                       "  type: vae\n"
                       "  latent_size: 0\n"
                       "  encoder:\n"
                       "    type: mlp\n"
                       "    hidden: [200, two, -1]\n"
                       "    activatoin: tanh\n"
                       "    activation: tanhh\n"
                       "  critic: {type: mpl}\n"
                       "training: {epochs: 0, clip_norm: 0}\n"
                       "stages: [{epochs: 1}, {epoch: 2}, 3]\n"
                       "modalities: {left: {weight: -1}}\n"
                       "quantiles: [2]\n"),
            "a.yaml:1: name: missing, and it has no default\n"
            "a.yaml:1: seed: got '1.5', expected an integer\n"
            "a.yaml:2: sede: unknown key, did you mean 'seed'?\n"
            "a.yaml:3: verbose: got 'yes', expected true or false\n"
            "a.yaml:4: rate: must be in [0, 1), got 1\n"
            "a.yaml:5: seed: given twice, first on line 1\n"
            "a.yaml:8: model.latent_size: must be in [1, 65536], got 0\n"
            "a.yaml:11: model.encoder.hidden[1]: got 'two', expected an integer\n"
            "a.yaml:11: model.encoder.hidden[2]: must be in [1, 65536], got -1\n"
            "a.yaml:12: model.encoder.activatoin: unknown key, did you mean 'activation'?\n"
            "a.yaml:13: model.encoder.activation: got 'tanhh', expected relu, tanh or none\n"
            "a.yaml:14: model.critic.type: unknown encoder 'mpl', did you mean 'mlp'? Known: linear, mlp\n"
            "a.yaml:15: training.epochs: must be >= 1, got 0\n"
            "a.yaml:15: training.clip_norm: must be > 0, got 0\n"
            "a.yaml:16: stages[1].epoch: unknown key, did you mean 'epochs'?\n"
            "a.yaml:16: stages[2]: got '3', expected a map of settings\n"
            "a.yaml:17: modalities.left.weight: must be >= 0, got -1\n"
            "a.yaml:17: modalities.left.field: missing, and it has no default\n"
            "a.yaml:18: quantiles: must have at least 2 items, got 1\n"
            "a.yaml:18: quantiles[0]: must be in [0, 1], got 2\n"
            "20 problems; nothing was run.");
}

TEST(Reader, SaysWhereAKeyOfThatNameIs) {
  EXPECT_EQ(problem_of("training: {verbose: true}"),
            "a.yaml:3: training.verbose: unknown key, expected one of epochs, clip_norm; did you mean 'verbose'?");
  for (const std::string field :
       {"training.clip_norm", "model.latent_size", "model.encoder.hidden"}) {  // of what the file leaves out
    const auto key = field.substr(field.rfind('.') + 1);
    EXPECT_THAT(problem_of(key + ": 1"),
                ::testing::AllOf(::testing::StartsWith("a.yaml:3: " + key + ": unknown key, expected one of name, "),
                                 ::testing::EndsWith("; did you mean '" + field + "'?")));
  }
  // A key that is nearly one of its own section is taken for that one.
  EXPECT_EQ(problem_of("training: {epoch: 1}"), "a.yaml:3: training.epoch: unknown key, did you mean 'epochs'?");
}

TEST(Reader, SaysWhatItGotAndWhatItExpected) {
  EXPECT_EQ(problem_of("seed: [1]"), "a.yaml:3: seed: got a list, expected an integer");
  EXPECT_EQ(problem_of("seed: {a: 1}"), "a.yaml:3: seed: got a map, expected an integer");
  EXPECT_EQ(problem_of("seed:"), "a.yaml:3: seed: got nothing, expected an integer");
  EXPECT_EQ(problem_of("seed: '1'"), "a.yaml:3: seed: got the quoted text '1', expected an integer without quotes");
  EXPECT_EQ(problem_of("rate: abc"), "a.yaml:3: rate: got 'abc', expected a number");
  EXPECT_EQ(problem_of("data_root: [a]"), "a.yaml:3: data_root: got a list, expected a path");
  EXPECT_EQ(problem_of("metrics: elbo"), "a.yaml:3: metrics: got 'elbo', expected a list such as [elbo]");
  EXPECT_EQ(problem_of("metrics: [[elbo]]"), "a.yaml:3: metrics[0]: got a list, expected a text");
  EXPECT_EQ(problem_of("metrics:\n  - elbo\n  - {a: 1}"), "a.yaml:5: metrics[1]: got a map, expected a text");
  EXPECT_EQ(problem_of("training: 5"), "a.yaml:3: training: got '5', expected a map of settings");
  EXPECT_EQ(problem_of("training:"), "a.yaml:3: training: got nothing, expected a map of settings");
  EXPECT_EQ(problem_of("modalities: [a]"), "a.yaml:3: modalities: got a list, expected a map of settings");
  EXPECT_EQ(problem_of("stages: [{}, {}, {}, {}]"), "a.yaml:3: stages: must have at most 3 items, got 4");
  EXPECT_EQ(
      problem_of("zzz: 1"),
      "a.yaml:3: zzz: unknown key, expected one of name, seed, verbose, rate, data_root, model, beta, training, metrics, stages, "
      "modalities, quantiles");
  EXPECT_EQ(message_of("name: ''\nmodel: {type: vae}\n"),
            "a.yaml:1: name: must have at least 1 character, got 0\n1 problem; nothing was run.");
}

TEST(Reader, RelationsAreCheckedOnceTheFieldsAreGood) {
  EXPECT_EQ(problem_of("training: {epochs: 3, clip_norm: 4}"), "a.yaml:3: training.clip_norm: must not exceed epochs");
  EXPECT_EQ(problem_of("training:\n  epochs: 3\n  clip_norm: 4"), "a.yaml:5: training.clip_norm: must not exceed epochs");
  EXPECT_EQ(problem_of("stages: [{epochs: 1, clip_norm: 2}]"), "a.yaml:3: stages[0].clip_norm: must not exceed epochs");
  EXPECT_EQ(problem_of("training: {epochs: 0, clip_norm: 4}"), "a.yaml:3: training.epochs: must be >= 1, got 0");
}

TEST(Reader, DuplicatesAreFoundEverywhere) {
  EXPECT_EQ(problem_of("training: {epochs: 3, epochs: 3}"), "a.yaml:3: training.epochs: given twice, first on line 3");
  EXPECT_EQ(problem_of("modalities:\n  a: {field: x}\n  a: {field: y}"), "a.yaml:5: modalities.a: given twice, first on line 4");
  EXPECT_EQ(problem_of("stages: [{epochs: 3,\n  epochs: 4}]"), "a.yaml:4: stages[0].epochs: given twice, first on line 3");
  EXPECT_EQ(problem_of("beta: {type: linear,\n from: 3,\n from: 2}"), "a.yaml:5: beta.from: given twice, first on line 4");
}

TEST(Reader, PathsStartWhereItIsTold) {
  try {
    read_config<config_example::Schedule>(parse_yaml("epochs: 0", "b.yaml"), "second_stage");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "b.yaml:1: second_stage.epochs: must be >= 1, got 0\n1 problem; nothing was run.");
  }
}

TEST(Reader, AnEmptyTreeIsAllDefaults) { EXPECT_EQ(read_config<config_example::Schedule>(Node{}).epochs, 50); }

struct ListsAFieldTwice {
  int64_t a = 1;
  template <class F>
  void fields(F& field) {
    field("a", a, "");
    field("a", a, "");
  }
};
TEST(Reader, AStructThatListsAFieldTwiceIsAProgrammersError) {
  EXPECT_THROW(read_config<ListsAFieldTwice>(map_node()), UsageError);
}

}  // namespace
}  // namespace reader_test
