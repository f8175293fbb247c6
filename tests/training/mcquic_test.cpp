#include "elbo/models/mcquic.h"

#include "elbo/data/digits.h"
#include "elbo/distributions/normal_likelihood.h"
#include "elbo/objectives/vq.h"
#include "elbo/quantizers/mcquic.h"
#include "elbo/training/evaluation_mode.h"
#include "training/fakes.h"

using namespace elbo;

namespace mcquic_training_test {
using namespace elbo::fakes;
namespace {

/// Two levels of the digits, 4 x 4 and 2 x 2.
struct Cascade {
  explicit Cascade(int64_t steps) {
    dataset = datasets().make("digits", DataContext{.seed = 3});
    dataset->load(at::kCPU);
    McquicConfig config{.channels = 8, .halvings = 0, .levels = {}};
    for (const int64_t codes : {16, 8}) {
      config.levels.emplace_back().quantizer.set("mcquic",
                                                 McquicQuantizerConfig{.codes = codes, .code_size = 8, .reassign_every = 2});
    }
    config.likelihood.set("normal", NormalLikelihoodConfig{.scale = 0.3});
    Stream init(3, "init", at::kCPU);
    model = std::make_shared<Mcquic>(config, ModelContext{.spec = dataset->spec(), .init = init});
    objective = make_vq_objective({}, *model, {});
    training.steps = steps;
    training.log_every_steps = 1;
    training.checkpoint = {.every_epochs = 1, .every_steps = 1, .keep = 100};
  }
  TrainingParts parts(RunFolder* run = nullptr) {
    AdamConfig adam;
    adam.learning_rate = scheduled_number(3e-3);
    optimizer.set("adam", adam);
    return {.model = model,
            .objective = objective,
            .loader = std::make_shared<Loader>(dataset, 64, 3, ShortBatch::drop),
            .optimizer = optimizer,
            .config = training,
            .seed = 3,
            .run = run};
  }

  std::shared_ptr<Dataset> dataset;
  std::shared_ptr<Mcquic> model;
  std::shared_ptr<Objective> objective;
  OptimizerChoice optimizer{optimizers, "adam"};
  TrainingConfig training = {};
};

TEST(McquicTraining, GoesOnFromTheMiddleToTheBit) {
  constexpr int64_t kSteps = 5;
  TemporaryFolder whole, cut;
  {
    RunFolder run(whole.path / "run", config_node(), RunStart::fresh);
    Trainer(Cascade(kSteps).parts(&run)).run();
  }
  {
    RunFolder run(cut.path / "run", config_node(), RunStart::fresh);
    Trainer(Cascade(3).parts(&run)).run();
  }
  {
    RunFolder run(cut.path / "run", config_node(), RunStart::resume);
    Cascade again(kSteps);
    Trainer trainer(again.parts(&run));
    trainer.resume();
    trainer.run();
  }
  const auto last = fs::path("run") / "checkpoints" / ("step-" + std::to_string(kSteps));
  for (const char* file : {"model.safetensors", "training.safetensors"}) {
    EXPECT_FALSE(contents(whole.path / last / file).empty());
    EXPECT_TRUE(contents(whole.path / last / file) == contents(cut.path / last / file)) << file << " differs";
  }
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
