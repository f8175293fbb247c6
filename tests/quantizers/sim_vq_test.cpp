#include "elbo/quantizers/sim_vq.h"

#include <cmath>

#include "elbo/math/precision.h"
#include "elbo/quantizers/vq.h"
#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::sim_vq_test {

std::shared_ptr<Quantizer> sim_vq(SimVqConfig config = {}) {
  QuantizerSteps steps;
  config.codes = 9;
  config.code_size = 4;
  return make_sim_vq(config, steps.context());
}
Tensor tokens(int64_t B = 6) { return wavy({B, 4}, 0.4).to(torch::kFloat); }
Tensor vectors_of(Quantizer& quantizer) { return quantizer.named_buffers()["vectors"]; }

TEST(SimVq, OneTokenMovesEveryCodeByTheProductOfTheirVectors) {
  const auto quantizer = sim_vq({.bias = false});
  const double rate = 0.01;
  const auto before = quantizer->codebook().detach().clone();
  const auto quantized = QuantizerSteps().forward(*quantizer, tokens(1));
  const auto i = quantized.indices.item<int64_t>();
  term_of(quantized, "codebook").value.sum().backward();
  auto weight = quantizer->parameters()[0];
  weight.data().sub_(rate * weight.grad());
  const auto moved = quantizer->codebook().detach() - before;
  const auto C = vectors_of(*quantizer).to(torch::kDouble);
  const auto delta = 2 * (before[i] - tokens(1)[0]).to(torch::kDouble);
  const auto expected = -rate * torch::mv(C, C[i]).unsqueeze(1) * delta.unsqueeze(0);
  expect_close(moved, expected, 1e-4, 1e-6);
  EXPECT_GT(moved.norm(2, 1).min().item<double>(), 1e-5);  // unused codes move too
}

TEST(SimVq, OnlyTheMapIsLearntUnlessToldOtherwise) {
  std::vector<std::string> names;
  for (const auto& entry : sim_vq()->named_parameters()) names.push_back(entry.key());
  EXPECT_EQ(names, (std::vector<std::string>{"projection.weight", "projection.bias"}));
  const auto all = sim_vq({.train_vectors = true});
  EXPECT_EQ(all->parameters().size(), 3u);
  EXPECT_TRUE(all->named_parameters().contains("vectors"));
}

TEST(SimVq, WithTheIdentityItIsVq) {
  const auto quantizer = sim_vq();
  set(*quantizer, "projection.weight", torch::eye(4));
  set(*quantizer, "projection.bias", torch::zeros({4}));
  QuantizerSteps steps;
  const auto vq = make_vq({.codes = 9, .code_size = 4}, steps.context());
  set(*vq, "codes", vectors_of(*quantizer));
  const auto z = tokens(200) * 0.5;
  expect_equal(quantizer->encode(z), vq->encode(z));
  EXPECT_GT(std::get<0>(torch::_unique(vq->encode(z))).numel(), 2);
}

TEST(SimVq, CodesAreDecodedThroughTheMap) {
  const auto quantizer = sim_vq();
  const auto quantized = QuantizerSteps().evaluate(*quantizer, tokens());
  expect_equal(quantizer->decode(quantized.indices), quantized.value);
  expect_equal(quantizer->encode(quantized.value), quantized.indices);
  EXPECT_FALSE(quantizer->codebook().allclose(vectors_of(*quantizer)));
}

TEST(SimVq, VectorsHaveVarianceOneOverTheirSize) {
  QuantizerSteps steps;
  const auto quantizer = make_sim_vq({.codes = 2000, .code_size = 16}, steps.context());
  EXPECT_NEAR(vectors_of(*quantizer).square().sum(1).mean().item<double>(), 1, 0.03);
}

TEST(SimVq, TheCommitmentTermDoesNotMoveTheMapNorTheCodebookTermTokens) {
  const auto quantizer = sim_vq();
  const auto z = tokens().set_requires_grad(true);
  const auto quantized = QuantizerSteps().forward(*quantizer, z);
  for (const auto& parameter : quantizer->parameters()) {
    EXPECT_FALSE(gradient_of(term_of(quantized, "commitment").value, parameter).defined());
    EXPECT_FALSE(gradient_of(quantized.value, parameter).defined());
    EXPECT_TRUE(gradient_of(term_of(quantized, "codebook").value, parameter).defined());
  }
  EXPECT_FALSE(gradient_of(term_of(quantized, "codebook").value, z).defined());
}

TEST(SimVq, CodesAreInFullPrecisionUnderAutocast) {
  const auto quantizer = sim_vq();
  const auto plain = quantizer->codebook().detach().clone();
  const Bfloat16Scope scope(at::kCPU);
  expect_equal(quantizer->codebook().detach(), plain);
}

}  // namespace elbo::sim_vq_test
