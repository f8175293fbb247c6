#include "elbo/optim/clip.h"

#include <torch/nn/utils/clip_grad.h>

#include "support/tensors.h"

using namespace elbo;

namespace clip_test {

TEST(ClipGradients, EqualsTorchsClipGradNorm) {
  for (const double max_norm : {0.5, 7.0, 1e6}) {
    const auto a = wavy({2048}).to(torch::kFloat), b = (3 * wavy({1024}, 1)).to(torch::kFloat);
    auto theirs_a = torch::zeros({2048}).set_requires_grad(true), theirs_b = torch::zeros({1024}).set_requires_grad(true);
    theirs_a.mutable_grad() = a.clone();
    theirs_b.mutable_grad() = b.clone();
    const auto their_norm = torch::nn::utils::clip_grad_norm_(std::vector<Tensor>{theirs_a, theirs_b}, max_norm);

    const std::vector<Tensor> ours = {a.clone(), b.clone()};
    const auto norm = global_norm(ours);
    clip_gradients(ours, norm, max_norm);
    expect_close(norm, torch::tensor(their_norm), 1e-6);
    expect_close(ours[0], theirs_a.grad(), 1e-6, 1e-9);
    expect_close(ours[1], theirs_b.grad(), 1e-6, 1e-9);
  }
}

TEST(ClipGradients, SmallGradientsStayToTheBit) {
  const std::vector<Tensor> gradients = {wavy({1024}).to(torch::kFloat)};
  const auto before = gradients[0].clone();
  clip_gradients(gradients, global_norm(gradients), 1e3);
  EXPECT_TRUE(torch::equal(gradients[0], before));
}

TEST(GlobalNorm, IsTheNormOfAllAndNotFiniteWhereAnElementIsNot) {
  auto gradient = torch::zeros({2048});
  gradient[3] = 3;
  gradient[2000] = -4;
  EXPECT_EQ(global_norm({gradient}).item<float>(), 5);
  EXPECT_EQ(global_norm({gradient, torch::full({1024}, 0.375f)}).item<float>(), 13);
  gradient[1500] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(std::isfinite(global_norm({gradient}).item<float>()));
  gradient[1500] = -std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(global_norm({gradient}).item<float>()));
}

TEST(GlobalNorm, KeepsItsDigitsOverManyElements) {
  const auto gradient = torch::full({1024 * 4096}, 0.1f);  // one long float32 sum loses a part in five hundred
  expect_close(global_norm({gradient}), gradient.to(torch::kDouble).norm(), 1e-5);
}

}  // namespace clip_test
