#include "elbo/math/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/config/reader.h"
#include "elbo/config/yaml.h"
#include "elbo/math/scheduled.h"
#include "support/tensors.h"

namespace elbo::schedule_test {

struct Holder {
  ScheduledNumber beta = scheduled_number(1);
  template <class F>
  void fields(F& field) {
    field("beta", beta, "a weight", at_least(0));
  }
};

ScheduledNumber parsed(const std::string& yaml) { return read_config<Holder>(parse_yaml("beta: " + yaml, "test.yaml")).beta; }

double at(const ScheduledNumber& number, int64_t step, int64_t steps_per_epoch = 10, int64_t total = 100) {
  return number.make()->at({.step = step, .steps_per_epoch = steps_per_epoch, .total_steps = total});
}

TEST(Schedule, PlainNumberIsConstant) {
  EXPECT_EQ(at(parsed("0.5"), 0), 0.5);
  EXPECT_EQ(at(parsed("0.5"), 99), 0.5);
}

TEST(Schedule, LinearGoesFromToAndStays) {
  const auto linear = parsed("{type: linear, from: 1, to: 3, steps: 20}");
  EXPECT_EQ(at(linear, 0), 1);
  EXPECT_EQ(at(linear, 10), 2);
  EXPECT_EQ(at(linear, 20), 3);
  EXPECT_EQ(at(linear, 90), 3);
  EXPECT_EQ(at(parsed("{type: linear, from: 0, to: 1, epochs: 5}"), 25), 0.5);
  EXPECT_EQ(at(parsed("{type: linear, from: 0, to: 1}"), 50), 0.5) << "without a length: the whole run";
}

TEST(Schedule, CosineWarmsUpThenFalls) {
  const auto cosine = parsed("{type: cosine, from: 2, to: 1, warmup_steps: 4, steps: 24}");
  EXPECT_EQ(at(cosine, 0), 0.5);
  EXPECT_EQ(at(cosine, 3), 2);
  EXPECT_EQ(at(cosine, 4), 2);
  EXPECT_NEAR(at(cosine, 14), 1.5, 1e-12);
  EXPECT_NEAR(at(cosine, 24), 1, 1e-12);
  EXPECT_NEAR(at(cosine, 1000), 1, 1e-12);
}

/// The value after these evaluations.
double after(const ScheduledNumber& number, const std::vector<double>& monitored) {
  return number.make()->at({.step = 7, .monitored = std::make_shared<const std::vector<double>>(monitored)});
}

TEST(Cyclical, RisesAndStaysInEachCycle) {
  const auto beta = parsed("{type: cyclical, from: 0, to: 2, cycles: 4, ratio: 0.5, steps: 80}");
  for (const int64_t cycle : {0, 1, 2, 3}) {
    EXPECT_EQ(at(beta, 20 * cycle), 0) << cycle;
    EXPECT_EQ(at(beta, 20 * cycle + 5), 1) << cycle;
    EXPECT_EQ(at(beta, 20 * cycle + 10), 2) << cycle;
    EXPECT_EQ(at(beta, 20 * cycle + 19), 2) << cycle;
  }
  EXPECT_EQ(at(beta, 80), 2);
  EXPECT_EQ(at(beta, 83), 2) << "no fifth cycle";
  EXPECT_EQ(at(parsed("{type: cyclical, cycles: 2, ratio: 1, epochs: 4}"), 15), 0.75) << "two cycles of two epochs of ten";
  EXPECT_EQ(at(parsed("{type: cyclical}"), 50), 0) << "without a length: the whole run in four cycles of 25";
  EXPECT_NEAR(at(parsed("{type: cyclical}"), 30), 0.4, 1e-12);
}

TEST(Exponential, IsMultipliedEachPeriod) {
  EXPECT_NEAR(at(parsed("{type: exponential, from: 2, factor: 0.5, every_steps: 4}"), 6), 2 * std::pow(0.5, 1.5), 1e-15);
  const auto stairs = parsed("{type: exponential, from: 2, factor: 0.5, decay: staircase}");
  EXPECT_EQ(at(stairs, 9), 2);
  EXPECT_EQ(at(stairs, 10), 1);
  EXPECT_EQ(at(stairs, 39), 0.25);
  EXPECT_EQ(at(parsed("{type: exponential, from: 2, factor: 0.5, every_epochs: 2, decay: staircase}"), 40), 0.5);
  EXPECT_EQ(at(parsed("{type: exponential, from: 2, factor: 0.5, floor: 0.3}"), 90), 0.3);
  EXPECT_EQ(at(stairs, 200), at(stairs, 100)) << "it stands still when the run ends";
}

TEST(Multistep, FallsAtItsMilestones) {
  const auto by_epochs = parsed("{type: multistep, from: 1, factor: 0.1, epochs: [2, 3.5]}");
  EXPECT_EQ(at(by_epochs, 19), 1);
  EXPECT_EQ(at(by_epochs, 20), 0.1);
  EXPECT_EQ(at(by_epochs, 34), 0.1);
  EXPECT_NEAR(at(by_epochs, 35), 0.01, 1e-17);
  EXPECT_EQ(at(parsed("{type: multistep, from: 4, factor: 0.5, steps: [3, 3, 8]}"), 5), 1)
      << "a milestone given twice counts twice";
  EXPECT_EQ(at(parsed("{type: multistep, from: 4}"), 99), 4);
  EXPECT_THROW(parsed("{type: multistep, steps: [8, 3]}"), ConfigError);
  EXPECT_THROW(parsed("{type: multistep, steps: [3], epochs: [1]}"), ConfigError);
}

TEST(Plateau, FallsAfterMoreEvaluationsWithoutImprovementThanItsPatience) {
  const auto plateau = parsed("{type: plateau, from: 1, factor: 0.5, patience: 2}");
  EXPECT_EQ(at(plateau, 50), 1) << "before any evaluation";
  EXPECT_EQ(after(plateau, {}), 1);
  EXPECT_EQ(after(plateau, {-5, -5, -5}), 1) << "two without an improvement are let pass";
  EXPECT_EQ(after(plateau, {-5, -5, -5, -5}), 0.5);
  EXPECT_EQ(after(plateau, {-5, -6, -6, -4, -5, -5}), 1) << "an improvement starts the count anew";
  EXPECT_EQ(after(plateau, {-5, -6, -6, -4, -5, -5, -4}), 0.5) << "as good as the best is not better";
  EXPECT_EQ(after(plateau, {0, 0, 0, 0, 0, 0}), 0.5);
  EXPECT_EQ(after(plateau, {0, 0, 0, 0, 0, 0, 0}), 0.25) << "after a fall the count starts anew";
  EXPECT_EQ(after(plateau, {0, NAN, NAN, NAN}), 0.5) << "NaN is no improvement";
}

TEST(Plateau, HasAThresholdACooldownAndAFloor) {
  const auto strict = parsed("{type: plateau, from: 1, factor: 0.5, patience: 1, threshold: 0.1}");
  EXPECT_EQ(after(strict, {-1, -0.95, -0.91}), 0.5) << "steps of less than a tenth add up to nothing";
  EXPECT_EQ(after(strict, {-1, -0.95, -0.89}), 1) << "both are measured from the best that counted";
  const auto resting = parsed("{type: plateau, from: 1, factor: 0.5, patience: 0, cooldown: 2}");
  EXPECT_EQ(after(resting, {0, 0}), 0.5);
  EXPECT_EQ(after(resting, {0, 0, 0, 0}), 0.5);
  EXPECT_EQ(after(resting, {0, 0, 0, 0, 0}), 0.25);
  EXPECT_EQ(after(parsed("{type: plateau, from: 1, factor: 0.5, patience: 0, floor: 0.3}"), {0, 0, 0, 0, 0}), 0.3);
}

TEST(Warmup, RisesToTheStartOfWhatFollows) {
  const auto linear = parsed("{type: warmup, steps: 4, then: {type: linear, from: 2, to: 0}}");
  EXPECT_EQ(at(linear, 0), 0.5);
  EXPECT_EQ(at(linear, 3), 2);
  EXPECT_EQ(at(linear, 4), 2);
  EXPECT_EQ(at(linear, 52), 1) << "half of the 96 steps that are left";
  EXPECT_EQ(at(linear, 100), 0);
  EXPECT_EQ(at(parsed("{type: warmup, epochs: 0.5, then: 3}"), 1), 3 * 2.0 / 5);
  EXPECT_EQ(at(parsed("{type: warmup, then: 3}"), 4), 1.5) << "one epoch of ten";
  const auto plateau = parsed("{type: warmup, steps: 2, then: {type: plateau, from: 1, factor: 0.5, patience: 0}}");
  EXPECT_EQ(after(plateau, {0, 0}), 0.5) << "evaluations are handed on";
  EXPECT_THROW(parsed("{type: warmup, then: {type: linear, from: -1, to: 1}}"), ConfigError) << "the field's range holds inside";
}

TEST(Schedule, RangeOfTheFieldHoldsForEveryEnd) {
  try {
    parsed("{type: linear, from: -1, to: 1}");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("test.yaml:1: beta.from: must be >= 0, got -1"), std::string::npos) << error.what();
  }
  EXPECT_THROW(parsed("-0.5"), ConfigError);
}

TEST(Schedule, RefusesTwoLengths) { EXPECT_THROW(parsed("{type: linear, steps: 5, epochs: 2}"), ConfigError); }

TEST(Scheduled, HandleSharesItsTensor) {
  Scheduled original("beta", parsed("{type: linear, from: 0, to: 1, steps: 10}"), at::kCPU);
  const Scheduled copy = original;
  original.refill({.step = 5, .steps_per_epoch = 10, .total_steps = 100});
  EXPECT_EQ(copy.tensor().dim(), 0);
  EXPECT_EQ(copy.tensor().item<float>(), 0.5F);
  EXPECT_EQ(copy.value(), 0.5);
}

}  // namespace elbo::schedule_test
