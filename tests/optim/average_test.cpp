#include "elbo/optim/average.h"

#include "support/tensors.h"

using namespace elbo;

namespace average_test {
namespace {

struct Averaging {
  Tensor parameter = torch::full({3}, 1.f).set_requires_grad(true);
  FlatBuffers buffers{{{"main", {{"p", parameter}}}}};
  WeightAverage average{buffers, 0.75};
  Tensor value() const { return buffers.slice(average.values(), buffers.slots()[0]); }
};

}  // namespace

TEST(WeightAverage, IsTheExponentialMovingAverageFromTheInitialWeightsOn) {
  Averaging s;
  double expected = 1;
  for (const double next : {5.0, -3.0, 2.0}) {
    s.buffers.parameters().fill_(next);
    s.average.update(torch::zeros({}));
    expected = 0.75 * expected + 0.25 * next;
    expect_close(s.value(), torch::full({3}, expected), 1e-6);
  }
}

TEST(WeightAverage, FoundInfLeavesItAsItIs) {
  Averaging s;
  s.buffers.parameters().fill_(0.1);
  s.average.update(torch::zeros({}));
  const auto before = s.average.values().clone();
  s.buffers.parameters().fill_(0.7);
  s.average.update(torch::ones({}));
  EXPECT_TRUE(torch::equal(s.average.values(), before));
}

TEST(AveragedWeights, ParametersHoldTheAveragesThenTheirOwnBitsAgain) {
  Averaging s;
  s.buffers.parameters().fill_(5);
  s.average.update(torch::zeros({}));
  s.parameter.mutable_grad().fill_(7);
  {
    AveragedWeights averaged(s.buffers, s.average);
    EXPECT_TRUE(torch::equal(s.parameter.detach(), torch::full({3}, 2.f)));
    EXPECT_TRUE(torch::equal(averaged.raw(), torch::full_like(averaged.raw(), 5)));
  }
  EXPECT_TRUE(torch::equal(s.parameter.detach(), torch::full({3}, 5.f)));
  EXPECT_TRUE(torch::equal(s.value(), torch::full({3}, 2.f)));
  EXPECT_EQ(s.parameter.grad().sum().item<float>(), 21);
}

}  // namespace average_test
