#include "elbo/config/override.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/example_config.h"
#include "elbo/base/error.h"
#include "elbo/config/yaml.h"

namespace override_test {
namespace {
using namespace elbo;
using config_example::Experiment;
using config_example::LinearConfig;

Node file() {
  return parse_yaml(
      "name: x\nseed: 3\nmodel: {type: vae, encoder: {type: mlp, hidden: [200, 100]}}\nstages: [{epochs: 1}, {epochs: 2}]\n",
      "a.yaml");
}

std::string with(std::string_view assignment) {
  Node root = file();
  apply_override(root, assignment);
  return to_flow_yaml(root);
}

std::string message_of(const std::vector<std::string>& assignments) {
  try {
    Node root = file();
    apply_overrides(root, assignments);
    read_config<Experiment>(root);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Override, ReplacesAndCreates) {
  EXPECT_EQ(
      with("seed=7"),
      "{name: x, seed: 7, model: {type: vae, encoder: {type: mlp, hidden: [200, 100]}}, stages: [{epochs: 1}, {epochs: 2}]}");
  EXPECT_THAT(with("model.encoder.hidden=[1, 2]"), testing::HasSubstr("hidden: [1, 2]"));
  EXPECT_THAT(with("model.encoder.hidden.1=7"), testing::HasSubstr("hidden: [200, 7]"));
  EXPECT_THAT(with("stages.1.epochs=9"), testing::HasSubstr("[{epochs: 1}, {epochs: 9}]"));
  EXPECT_THAT(with("beta={type: linear, from: 0.5}"), testing::HasSubstr("beta: {type: linear, from: 0.5}"));
  EXPECT_THAT(with("training.clip_norm=5"), testing::HasSubstr("training: {clip_norm: 5}"));
  EXPECT_THAT(with("training.clip_norm="), testing::HasSubstr("training: {clip_norm: null}"));
  EXPECT_THAT(with("name=a=b"), testing::HasSubstr("name: \"a=b\""));
  EXPECT_THAT(with("name='a, b # c'"), testing::HasSubstr("name: \"a, b # c\""));
  EXPECT_THAT(with(" seed = 7 "), testing::HasSubstr("seed: 7"));
  Node empty;
  apply_override(empty, "a.b.c=1");
  EXPECT_EQ(to_flow_yaml(empty), "{a: {b: {c: 1}}}");
}

TEST(Override, LaterOnesWin) {
  Node root = file();
  apply_overrides(root, std::vector<std::string>{"seed=7", "seed=8", "beta={type: linear, from: 0, to: 4}", "beta.to=2"});
  const auto config = read_config<Experiment>(root);
  EXPECT_EQ(config.seed, 8);
  EXPECT_EQ(config.beta.config_as<LinearConfig>()->to, 2);
}

TEST(Override, ObeysTheReaderAndIsNamedInItsReport) {
  EXPECT_EQ(message_of({"sede=7", "rate=2", "model.latent_size=abc"}),
            "--set sede=7: sede: unknown key, did you mean 'seed'?\n"
            "--set rate=2: rate: must be in [0, 1), got 2\n"
            "--set model.latent_size=abc: model.latent_size: got 'abc', expected an integer\n"
            "3 problems; nothing was run.");
  EXPECT_EQ(message_of({"model.type=gaussian"}),
            "a.yaml:3: model.encoder: unknown key, expected one of type, latent_size\n1 problem; nothing was run.");
  EXPECT_EQ(message_of({"seed=0x10"}),
            "--set seed=0x10: seed: got '0x10', expected an integer: numbers are decimal here\n1 problem; nothing was run.");
}

TEST(Override, RefusesWhatIsNoAssignment) {
  EXPECT_EQ(message_of({"seed"}), "--set seed: expected key=value, such as objective.beta=4");
  EXPECT_EQ(message_of({"=3"}), "--set =3: expected key=value, such as objective.beta=4");
  EXPECT_EQ(message_of({""}), "--set : expected key=value, such as objective.beta=4");
  EXPECT_EQ(message_of({"a..b=3"}), "--set a..b=3: expected key=value, such as objective.beta=4");
  EXPECT_EQ(message_of({".a=3"}), "--set .a=3: expected key=value, such as objective.beta=4");
  EXPECT_EQ(message_of({"seed.x=3"}),
            "--set seed.x=3: seed is the value '3', so it has no 'x'; set the whole of it, as in seed={type: …, …}");
  EXPECT_EQ(message_of({"stages.7.epochs=3"}),
            "--set stages.7.epochs=3: stages is a list of 2, expected a number from 0 to one less in place of '7'");
  EXPECT_EQ(message_of({"stages.-1=3"}),
            "--set stages.-1=3: stages is a list of 2, expected a number from 0 to one less in place of '-1'");
  EXPECT_EQ(message_of({"model.encoder.hidden=1,2"}),
            "--set model.encoder.hidden=1,2: got '1,2', expected one value; a list is written [1,2]");
}

TEST(Override, ValueCannotLeaveItsPlace) {
  for (const char* value : {"1] [2", "1]\n[2", "1\n---\n2", "]", "[", "{", "\"", "&a *b", "*a", "!!int 3", "1], [2", "}",
                            "a: b: c", "\xff", "%YAML", "@"}) {
    EXPECT_NE(message_of({"seed=" + std::string(value)}), "") << value;
  }
  EXPECT_NE(message_of({std::string("seed=\0", 6)}), "");
  EXPECT_NE(message_of({"seed=" + std::string(100'000, '[')}), "");
  std::string deep;
  for (int i = 0; i < 10'000; ++i) deep += "a.";
  EXPECT_LT(message_of({deep + "a=1"}).size(), 500U);
  EXPECT_NE(message_of({deep + "a=1"}), "");
}

}  // namespace
}  // namespace override_test
