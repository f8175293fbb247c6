#include "elbo/optim/optimizer.h"

#include "elbo/base/error.h"
#include "elbo/optim/guard.h"
#include "golden/optim.h"
#include "support/tensors.h"

using namespace elbo;

namespace optimizer_test {
namespace {

using Rows = std::vector<std::vector<double>>;

/// One parameter on flat buffers with the optimiser that `make` gives for them.
struct Fit {
  template <class Make>
  Fit(at::ScalarType type, const Make& make)
      : parameter(values(golden::kOptimStart).to(type).set_requires_grad(true)),
        curvature(values(golden::kOptimCurvature).to(type)),
        buffers({{"main", {{"p", parameter}}}}),
        optimizer(make(OptimizerContext{.segments = buffers.segments()})) {}

  void step(int64_t t, bool found_inf = false) {
    parameter.mutable_grad().copy_(
        curvature * parameter.detach() +
        (1.3 * t + torch::arange(parameter.size(0), torch::kDouble)).sin().to(parameter.scalar_type()));
    optimizer->step(torch::full({}, found_inf ? 1.f : 0.f));
  }

  Tensor parameter;
  Tensor curvature;
  FlatBuffers buffers;
  std::shared_ptr<Optimizer> optimizer;
};

template <class Make>
void expect_trajectory(const Make& make, const Rows& float32, const Rows& float64) {
  Fit single(torch::kFloat, make), twice(torch::kDouble, make);
  for (size_t t = 0; t < float64.size(); ++t) {
    SCOPED_TRACE("step " + std::to_string(t));
    single.step(static_cast<int64_t>(t));
    twice.step(static_cast<int64_t>(t));
    expect_close(single.parameter, values(float32[t]), 2e-6, 2e-7);
    expect_close(twice.parameter, values(float64[t]), 1e-12, 1e-13);
  }
  EXPECT_EQ(twice.buffers.parameters().narrow(0, 5, 11).abs().sum().item<double>(), 0) << "padding stays zero";
}

template <class Make>
void expect_skips(const Make& make) {
  Fit with(torch::kFloat, make), without(torch::kFloat, make);
  for (int64_t t = 0; t < 4; ++t) {
    with.step(t);
    without.step(t);
    with.parameter.mutable_grad().fill_(std::numeric_limits<float>::quiet_NaN());
    with.optimizer->step(torch::ones({}));
    ASSERT_TRUE(torch::equal(with.parameter, without.parameter)) << "step " << t;
    const auto a = with.optimizer->state(), b = without.optimizer->state();
    for (size_t i = 0; i < a.size(); ++i) ASSERT_TRUE(torch::equal(a[i].segments[0], b[i].segments[0])) << a[i].name;
  }
}

template <class Config>
Config with_rate(Config config, double rate = golden::kOptimLearningRate) {
  config.learning_rate = scheduled_number(rate);
  return config;
}

const auto adam = [](const OptimizerContext& c) { return make_adam(with_rate(AdamConfig{}), c); };
const auto adam_decay = [](const OptimizerContext& c) {
  AdamConfig config;
  config.beta1 = 0.8;
  config.beta2 = 0.95;
  config.epsilon = 1e-6;
  config.weight_decay = 0.1;
  return make_adam(with_rate(config), c);
};
const auto adamw = [](const OptimizerContext& c) {
  AdamWConfig config;
  config.weight_decay = 0.1;
  return make_adamw(with_rate(config), c);
};
const auto adagrad = [](const OptimizerContext& c) { return make_adagrad(with_rate(AdagradConfig{}), c); };
const auto adagrad_decay = [](const OptimizerContext& c) {
  AdagradConfig config;
  config.learning_rate_decay = 0.25;
  config.initial_accumulator = 0.5;
  config.weight_decay = 0.1;
  return make_adagrad(with_rate(config), c);
};
const auto adamax = [](const OptimizerContext& c) { return make_adamax(with_rate(AdamaxConfig{}), c); };
const auto adamax_decay = [](const OptimizerContext& c) {
  AdamaxConfig config;
  config.beta1 = 0.8;
  config.beta2 = 0.95;
  config.epsilon = 1e-6;
  config.weight_decay = 0.1;
  return make_adamax(with_rate(config), c);
};
const auto rmsprop = [](const OptimizerContext& c) { return make_rmsprop(with_rate(RmsPropConfig{}), c); };
const auto rmsprop_centered = [](const OptimizerContext& c) {
  RmsPropConfig config;
  config.alpha = 0.9;
  config.centered = true;
  return make_rmsprop(with_rate(config), c);
};
const auto rmsprop_momentum_decay = [](const OptimizerContext& c) {
  RmsPropConfig config;
  config.alpha = 0.9;
  config.epsilon = 1e-6;
  config.momentum = 0.8;
  config.centered = true;
  config.weight_decay = 0.1;
  return make_rmsprop(with_rate(config), c);
};
const auto sgd = [](const OptimizerContext& c) { return make_sgd(with_rate(SgdConfig{}), c); };
const auto sgd_momentum = [](const OptimizerContext& c) {
  SgdConfig config;
  config.momentum = 0.9;
  return make_sgd(with_rate(config), c);
};
const auto sgd_nesterov_decay = [](const OptimizerContext& c) {
  SgdConfig config;
  config.momentum = 0.9;
  config.nesterov = true;
  config.weight_decay = 0.1;
  return make_sgd(with_rate(config), c);
};

}  // namespace

TEST(Optimizers, AdamFollowsPyTorch) {
  expect_trajectory(adam, golden::k_adam_float32, golden::k_adam_float64);
  expect_trajectory(adam_decay, golden::k_adam_decay_float32, golden::k_adam_decay_float64);
}

TEST(Optimizers, AdamWFollowsPyTorch) { expect_trajectory(adamw, golden::k_adamw_float32, golden::k_adamw_float64); }

TEST(Optimizers, AdagradFollowsPyTorch) {
  expect_trajectory(adagrad, golden::k_adagrad_float32, golden::k_adagrad_float64);
  expect_trajectory(adagrad_decay, golden::k_adagrad_decay_float32, golden::k_adagrad_decay_float64);
}

TEST(Optimizers, AdamaxFollowsPyTorch) {
  expect_trajectory(adamax, golden::k_adamax_float32, golden::k_adamax_float64);
  expect_trajectory(adamax_decay, golden::k_adamax_decay_float32, golden::k_adamax_decay_float64);
}

TEST(Optimizers, RmsPropFollowsPyTorch) {
  expect_trajectory(rmsprop, golden::k_rmsprop_float32, golden::k_rmsprop_float64);
  expect_trajectory(rmsprop_centered, golden::k_rmsprop_centered_float32, golden::k_rmsprop_centered_float64);
  expect_trajectory(rmsprop_momentum_decay, golden::k_rmsprop_momentum_decay_float32, golden::k_rmsprop_momentum_decay_float64);
}

TEST(Optimizers, SgdFollowsPyTorch) {
  expect_trajectory(sgd, golden::k_sgd_float32, golden::k_sgd_float64);
  expect_trajectory(sgd_momentum, golden::k_sgd_momentum_float32, golden::k_sgd_momentum_float64);
  expect_trajectory(sgd_nesterov_decay, golden::k_sgd_nesterov_decay_float32, golden::k_sgd_nesterov_decay_float64);
}

TEST(Optimizers, FoundInfSkipsAStepToTheBit) {
  expect_skips(adagrad_decay);
  expect_skips(adam);
  expect_skips(adamax_decay);
  expect_skips(adamw);
  expect_skips(rmsprop_momentum_decay);
  expect_skips(sgd_nesterov_decay);
}

TEST(Optimizers, AMaskedUpdateGivesTheOldBitsBack) {
  const auto a = torch::tensor({1.f, 2.f}), b = torch::tensor(3.f);
  const auto update = [&] {
    a.fill_(std::numeric_limits<float>::quiet_NaN());
    b.add_(1);
  };
  elbo::detail::masked_update(torch::ones({}), {a, b}, update);
  EXPECT_TRUE(torch::equal(a, torch::tensor({1.f, 2.f})));
  EXPECT_EQ(b.item<float>(), 3);
  elbo::detail::masked_update(torch::zeros({}), {a, b}, update);
  EXPECT_TRUE(a.isnan().all().item<bool>());
  EXPECT_EQ(b.item<float>(), 4);
}

TEST(Optimizers, LearningRateIsAScheduleOfTheClock) {
  const auto make = [](const OptimizerContext& c) {
    SgdConfig config;
    config.learning_rate = scheduled_number(0.5);
    return make_sgd(config, c);
  };
  Fit problem(torch::kFloat, make);
  auto scheduled = problem.optimizer->scheduled();
  ASSERT_EQ(scheduled.size(), 1u);
  EXPECT_EQ(scheduled[0].name(), "learning_rate");
  scheduled[0].tensor().fill_(0.25);  // what a refill does; the optimiser must read the same tensor
  const auto before = problem.parameter.detach().clone();
  problem.parameter.mutable_grad().fill_(1);
  problem.optimizer->step(torch::zeros({}));
  expect_close(before - problem.parameter, torch::full({5}, 0.25), 1e-6, 1e-7);
}

TEST(Optimizers, DefaultsAreThePublishedOnes) {
  const AdamConfig adam_config;
  EXPECT_EQ(adam_config.beta1, 0.9);
  EXPECT_EQ(adam_config.beta2, 0.999);
  EXPECT_EQ(adam_config.epsilon, 1e-8);
  EXPECT_EQ(adam_config.weight_decay, 0);
  EXPECT_EQ(AdamWConfig{}.weight_decay, 0.01);
  EXPECT_EQ(optimizers().names(), (std::vector<std::string>{"adagrad", "adam", "adamax", "adamw", "rmsprop", "sgd"}));
}

TEST(Optimizers, NesterovWithoutMomentumIsAConfigError) {
  SgdConfig config;
  config.nesterov = true;
  try {
    validate_config(config);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("nesterov: needs momentum > 0"), std::string::npos) << error.what();
  }
}

}  // namespace optimizer_test
