#include "elbo/config/dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "config/example_config.h"
#include "elbo/base/error.h"
#include "elbo/config/yaml.h"

namespace dump_test {
namespace {
using namespace elbo;
using config_example::Experiment;
using config_example::LinearConfig;
using config_example::MlpConfig;
using config_example::Schedule;
using config_example::VaeConfig;

Experiment rich() {
  Experiment config;
  config.name = "0x10";  // a text that must come back as one
  config.seed = std::numeric_limits<int64_t>::min();
  config.verbose = true;
  config.rate = 0.1;
  config.data_root = "/tmp/with space/ä: #";
  VaeConfig vae{.latent_size = 3};
  vae.encoder.set("linear");
  vae.critic.set("mlp", MlpConfig{.hidden = {1, 2}, .activation = config_example::Activation::none});
  config.model.set("vae", vae);
  config.beta.set("linear", LinearConfig{.from = 1.0 / 3, .to = 1e-300, .steps = 7});
  config.training.clip_norm = 1;
  config.metrics = {"", "null", "true", "1e3", "a,b", "x\ny"};
  config.stages = {Schedule{.epochs = 1}, Schedule{}};
  config.modalities["odd: key"].field_name = "f";
  config.modalities["5"].field_name = "g";
  config.quantiles = {0, 1};
  return config;
}

TEST(Dump, IsTheWholeConfigWithItsDocs) {
  Experiment config;
  config.name = "x";
  EXPECT_EQ(to_yaml(dump_config(config), YamlComments::write),
            "name: x  # of the experiment\n"
            "seed: 1  # of every random stream\n"
            "verbose: false  # say more\n"
            "rate: 0.001  # of learning\n"
            "data_root: ./data  # where data lies\n"
            "model:  # what is fitted\n"
            "  type: vae  # Kingma & Welling 2014 (arXiv:1312.6114)\n"
            "  latent_size: 50  # units of the code\n"
            "  encoder:  # features of the input\n"
            "    type: mlp  # Rosenblatt 1958\n"
            "    hidden: [200, 200]  # width of each layer\n"
            "    activation: relu  # between the layers\n"
            "  critic: null  # absent unless asked for\n"
            "beta: 1  # weight of the KL\n"
            "training:  # the loop\n"
            "  epochs: 50  # passes over the data\n"
            "  clip_norm: null  # largest norm of the gradient\n"
            "metrics: [elbo]  # what is reported\n"
            "stages: []  # further loops\n"
            "modalities: {}  # by name\n"
            "quantiles: null  # of the report\n");
}

TEST(Dump, ReadsBackToTheSameConfig) {
  for (const auto& config : {rich(), [] {
                               Experiment plain;
                               plain.name = "x";
                               return plain;
                             }()}) {
    for (const auto comments : {YamlComments::write, YamlComments::leave_out}) {
      const std::string yaml = to_yaml(dump_config(config), comments);
      const auto back = read_config<Experiment>(parse_yaml(yaml, "x.yaml"));
      EXPECT_TRUE(same_config(config, back)) << yaml << to_yaml(dump_config(back));
      EXPECT_EQ(to_yaml(dump_config(back), comments), yaml);
    }
  }
  EXPECT_THAT(to_yaml(dump_config(rich())), testing::StartsWith("name: \"0x10\"\n"));  // a text for every other YAML reader too
  const auto back = read_config<Experiment>(parse_yaml(to_yaml(dump_config(rich())), "x.yaml"));
  EXPECT_EQ(back.name, "0x10");
  EXPECT_EQ(back.seed, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(back.beta.config_as<LinearConfig>()->from, 1.0 / 3);
  EXPECT_EQ(back.beta.config_as<LinearConfig>()->to, 1e-300);
  EXPECT_EQ(back.metrics, rich().metrics);
  EXPECT_EQ(back.data_root, rich().data_root);
  EXPECT_EQ(back.modalities.at("odd: key").field_name, "f");
}

TEST(Dump, SameConfigSeesEveryField) {
  EXPECT_TRUE(same_config(rich(), rich()));
  auto other = rich();
  other.modalities.at("5").weight = 2;
  EXPECT_FALSE(same_config(rich(), other));
  other = rich();
  other.model.set("vae");
  EXPECT_FALSE(same_config(rich(), other));
}

TEST(Dump, ValidateHoldsProgramsToTheRulesOfFiles) {
  EXPECT_NO_THROW(validate_config(rich()));
  auto config = rich();
  config.rate = std::numeric_limits<double>::quiet_NaN();
  config.training.epochs = 0;
  try {
    validate_config(config);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "rate: got 'nan', expected a number: it must be finite\n"
                 "training.epochs: must be >= 1, got 0\n"
                 "2 problems; nothing was run.");
  }
}

TEST(Dump, RefusesAnEnumValueWithoutAName) {
  MlpConfig config{.activation = static_cast<config_example::Activation>(77)};
  EXPECT_THROW(dump_config(config), UsageError);
}

TEST(Dump, DescribesEveryField) {
  std::string all;
  for (const auto& field : describe_config<Experiment>()) {
    all += field.name + " | " + field.type + " | " + field.default_text + " | " + field.range + " | " + field.doc +
           (field.required ? " | required" : "") + "\n";
  }
  EXPECT_EQ(all,
            "name | text |  | length at least 1 | of the experiment | required\n"
            "seed | integer | 1 |  | of every random stream\n"
            "verbose | true or false | false |  | say more\n"
            "rate | number | 0.001 | in [0, 1) | of learning\n"
            "data_root | path | ./data |  | where data lies\n"
            "model | model |  |  | what is fitted | required\n"
            "beta | schedule | 1 | >= 0 | weight of the KL\n"
            "training | section |  |  | the loop\n"
            "training.epochs | integer | 50 | >= 1 | passes over the data\n"
            "training.clip_norm | number or null | null | > 0 | largest norm of the gradient\n"
            "metrics | list of texts | [elbo] |  | what is reported\n"
            "stages | list of sections | [] | length at most 3 | further loops\n"
            "modalities | map of name to section | {} |  | by name\n"
            "modalities.NAME.weight | number | 1 | >= 0 | of its likelihood\n"
            "modalities.NAME.field | text |  |  | of the batch | required\n"
            "modalities.NAME.encoder | encoder | {type: linear} |  | features\n"
            "quantiles | list of numbers or null | null | in [0, 1]; length at least 2 | of the report\n");
  const auto vae = describe_config<VaeConfig>();
  EXPECT_EQ(vae.at(1).default_text, "{type: mlp}");
  EXPECT_EQ(vae.at(2).default_text, "null");
  EXPECT_EQ(describe_config<MlpConfig>().at(1).type, "relu, tanh or none");
}

}  // namespace
}  // namespace dump_test
