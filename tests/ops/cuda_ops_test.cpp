// The plugin's kernels on a real GPU, against the CPU's; cuda_kernels_test.cpp checks their arithmetic without one.
#include <gtest/gtest.h>

#include "elbo/ops/code_sums.h"
#include "elbo/ops/cuda.h"
#include "elbo/ops/nearest_code.h"
#include "elbo/ops/normal.h"
#include "elbo/ops/op.h"
#include "support/gradients.h"

using namespace elbo;

namespace cuda_ops {
namespace {

class CudaOps : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!load_cuda()) GTEST_SKIP() << "no CUDA device: " << cuda_status().reason;
    if (!cuda_status().plugin_loaded) GTEST_SKIP() << cuda_status().plugin_reason;
  }
};

using Op = std::function<Tensor(const std::vector<Tensor>&)>;

std::vector<Tensor> value_and_gradients(const Op& op, const std::vector<Tensor>& inputs, at::Device device, at::ScalarType type) {
  std::vector<Tensor> moved;
  for (const auto& input : inputs) moved.push_back(input.detach().to(device, type).requires_grad_());
  const auto value = op(moved);
  auto results = torch::autograd::grad({(value * (wavy(value.sizes(), 4) + 1.5).to(value.options())).sum()}, moved, {},
                                       std::nullopt, false, /*allow_unused=*/true);
  results.insert(results.begin(), value.detach());
  return results;
}

/// Value and gradients as on the CPU in float64, and the same bits twice.
void expect_agreement(const Op& op, const std::vector<Tensor>& inputs) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const double rtol = type == at::kFloat ? 1e-5 : 1e-11;
    const auto here = value_and_gradients(op, inputs, at::kCPU, at::kDouble);
    const auto there = value_and_gradients(op, inputs, at::kCUDA, type), again = value_and_gradients(op, inputs, at::kCUDA, type);
    for (size_t i = 0; i < here.size(); ++i) {
      SCOPED_TRACE(i);
      ASSERT_EQ(here[i].defined(), there[i].defined());
      if (!here[i].defined()) continue;
      EXPECT_TRUE(there[i].is_cuda());
      expect_close(there[i], here[i], rtol, rtol * here[i].abs().max().item<double>());
      expect_equal(there[i].cpu(), again[i].cpu());
    }
  }
}

const std::vector<Shape> kShapes = {{1, 1, 1}, {1, 128, 20}, {50, 20, 50}, {3, 5, 33}, {5000, 2, 40}, {2, 64, 3 * 64 * 64}};

TEST_F(CudaOps, BernoulliAgreesWithTheCpu) {
  for (const auto& shape : kShapes) {
    SCOPED_TRACE(shape_text(shape));
    const auto target = (wavy(shape, 1) > 0).to(at::kDouble)[0];
    expect_agreement([&](const auto& in) { return bernoulli_log_prob(in[0], target.to(in[0].options()), 1); }, {wavy(shape) * 8});
  }
}

TEST_F(CudaOps, NormalAgreesWithTheCpu) {
  for (const auto& shape : kShapes) {
    SCOPED_TRACE(shape_text(shape));
    const Shape parameters = {shape[1], shape[2]};
    const std::vector<Tensor> inputs = {wavy(shape), wavy(parameters, 1), wavy(parameters, 2)};
    expect_agreement([](const auto& in) { return normal_log_prob(in[0], in[1], in[2], 1); }, inputs);
    expect_agreement([](const auto& in) { return normal_rsample(in[1], in[2], in[0].detach()); }, inputs);
    expect_agreement([](const auto& in) { return normal_kl_to_standard(in[0], in[1], 1); }, {inputs[1], inputs[2]});
    expect_agreement([](const auto& in) { return soft_clip(in[0], -7, 5); }, {inputs[0] * 40});
  }
}

TEST_F(CudaOps, NearestCodeIsAsNearAsTheCpus) {
  for (const auto& [rows, count, size] :
       std::vector<std::array<int64_t, 3>>{{1, 1, 1}, {300, 7, 5}, {4096, 512, 64}, {1000, 9000, 63}}) {
    SCOPED_TRACE(shape_text({rows, count, size}));
    const auto z = wavy({rows, size}, 0.3).to(at::kFloat), codes = wavy({count, size}, 2).to(at::kFloat);
    const auto here = nearest_code(z, codes), there = nearest_code(z.cuda(), codes.cuda());
    expect_close(there.distance, here.distance, 1e-4, 1e-5);
    EXPECT_GT(there.index.cpu().eq(here.index).to(at::kDouble).mean().item<double>(), 0.999);
    EXPECT_EQ(there.not_finite.item<int64_t>(), 0);
    expect_equal(nearest_code(z.cuda(), codes.cuda()).index.cpu(), there.index.cpu());
  }
}

TEST_F(CudaOps, NearestCodeKnowsTiesAndNotANumber) {
  const auto codes = wavy({150, 6}, 2).to(at::kFloat).repeat({2, 1}).cuda();
  auto z = codes.narrow(0, 140, 20).clone();
  z[3][2] = std::numeric_limits<float>::quiet_NaN();
  auto expected = torch::arange(140, 160).remainder(150);
  expected[3] = 0;
  const auto found = nearest_code(z, codes);
  expect_equal(found.index.cpu(), expected);
  EXPECT_EQ(found.not_finite.item<int64_t>(), 1);
}

TEST_F(CudaOps, CodeSumsAreTheCpus) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const auto z = wavy({5000, 70}).to(type);
    const auto index = (torch::arange(5000) * 7919).remainder(300).remainder(113);
    const auto mask = wavy({5000}, 1) > -0.5;
    const auto here = code_sums(z, index, 120, mask), there = code_sums(z.cuda(), index.cuda(), 120, mask.cuda());
    expect_equal(there.count.cpu(), here.count);
    expect_close(there.sum, here.sum, type == at::kFloat ? 1e-6 : 1e-12, 1e-6);
  }
}

}  // namespace
}  // namespace cuda_ops
