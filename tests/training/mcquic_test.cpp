#include "elbo/models/mcquic.h"

#include "elbo/distributions/normal_likelihood.h"
#include "elbo/objectives/vq.h"
#include "elbo/quantizers/mcquic.h"
#include "elbo/training/evaluation_mode.h"
#include "training/digits_training.h"

using namespace elbo;

namespace mcquic_training_test {
using namespace elbo::fakes;
namespace {

/// Two levels of the digits, 4 x 4 and 2 x 2.
struct Cascade : DigitsTraining<Mcquic> {
  explicit Cascade(int64_t steps, double cosine_weight = 0) : DigitsTraining(steps, 64, 3e-3) {
    McquicConfig config{.channels = 8, .halvings = 0, .levels = {}};
    for (const int64_t codes : {16, 8}) {
      config.levels.emplace_back().quantizer.set(
          "mcquic", McquicQuantizerConfig{.codes = codes, .code_size = 8, .reassign_every = 2, .cosine_weight = cosine_weight});
    }
    config.likelihood.set("normal", NormalLikelihoodConfig{.scale = 0.3});
    model = std::make_shared<Mcquic>(config, context());
    objective = make_vq_objective({}, *model, {});
  }
};

TEST(McquicTraining, GoesOnFromTheMiddleToTheBit) {
  expect_goes_on_to_the_bit([](int64_t steps) { return Cascade(steps); }, 3, 5);
}

TEST(McquicTraining, PartsOfABatchCountTheCosinesOnce) {
  const auto gradients = [](int64_t accumulate, double cosine_weight) {
    Cascade cascade(1, cosine_weight);
    cascade.training.accumulate = accumulate;
    Trainer trainer(cascade.parts());
    trainer.step();
    return trainer.buffers().gradients().clone();
  };
  const auto whole = gradients(1, 100);
  EXPECT_GT((whole - gradients(1, 0)).abs().max().item<double>(), 0.1);
  expect_close(gradients(4, 100), whole, 1e-4, 1e-3);
}

TEST(SlowMcquicTraining, WithoutTheDeeperCodesTheErrorIsLarger) {
  Cascade cascade(400);
  Trainer trainer(cascade.parts());
  for (int64_t i = 0; i < 400; ++i) trainer.step();
  const EvaluationMode mode({cascade.model.get(), cascade.objective.get()});
  Stream stream(1, "data", at::kCPU);
  const auto batch = cascade.dataset->gather(Split::test, torch::arange(128), stream);
  const auto codes = cascade.model->codes(batch);
  std::vector<Tensor> values;
  for (size_t i = 0; i < codes.size(); ++i) values.push_back(cascade.model->quantizers()[i]->decode(codes[i]));
  const auto error = [&] {
    return (cascade.model->decode(values, batch)[0].likelihood->mean() - batch.at("x")).square().mean().item<double>();
  };
  const double both = error();
  values[0].zero_();
  const double finest = error();
  values[1].zero_();
  const double none = error();
  EXPECT_GT(finest, 1.05 * both);
  EXPECT_GT(none, 1.5 * both);
  EXPECT_LT(both, 0.6 * (batch.at("x") - batch.at("x").mean(0)).square().mean().item<double>());
}

}  // namespace
}  // namespace mcquic_training_test
