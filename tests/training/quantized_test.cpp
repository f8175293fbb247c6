#include "elbo/distributions/normal_likelihood.h"
#include "elbo/math/couples_batch.h"
#include "elbo/models/vq_vae.h"
#include "elbo/nn/residual_conv.h"
#include "elbo/objectives/vq.h"
#include "elbo/quantizers/ema.h"
#include "elbo/quantizers/kmeans.h"
#include "elbo/quantizers/lfq.h"
#include "elbo/training/check.h"
#include "training/digits_training.h"

using namespace elbo;

namespace quantized_test {
using namespace elbo::fakes;
using ::testing::HasSubstr;
namespace {

constexpr int64_t kSteps = 6;

/// A VQ-VAE of the digits whose codebook is learnt by moving averages, started by k-means, with revival that happens.
struct Experiment : DigitsTraining<VqVae> {
  explicit Experiment(int64_t accumulate = 1) : DigitsTraining(kSteps, 128, 1e-3) {
    VqVaeConfig config;
    const ResidualConvConfig network{.channels = {8, 8}, .residual_blocks = 0};
    config.encoder.set("residual_conv", network);
    config.decoder.set("residual_conv", network);
    config.quantizer.set("ema",
                         EmaConfig{.codes = 64, .code_size = 4, .decay = 0.5, .revival = 0.5, .init = CodebookInit::kmeans});
    config.likelihood.set("normal", NormalLikelihoodConfig{});
    model = std::make_shared<VqVae>(config, context());
    objective = make_vq_objective({}, *model, {});
    training.accumulate = accumulate;
  }
  Tensor buffer(const std::string& name) const { return model->named_buffers()["quantizer." + name].clone(); }
};

TEST(QuantizedTraining, GoesOnFromTheMiddleToTheBit) {
  const auto shorter = [](int64_t steps) {
    Experiment experiment;
    experiment.training.steps = steps;
    return experiment;
  };
  expect_goes_on_to_the_bit(shorter, 3, kSteps);
}

// Four parts of 32: each code's tokens are the same ones in the same order, so that after one step even the sums are.
TEST(QuantizedTraining, PartsOfABatchTeachTheCodebookWhatTheWholeDoes) {
  Experiment whole(1), parts(4);
  whole.training.steps = parts.training.steps = 1;
  Trainer(whole.parts()).run();
  Trainer(parts.parts()).run();
  expect_equal(parts.buffer("counts"), whole.buffer("counts"));
  expect_close(parts.buffer("sums"), whole.buffer("sums"), 1e-5, 1e-5);
  expect_close(parts.buffer("codes"), whole.buffer("codes"), 1e-5, 1e-5);
}

TEST(QuantizedTraining, RevivalChangesCodesBetweenSteps) {
  Experiment experiment;
  const auto before = experiment.buffer("codes");
  Trainer(experiment.parts()).run();
  EXPECT_GT(experiment.buffer("codes").ne(before).any(1).sum().item<int64_t>(), 32);
  EXPECT_GE(experiment.buffer("counts").min().item<float>(), 0.5f * 0.5f);  // none stays far below half of even use
}

TEST(QuantizedTraining, AveragedWeightsComeWithTheCodebookAsItIs) {
  TemporaryFolder folder;
  RunFolder run(folder.path / "run", config_node(), RunStart::fresh);
  Experiment experiment;
  experiment.training.weight_average = 0.9;
  Trainer trainer(experiment.parts(&run));
  trainer.run();
  const Checkpoint checkpoint(folder.path / "run" / "checkpoints" / "last");
  Experiment evaluated;
  checkpoint.load_model(*evaluated.model);
  expect_equal(evaluated.buffer("codes"), experiment.buffer("codes"));
  const auto averaged = evaluated.model->named_parameters()["head.weight"];
  EXPECT_FALSE(averaged.equal(experiment.model->named_parameters()["head.weight"])) << "parameters are averaged";
}

TEST(QuantizedTraining, AStatisticOfTheBatchRefusesParts) {
  Experiment experiment;
  VqVaeConfig config;
  config.encoder.set("residual_conv", ResidualConvConfig{.channels = {4}, .residual_blocks = 0});
  config.decoder.set("residual_conv", ResidualConvConfig{.channels = {4}, .residual_blocks = 0});
  config.quantizer.set("lfq", LfqConfig{});
  config.likelihood.set("normal", NormalLikelihoodConfig{});
  Stream init(3, "init", at::kCPU);
  VqVae model(config, ModelContext{.spec = experiment.dataset->spec(), .init = init});
  const auto objective = make_vq_objective({}, model, {});
  EXPECT_THAT(batch_coupling(model, *objective), HasSubstr("of model.quantizer"));
  TrainingConfig training;
  training.accumulate = 2;
  EXPECT_THAT(message_of<ConfigError>([&] {
                check_training(training, {model, *objective, 8, "objective 'vq'"});
              }),
              HasSubstr("couples the examples of a batch"));
}

}  // namespace
}  // namespace quantized_test
