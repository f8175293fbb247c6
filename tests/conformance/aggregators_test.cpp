#include <gtest/gtest.h>

#include "conformance/components.h"
#include "elbo/aggregators/aggregator.h"
#include "elbo/distributions/normal.h"
#include "support/tensors.h"

namespace elbo::conformance {
namespace {

constexpr int64_t kRows = 4, kLatents = 3;

class EveryAggregator : public ::testing::TestWithParam<Component> {};

/// Rows 0 to 3 have all, all but a, b alone, nothing.
TEST_P(EveryAggregator, AbsentExpertsReachNeitherValueNorGradient) {
  const auto made = build(aggregators(), GetParam().name, AggregatorContext{.modalities = {"a", "b", "c"}});
  auto names = made->sources();
  if (made->has_joint()) names.emplace_back(kJointExpert);
  EXPECT_FALSE(names.empty());
  std::vector<Expert> experts;
  std::vector<Tensor> means, log_vars;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto phase = static_cast<double>(i);
    means.push_back(wavy({kRows, kLatents}, phase).requires_grad_());
    log_vars.push_back(wavy({kRows, kLatents}, phase + 0.5).requires_grad_());
    const auto there = names[i] == "b" ? torch::tensor({1, 1, 1, 0}) : torch::tensor({1, names[i] == "c" ? 1 : 0, 0, 0});
    experts.push_back(expert_of(names[i], Normal(means[i], log_vars[i]), there.to(torch::kBool)));
  }
  const auto q = made->posterior(experts);
  EXPECT_EQ(q->batch_shape(), Shape({kRows}));
  EXPECT_EQ(q->event_shape(), Shape({kLatents}));
  const auto log_prob = q->log_prob(wavy({2, kRows, kLatents}, 3));
  expect_finite(log_prob);
  log_prob.sum().backward();
  const StandardNormal prior({kRows}, {kLatents}, torch::kDouble);
  expect_close(log_prob.select(1, 3), prior.log_prob(wavy({2, kRows, kLatents}, 3)).select(1, 3), 1e-12);
  for (size_t i = 0; i < experts.size(); ++i) {
    if (!means[i].grad().defined()) continue;  // not asked, as the unimodal encoders are not where the joint one is
    expect_finite(means[i].grad());
    expect_finite(log_vars[i].grad());
    EXPECT_TRUE(means[i].grad()[0].ne(0).any().item<bool>()) << names[i];
    for (int64_t row = 0; row < kRows; ++row) {
      if (experts[i].present[row].item<bool>()) continue;
      expect_equal(means[i].grad()[row], torch::zeros({kLatents}, torch::kDouble));
      expect_equal(log_vars[i].grad()[row], torch::zeros({kLatents}, torch::kDouble));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogs, EveryAggregator, ::testing::ValuesIn(components({"aggregator"})), test_name);

}  // namespace
}  // namespace elbo::conformance
