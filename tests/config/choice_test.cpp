#include "elbo/config/choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/example_config.h"
#include "elbo/base/error.h"
#include "elbo/config/yaml.h"

namespace choice_test {
namespace {
using namespace elbo;
using config_example::ConstantConfig;
using config_example::encoders;
using config_example::Experiment;
using config_example::LinearConfig;
using config_example::MlpConfig;
using config_example::Ramp;
using config_example::ramps;
using config_example::SizeContext;
using config_example::Thing;
using config_example::VaeConfig;
using EncoderChoice = Choice<Thing, const SizeContext&>;

Experiment read(std::string_view lines) {
  return read_config<Experiment>(parse_yaml("name: x\nmodel: {type: vae}\n" + std::string(lines) + "\n", "a.yaml"));
}

std::string problem_of(std::string_view lines) {
  try {
    read(lines);
  } catch (const ConfigError& error) {
    std::string message = error.what();
    const std::string tail = "\n1 problem; nothing was run.";
    if (message.ends_with(tail)) message.resize(message.size() - tail.size());
    return message;
  }
  return "";
}

TEST(Choice, MakesWhatTheFileChose) {
  const auto config =
      read_config<Experiment>(parse_yaml("name: x\nmodel:\n  encoder:\n    type: mlp\n    hidden: [7]\n  type: vae\n", "a.yaml"));
  EXPECT_EQ(config.model.make()->what, "vae 784-7");
  EXPECT_EQ(config.model.type(), "vae");
  EXPECT_EQ(to_string(config.model.mark()), "a.yaml:6");  // of the word that chose it
  EXPECT_EQ(config.model.str(), "model 'vae' (line 6)");
  EXPECT_EQ(to_string(config.model.config_as<VaeConfig>()->encoder.mark()), "a.yaml:4");
  EXPECT_EQ(config.model.config_as<MlpConfig>(), nullptr);
}

TEST(Choice, DefaultsToItsDefaultType) {
  const Experiment config;
  EXPECT_EQ(config.model.make()->what, "vae 784-200-200");
  EXPECT_EQ(config.model.str(), "model 'vae'");
  EXPECT_THROW(EncoderChoice(encoders(), "conv"), UsageError);
}

TEST(Choice, TypeMayBeLeftOutWhereThereIsADefault) {
  const auto config = read_config<Experiment>(parse_yaml("name: x\nmodel:\n  encoder: {hidden: [5]}\n", "a.yaml"));
  EXPECT_EQ(config.model.make()->what, "vae 784-5");
  EXPECT_EQ(config.model.str(), "model 'vae' (line 2)");
  EXPECT_EQ(problem_of("beta: {valu: 3}"),
            "a.yaml:3: beta.valu: unknown key, did you mean 'value'? ('type' is left to its default)");
  EXPECT_EQ(problem_of("modalities: {l: {field: f, encoder: {typ: mlp}}}"),
            "a.yaml:3: modalities.l.encoder.typ: unknown key, did you mean 'type'? ('type' is left to its default)");
}

TEST(Choice, AbsenceIsNullAndOnlyWhereItIsTheDefault) {
  const auto with = read_config<Experiment>(parse_yaml("name: x\nmodel: {type: vae, critic: {type: linear}}\n", "a.yaml"));
  EXPECT_EQ(with.model.config_as<VaeConfig>()->critic.make(SizeContext{4})->what, "linear 4");
  const auto without = read_config<Experiment>(parse_yaml("name: x\nmodel: {type: vae, critic: null}\n", "a.yaml"));
  const auto& critic = without.model.config_as<VaeConfig>()->critic;
  EXPECT_FALSE(critic.has_value());
  EXPECT_EQ(critic.type(), "");
  try {
    critic.make(SizeContext{});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_STREQ(error.what(), "no encoder is chosen, so none can be made");
  }
  EXPECT_EQ(problem_of("beta: null"), "a.yaml:3: beta: got nothing, expected a number or a map such as {type: constant}");
  EXPECT_EQ(problem_of("modalities: {l: {field: f, encoder: }}"),
            "a.yaml:3: modalities.l.encoder: got nothing, expected a map such as {type: linear}");
}

TEST(Choice, SaysHowItIsWritten) {
  EXPECT_EQ(problem_of("modalities: {l: {field: f, encoder: mlp}}"),
            "a.yaml:3: modalities.l.encoder: got 'mlp', expected a map such as {type: mlp}");
  EXPECT_EQ(problem_of("modalities: {l: {field: f, encoder: [mlp]}}"),
            "a.yaml:3: modalities.l.encoder: got a list, expected a map such as {type: linear}");
  EXPECT_EQ(problem_of("modalities: {l: {field: f, encoder: {type: conv}}}"),
            "a.yaml:3: modalities.l.encoder.type: unknown encoder 'conv', expected one of linear, mlp");
  EXPECT_EQ(problem_of("modalities: {l: {field: f, encoder: {type: linear, hidden: [1]}}}"),
            "a.yaml:3: modalities.l.encoder.hidden: unknown key, expected one of type; did you mean 'model.encoder.hidden'?");
  try {
    read_config<VaeConfig>(parse_yaml("critic: {hidden: [3]}\n", "a.yaml"));
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "a.yaml:1: critic: 'type' is missing, expected one of linear, mlp\n1 problem; nothing was run.");
  }
}

TEST(Choice, ANewTypeForgetsTheDefaultsOptions) {
  auto config = read("modalities: {l: {field: f, encoder: {type: mlp, hidden: [9]}}}");
  EXPECT_EQ(config.modalities.at("l").encoder.make(SizeContext{1})->what, "1-9");
}

TEST(Choice, ShorthandIsAPlainNumberBothWays) {
  const auto config = read("beta: 0.5");
  EXPECT_EQ(config.beta.type(), "constant");
  EXPECT_EQ(config.beta.make()->at(0), 0.5);
  EXPECT_EQ(to_string(config.beta.mark()), "a.yaml:3");
  EXPECT_EQ(to_flow_yaml(config.beta.dump()), "0.5");
  EXPECT_EQ(to_flow_yaml(read("beta: {type: constant, value: 0.5}").beta.dump()), "0.5");
  EXPECT_EQ(to_flow_yaml(read("beta: {type: linear, to: 4}").beta.dump()), "{type: linear, from: 0, to: 4, steps: 100}");
  EXPECT_EQ(problem_of("beta: abc"), "a.yaml:3: beta: got 'abc', expected a number");
  EXPECT_EQ(problem_of("beta: '1'"), "a.yaml:3: beta: got the quoted text '1', expected a number without quotes");
  EXPECT_EQ(problem_of("beta: [1]"), "a.yaml:3: beta: got a list, expected a number or a map such as {type: constant}");
}

TEST(Choice, TheFieldsRangeReachesTheComponentsMarkedFields) {
  EXPECT_EQ(problem_of("beta: -1"), "a.yaml:3: beta: must be >= 0, got -1");
  EXPECT_EQ(problem_of("beta: {type: constant, value: -1}"), "a.yaml:3: beta.value: must be >= 0, got -1");
  EXPECT_EQ(problem_of("beta:\n  type: linear\n  from: -1\n  to: 1"), "a.yaml:5: beta.from: must be >= 0, got -1");
  EXPECT_EQ(problem_of("beta: {type: linear, steps: 0}"), "a.yaml:3: beta.steps: must be >= 1, got 0");  // its own range
  EXPECT_EQ(read("beta: {type: linear, from: 0, to: 2}").beta.make()->at(50), 1.0);
}

TEST(Choice, RelationsOfTheComponentNameItsPath) {
  EXPECT_EQ(problem_of("beta:\n  type: linear\n  from: 1"),
            "a.yaml:3: beta.to: must differ from 'from'; a constant is a plain number");
  EXPECT_EQ(problem_of("beta:\n  type: linear\n  from: 1\n  to: 1"),
            "a.yaml:6: beta.to: must differ from 'from'; a constant is a plain number");
}

struct Nested {
  double scale = 1;
  Choice<Ramp> inner{ramps(), "constant"};
  Choice<Ramp> free{ramps(), "constant"};
  template <class F>
  void fields(F& field) {
    field("scale", scale, "");
    field("inner", inner, "", in_outer_range);
    field("free", free, "");
  }
};
Catalog<Thing>& nesting() {
  static Catalog<Thing> catalog = Catalog<Thing>("nesting").add(
      "nested", "", +[](const Nested&) { return std::make_shared<Thing>(); });
  return catalog;
}
struct Outermost {
  Choice<Thing> thing{nesting, "nested"};
  template <class F>
  void fields(F& field) {
    field("thing", thing, "", at_least(0));
  }
};
TEST(Choice, TheRangeGoesOnlyWhereItIsAskedFor) {
  const auto problem = [](std::string_view yaml) -> std::string {
    try {
      read_config<Outermost>(parse_yaml(yaml, "a.yaml"));
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(problem("thing: {type: nested, scale: -1, free: -1, inner: 0}"), "");
  EXPECT_EQ(problem("thing: {inner: {type: linear, from: -1}}"),
            "a.yaml:1: thing.inner.from: must be >= 0, got -1\n1 problem; nothing was run.");
}

TEST(Choice, ProgramsChooseToo) {
  EncoderChoice choice(encoders());
  EXPECT_FALSE(choice.has_value());
  choice.set("mlp", MlpConfig{.hidden = {3, 4}});
  EXPECT_EQ(choice.make(SizeContext{2})->what, "2-3-4");
  EXPECT_EQ(choice.config_as<MlpConfig>()->hidden.size(), 2U);
  choice.set("linear");
  EXPECT_EQ(choice.make(SizeContext{2})->what, "linear 2");
  EXPECT_THROW(choice.set("linear", MlpConfig{}), UsageError);
  EXPECT_THROW(choice.set("conv"), UsageError);
  EXPECT_EQ(choice.type(), "linear");  // a refused choice changes nothing
  choice.clear();
  EXPECT_FALSE(choice.has_value());
}

TEST(Choice, CopiesAreTheirOwn) {
  EncoderChoice first(encoders(), "mlp");
  EncoderChoice second = first;
  EXPECT_TRUE(first == second);
  second.set("mlp", MlpConfig{.hidden = {1}});
  EXPECT_FALSE(first == second);
  EXPECT_EQ(first.make(SizeContext{2})->what, "2-200-200");
  first = second;
  EXPECT_EQ(first.make(SizeContext{2})->what, "2-1");
  second.clear();
  EXPECT_FALSE(first == second);
  EXPECT_TRUE(first.has_value());
}

struct AskedFor {
  Choice<Thing, const SizeContext&> encoder{encoders()};
  template <class F>
  void fields(F& field) {
    field("encoder", encoder, "", required);
  }
};
TEST(Choice, ARequiredOneWithoutADefaultMustBeGiven) {
  for (const char* yaml : {"{}", "encoder: null", "encoder: {}"}) {
    EXPECT_THROW(read_config<AskedFor>(parse_yaml(yaml, "a.yaml")), ConfigError) << yaml;
  }
  EXPECT_EQ(read_config<AskedFor>(parse_yaml("encoder: {type: linear}", "a.yaml")).encoder.type(), "linear");
}

}  // namespace
}  // namespace choice_test
