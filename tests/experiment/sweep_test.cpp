#include "elbo/experiment/sweep.h"

#include <gtest/gtest.h>

#include <cmath>

#include "elbo/base/error.h"

namespace elbo::experiment_sweep_test {
namespace {

using Texts = std::vector<std::string>;

std::string refusal(const Texts& assignments) {
  try {
    plan_sweep(assignments);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

SweepRun run_of(size_t setting, int64_t seed, double bound) {
  return {.setting = setting, .seed = seed, .folder = "out/run", .log = "out/run.log", .metrics = {{"test/bound_nats", bound}}};
}

}  // namespace

TEST(SweepPlan, CommasOutsideOfBracketsAndQuotesPartValues) {
  EXPECT_EQ(sweep_values("0.5,1, 4"), (Texts{"0.5", "1", "4"}));
  EXPECT_EQ(sweep_values("[1,2]"), (Texts{"[1,2]"}));
  EXPECT_EQ(sweep_values("[1, 2],[3]"), (Texts{"[1, 2]", "[3]"}));
  EXPECT_EQ(sweep_values("{type: iwae, samples: 5},elbo"), (Texts{"{type: iwae, samples: 5}", "elbo"}));
  EXPECT_EQ(sweep_values("'a,b',\"c,d\""), (Texts{"'a,b'", "\"c,d\""}));
  EXPECT_EQ(sweep_values(""), (Texts{""}));
}

TEST(SweepPlan, IsEveryCombinationTheLastAxisFastest) {
  const auto plan = plan_sweep(Texts{"objective.beta=0.5,4", "training.epochs=2", "model.encoder.hidden=[8],[8,4]"});
  EXPECT_EQ(plan.constant, (Texts{"training.epochs=2"}));
  const auto settings = plan.settings();
  ASSERT_EQ(settings.size(), 4u);
  EXPECT_EQ(settings[1].values, (Texts{"0.5", "[8,4]"}));
  EXPECT_EQ(settings[1].overrides, (Texts{"training.epochs=2", "objective.beta=0.5", "model.encoder.hidden=[8,4]"}));
  EXPECT_EQ(settings[1].folder, "objective.beta=0.5__model.encoder.hidden=8_4");
  EXPECT_EQ(settings[2].values, (Texts{"4", "[8]"}));
  EXPECT_EQ(plan_sweep({}).settings().at(0).folder, "all");
}

TEST(SweepPlan, FoldersOfDifferentSettingsDiffer) {
  const auto settings = plan_sweep(Texts{"a=[1 2],[1_2],[1;2]"}).settings();
  EXPECT_EQ(settings[0].folder, "a=1_2");
  EXPECT_EQ(settings[1].folder, "a=1_2-2");
  EXPECT_EQ(settings[2].folder, "a=1_2-3");
  const auto map = plan_sweep(Texts{"model.quantizer={type: vq, codes: 8},{type: fsq}"}).settings();
  EXPECT_EQ(map[0].folder, "model.quantizer=vq_codes_8");
  EXPECT_EQ(map[1].folder, "model.quantizer=fsq");
  const auto path = plan_sweep(Texts{"data.path=../../x,/etc"}).settings();
  EXPECT_EQ(path[0].folder.find('/'), std::string::npos);
  EXPECT_EQ(path[1].folder.find('/'), std::string::npos);
}

TEST(SweepPlan, WhatIsNoSweepIsRefused) {
  EXPECT_EQ(refusal({"beta"}), "--set beta: expected KEY=VALUE, such as objective.beta=0.5,1,4");
  EXPECT_EQ(refusal({"a=1,,2"}), "--set a=1,,2: one of the values is empty");
  EXPECT_EQ(refusal({"a=1,2,1"}), "--set a=1,2,1: the value '1' is given twice");
  EXPECT_EQ(refusal({"a=1,2", "a=3"}), "--set a=3: a is given twice; write its values in one, separated by commas");
  EXPECT_EQ(refusal({"seed=1,2"}), "--set seed=1,2: seeds are chosen by --seeds");
}

TEST(SweepTable, MeansHaveTheStandardErrorOfTheSample) {
  const auto mean = mean_of(std::vector<double>{1, 2, 6});
  EXPECT_DOUBLE_EQ(mean.mean, 3);
  EXPECT_DOUBLE_EQ(*mean.standard_error, std::sqrt(7.0 / 3));  // (4 + 1 + 9) / 2 / 3
  EXPECT_FALSE(mean_of(std::vector<double>{5}).standard_error);
  EXPECT_EQ(mean_of({}).count, 0);
}

TEST(SweepTable, HasARowASettingAndNamesWhatFailed) {
  SweepTable table{.plan = plan_sweep(Texts{"objective.beta=1,4"}),
                   .runs = {run_of(0, 1, -30), run_of(0, 2, -32), run_of(1, 1, -40.25), run_of(1, 2, -1e9)},
                   .metrics = {"test/bound_nats"}};
  table.runs[3].exit_code = 5;
  table.runs[3].failed_in = "train";
  table.runs[3].reason = "step 3: not finite";
  EXPECT_EQ(table.text(),
            "objective.beta    runs  test/bound_nats\n"
            "──────────────  ──────  ───────────────\n"
            "             1       2      -31.0 ± 1.0\n"
            "             4  1 of 2         -40.2500\n"
            "mean ± standard error over seeds\n"
            "failed: out/run, train ended with 5: step 3: not finite (out/run.log)\n");
  EXPECT_EQ(table.csv(),
            "objective.beta,runs,failed,test/bound_nats_mean,test/bound_nats_standard_error\n"
            "1,2,0,-31,1\n"
            "4,2,1,-40.25,\n");
  const auto json = table.json();
  EXPECT_EQ(json["rows"][0]["metrics"]["test/bound_nats"].dump(), R"({"mean":-31.0,"standard_error":1.0,"count":2})");
  EXPECT_EQ(json["rows"][1]["runs"][1]["exit_code"], 5);
  EXPECT_EQ(json["rows"][1]["runs"][1]["log"], "out/run.log");
  EXPECT_EQ(json["rows"][0]["settings"]["objective.beta"], "1");
}

}  // namespace elbo::experiment_sweep_test
