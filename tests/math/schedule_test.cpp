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
