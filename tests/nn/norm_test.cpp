#include "elbo/nn/norm.h"

#include "nn/networks.h"

namespace elbo::norm_test {
namespace {

using network_test::after_step;
using network_test::fill;
using network_test::message_of;

std::shared_ptr<NormLayer> norm(Norm kind, int64_t channels = 4, int64_t groups = 2) {
  const auto made = make_norm({.norm = kind, .channels = channels, .groups = groups});
  fill(*made);
  return made;
}

TEST(Norm, NoneIsTheIdentityWithoutParameters) {
  const auto x = wavy({2, 4, 3, 3});
  expect_equal(norm(Norm::none)->forward(x), x);
  EXPECT_TRUE(norm(Norm::none)->parameters().empty());
}

TEST(Norm, GroupAndLayerNormaliseEachExample) {
  const auto x = wavy({3, 4, 2, 5}, 0.5) * 3 + 1;
  const auto by_hand = [&](int64_t groups) {
    const auto grouped = x.view({3, groups, -1});
    const auto mean = grouped.mean(-1, true), var = grouped.var(-1, /*unbiased=*/false, true);
    const auto normal = ((grouped - mean) / (var + 1e-5).sqrt()).view({3, 4, 2, 5});
    const auto scale = 0.4 * wavy({4, 1, 1}, 0), shift = 0.4 * wavy({4, 1, 1}, 1);
    return normal * scale + shift;
  };
  expect_close(norm(Norm::group)->forward(x), by_hand(2), 1e-10, 1e-12);
  expect_close(norm(Norm::layer)->forward(x), by_hand(1), 1e-10, 1e-12);
  expect_close(norm(Norm::group)->forward(x.narrow(0, 1, 1)), by_hand(2).narrow(0, 1, 1), 1e-10, 1e-12);
  const auto features = wavy({3, 4}, 0.5);
  const auto expected = (features - features.mean(1, true)) / (features.var(1, false, true) + 1e-5).sqrt();
  expect_close(norm(Norm::layer)->forward(features), expected * 0.4 * wavy({4}, 0) + 0.4 * wavy({4}, 1), 1e-10, 1e-12);
}

TEST(Norm, RefusesGroupsThatDoNotDivideTheChannels) {
  EXPECT_EQ(
      message_of([] { norm(Norm::group, 6, 4); }),
      "group normalisation: 6 channels don't make 4 equal groups; choose norm_groups that divides every number of channels");
}

TEST(BatchNorm, ComputesWhatPyTorchComputesInTrainingAndEvaluation) {
  for (const bool image : {true, false}) {
    const auto made = norm(Norm::batch, 3);
    const auto shape = image ? Shape{2, 3, 2, 2} : Shape{4, 3};
    expect_close(made->forward(wavy(shape, 0.5)),
                 values(image ? golden::kBatchNorm2dTraining : golden::kBatchNorm1dTraining, shape), 1e-10);
    after_step(*made);
    made->forward(wavy(shape, 1.5));
    after_step(*made);
    made->eval();
    expect_close(made->forward(wavy(shape, 2.5)),
                 values(image ? golden::kBatchNorm2dEvaluation : golden::kBatchNorm1dEvaluation, shape), 1e-10);
    EXPECT_EQ(made->named_buffers()["num_batches_tracked"].item<int64_t>(), 2);
  }
}

TEST(BatchNorm, MovesItsStatisticsOnceAStepAndNowhereElse) {
  const auto made = norm(Norm::batch, 3);
  const auto mean = made->named_buffers()["running_mean"], var = made->named_buffers()["running_var"];
  const auto x = wavy({5, 3}, 0.5) + 2;
  made->forward(wavy({5, 3}, 9));
  made->forward(x);  // of two batches in a step the last counts
  expect_equal(mean, torch::zeros({3}, torch::kDouble));
  expect_equal(var, torch::ones({3}, torch::kDouble));
  after_step(*made);
  expect_close(mean, 0.1 * x.mean(0), 1e-12);
  expect_close(var, 0.9 + 0.1 * x.var(0), 1e-12);
  const auto before = mean.clone();
  after_step(*made);  // a step without a training batch
  made->eval();
  made->forward(x);
  after_step(*made);
  expect_equal(mean, before);
}

TEST(BatchNorm, CouplesTheBatchAndRefusesOneValue) {
  const auto made = norm(Norm::batch, 3);
  const auto* couples = dynamic_cast<const CouplesBatch*>(made.get());
  ASSERT_NE(couples, nullptr);
  EXPECT_EQ(couples->couples_batch_by(), "batch normalisation");
  EXPECT_EQ(dynamic_cast<const CouplesBatch*>(norm(Norm::group).get()), nullptr);
  EXPECT_EQ(message_of([&] {
              made->forward(torch::zeros({1, 3}, torch::kDouble));
            }),
            "batch normalisation: got [1, 3], one value a channel has no variance; train on more than one example a batch");
  made->eval();
  expect_finite(made->forward(torch::zeros({1, 3}, torch::kDouble)));
}

}  // namespace
}  // namespace elbo::norm_test
