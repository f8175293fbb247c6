#include <gtest/gtest.h>

#include <cmath>

#include "code_priors/prior_checks.h"
#include "elbo/code_priors/gated_pixel_cnn.h"
#include "elbo/code_priors/pixel_cnn.h"
#include "elbo/code_priors/pixel_snail.h"

using namespace elbo;

namespace elbo::slow_convolutional_priors_test {
namespace {

using namespace prior_checks;

std::shared_ptr<AutoregressiveCodePrior> prior_of(const std::string& name, const CodePriorContext& context) {
  if (name == "pixel_cnn") return make_pixel_cnn({.width = 32, .layers = 3, .entry_kernel = 5}, context);
  if (name == "gated_pixel_cnn") return make_gated_pixel_cnn({.width = 24, .layers = 3, .entry_kernel = 5}, context);
  return make_pixel_snail({.width = 16, .blocks = 1, .layers = 2, .heads = 2}, context);
}

class SlowConvolutionalPriors : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, SlowConvolutionalPriors, testing::Values("pixel_cnn", "gated_pixel_cnn", "pixel_snail"),
                         [](const auto& one) { return one.param; });

TEST_P(SlowConvolutionalPriors, OneImageIsLearnt) {
  PriorBed bed({.height = 4, .width = 4, .groups = 2, .vocabulary = 8});
  expect_overfits(bed, *prior_of(GetParam(), bed.context()));
}

TEST_P(SlowConvolutionalPriors, NoiseCostsItsEntropy) {
  PriorBed bed({.height = 3, .width = 3, .groups = 1, .vocabulary = 4});
  expect_cannot_predict_noise(bed, *prior_of(GetParam(), bed.context()));
}

TEST_P(SlowConvolutionalPriors, CopiesCostTheFirst) {
  PriorBed bed({.height = 3, .width = 3, .groups = 2, .vocabulary = 4});
  expect_learns_copies(bed, *prior_of(GetParam(), bed.context()));
}

TEST_P(SlowConvolutionalPriors, ClassSavesItsEntropy) {
  PriorBed bed({.height = 3, .width = 3, .groups = 1, .vocabulary = 2});
  const auto prior = prior_of(GetParam(), bed.context(2));
  const auto constant = [](const Tensor& label) { return label.view({-1, 1, 1, 1}).expand({-1, 3, 3, 1}).contiguous(); };
  const auto draw = [&](Stream& stream, int64_t B) { return constant((stream.uniform({B}, {}) * 2).to(torch::kLong)); };
  // Half of the rows are told their class.
  const auto told = [](const Tensor& codes) {
    const auto label = codes.flatten(1).select(1, 0).clone();
    label.narrow(0, 0, label.size(0) / 2).fill_(-1);
    return CodeCondition{.label = label};
  };
  train(bed, *prior, draw, {.batch_size = 64}, told);
  const auto both = torch::tensor({0, 1}, torch::kLong);
  const torch::NoGradGuard no_grad;
  expect_close(-prior->log_prob(constant(both), {.label = both}), 0.0, 0, 0.02);
  expect_close(-prior->log_prob(constant(both), {}).mean(), std::log(2), 0, 0.03);
}

}  // namespace
}  // namespace elbo::slow_convolutional_priors_test
