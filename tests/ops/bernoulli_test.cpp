#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "elbo/math/random.h"
#include "elbo/ops/op.h"
#include "support/gradients.h"

using namespace elbo;

namespace bernoulli_op {
namespace {

/// The definition by ATen, in float64 and with the target repeated.
Tensor naive(const Tensor& logits, const Tensor& target, int64_t event_dims) {
  const auto l = logits.to(torch::kDouble), x = target.to(torch::kDouble);
  return sum_last(x * torch::log_sigmoid(l) + (1 - x) * torch::log_sigmoid(-l), event_dims);
}

struct Inputs {
  Tensor logits, target;
};

/// Random logits [leading..., event...] and binary targets.
Inputs inputs(at::IntArrayRef logits, at::IntArrayRef target, at::ScalarType type, double scale = 6) {
  Stream stream(7, "bernoulli_test", torch::kCPU, 0, torch::kDouble);
  return {(stream.normal(logits, {}) * scale).to(type), (stream.uniform(target, {}) < 0.4).to(type)};
}

struct Case {
  Shape logits, target;
  int64_t event_dims;
};

const std::vector<Case> kCases = {
    {{4, 17}, {4, 17}, 1},                  // a tail that fills no vector
    {{3, 4, 8}, {4, 8}, 1},                 // K samples, one target each example
    {{2, 3, 4, 1, 5, 5}, {4, 1, 5, 5}, 3},  // R, K and an image
    {{3, 4, 600}, {1, 4, 600}, 1},          // a leading extent of one
    {{3, 4, 6}, {3, 1, 6}, 1},              // broadcast in the middle
    {{4, 6}, {3, 4, 6}, 1},                 // more targets than logits
    {{5}, {5}, 0},                          // no event: element by element
    {{5}, {5}, 1},                          // no batch
};

TEST(BernoulliLogProb, MatchesTheDefinitionInFloat64WithItsGradient) {
  for (const auto& c : kCases) {
    SCOPED_TRACE(shape_text(c.logits) + " against " + shape_text(c.target));
    auto [logits, target] = inputs(c.logits, c.target, torch::kDouble);
    logits.requires_grad_();
    const auto fused = bernoulli_log_prob(logits, target, c.event_dims), expected = naive(logits, target, c.event_dims);
    expect_close(fused, expected, 1e-12);
    const auto weights = wavy(expected.sizes()) + 1.5;
    expect_close(gradient_of(fused * weights, logits), gradient_of(expected * weights, logits), 1e-12, 1e-15);
  }
}

TEST(BernoulliLogProb, MatchesFloat64ToAMillionthInFloat32) {
  for (const double scale : {0.01, 1.0, 6.0, 40.0}) {
    SCOPED_TRACE(scale);
    auto [logits, target] = inputs({50, 20, 784}, {20, 784}, torch::kFloat, scale);
    logits.requires_grad_();
    auto wide = logits.detach().to(torch::kDouble).requires_grad_();
    const auto fused = bernoulli_log_prob(logits, target, 1), expected = naive(wide, target, 1);
    ASSERT_EQ(fused.scalar_type(), torch::kFloat);
    expect_close(fused, expected, 1e-6);
    expect_close(gradient_of(fused, logits), gradient_of(expected, wide), 1e-6, 1e-37);
  }
}

TEST(BernoulliLogProb, EveryElementIsAccurateNotOnlyTheSum) {
  const auto logits = torch::linspace(-90, 90, 100'001, torch::kFloat);
  for (const double x : {0.0, 1.0}) {
    const auto target = torch::full_like(logits, x);
    // x log sigmoid(l) alone: the other term is 0 * a finite number.
    expect_close(bernoulli_log_prob(logits, target, 0), naive(logits, target, 0), 1e-6, 1e-37);
  }
}

TEST(BernoulliLogProb, ExtremeLogitsAreExactInFloat32) {
  auto logits = torch::tensor({1e4F, -1e4F, 1e4F, -1e4F, 0.F, 3e38F, -3e38F}).requires_grad_();
  const auto target = torch::tensor({1.F, 0.F, 0.F, 1.F, 1.F, 1.F, 0.F});
  const auto log_prob = bernoulli_log_prob(logits, target, 0);
  expect_close(log_prob, values({0, 0, -1e4, -1e4, -std::log(2.0), 0, 0}), 1e-7);
  expect_close(gradient_of(log_prob, logits), values({0, 0, -1, 1, 0.5, 0, 0}), 1e-7);
}

TEST(BernoulliLogProb, PassesNanOn) {
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    auto logits = torch::zeros({2, 9}, type);
    logits[1][3] = NAN;
    logits.requires_grad_();
    const auto log_prob = bernoulli_log_prob(logits, torch::ones({2, 9}, type), 1);
    EXPECT_FALSE(log_prob[0].isnan().item<bool>());
    EXPECT_TRUE(log_prob[1].isnan().item<bool>());
    const auto gradient = gradient_of(log_prob, logits);
    EXPECT_EQ(gradient.isnan().sum().item<int64_t>(), 1);
    EXPECT_TRUE(gradient[1][3].isnan().item<bool>());
  }
}

TEST(BernoulliLogProb, GradientsOfLogitsAndTargetMatchFiniteDifferences) {
  const auto op = [](const std::vector<Tensor>& in) { return bernoulli_log_prob(in[0], in[1], 2); };
  expect_gradient_matches(op, {wavy({2, 3, 2, 3}) * 4, wavy({3, 2, 3}, 1) * 0.5 + 0.5});
}

TEST(BernoulliLogProb, SecondDerivativeMatchesFiniteDifferences) {
  const auto slope = [](const std::vector<Tensor>& in) {
    const auto log_prob = bernoulli_log_prob(in[0], in[1], 1);
    return torch::autograd::grad({(log_prob * log_prob).sum()}, {in[0]}, {}, true, /*create_graph=*/true)[0];
  };
  auto logits = (wavy({2, 5}) * 2).requires_grad_();
  const auto target = (wavy({2, 5}, 1) > 0).to(torch::kDouble);
  const auto second = gradient_of(slope({logits, target}), logits);
  torch::Tensor numeric = torch::zeros_like(second);
  for (int64_t i = 0; i < 10; ++i) {
    auto shift = torch::zeros({10}, torch::kDouble);
    shift[i] = 1e-5;
    const auto at = [&](double sign) {
      auto moved = (logits.detach() + sign * shift.view({2, 5})).requires_grad_();
      return slope({moved, target}).sum();
    };
    numeric.view(-1)[i] = ((at(1) - at(-1)) / 2e-5).item<double>();
  }
  expect_close(second, numeric, 1e-6, 1e-8);
}

TEST(BernoulliLogProb, DoesNotDependOnTheNumberOfThreads) {
  const int before = at::get_num_threads();
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    const auto run = [&](int threads) {
      at::set_num_threads(threads);
      auto [logits, target] = inputs({7, 13, 1003}, {13, 1003}, type);
      logits.requires_grad_();
      const auto log_prob = bernoulli_log_prob(logits, target, 1);
      return std::vector{log_prob.detach(), gradient_of(log_prob, logits)};
    };
    const auto one = run(1), two = run(2);
    expect_equal(two[0], one[0]);
    expect_equal(two[1], one[1]);
  }
  at::set_num_threads(before);
}

TEST(BernoulliLogProb, TakesNonContiguousAndShorterTypes) {
  const auto [logits, target] = inputs({6, 3, 4, 4}, {6, 3, 4, 4}, torch::kFloat);
  const auto expected = naive(logits, target, 3);
  expect_close(bernoulli_log_prob(logits.contiguous(at::MemoryFormat::ChannelsLast), target, 3), expected, 1e-6);
  expect_close(bernoulli_log_prob(logits.transpose(0, 3), target.transpose(0, 3), 3),
               naive(logits.transpose(0, 3), target.transpose(0, 3), 3), 1e-6);
  const auto brief = logits.to(torch::kBFloat16);
  const auto of_brief = bernoulli_log_prob(brief, target, 3);
  EXPECT_EQ(of_brief.scalar_type(), torch::kFloat);
  expect_close(of_brief, naive(brief, target, 3), 1e-6);
  expect_close(bernoulli_log_prob(logits, target.to(torch::kBool), 3), expected, 1e-6);
}

TEST(BernoulliLogProb, TakesAnEmptyBatch) {
  auto logits = torch::zeros({3, 0, 8}).requires_grad_();
  const auto log_prob = bernoulli_log_prob(logits, torch::zeros({0, 8}), 1);
  EXPECT_EQ(log_prob.sizes(), (Shape{3, 0}));
  EXPECT_EQ(gradient_of(log_prob, logits).sizes(), (Shape{3, 0, 8}));
}

TEST(BernoulliLogProb, RefusesShapesThatDoNotBroadcast) {
  const auto message = [](at::IntArrayRef logits, at::IntArrayRef target, int64_t event_dims) -> std::string {
    try {
      bernoulli_log_prob(torch::zeros(logits), torch::zeros(target), event_dims);
    } catch (const ShapeError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message({2, 5}, {2, 6}, 1),
            "bernoulli_log_prob: logits [2, 5] and target [2, 6] differ in their last 1 extents, the event");
  EXPECT_EQ(message({2, 5}, {3, 5}, 1), "bernoulli_log_prob: logits [2, 5] and target [3, 5] don't broadcast");
  EXPECT_EQ(message({2}, {2}, 2), "bernoulli_log_prob: logits [2] and target [2] need at least 2 event extents");
}

}  // namespace
}  // namespace bernoulli_op
