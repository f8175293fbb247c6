#include <ATen/Context.h>
#include <ATen/record_function.h>
#include <gtest/gtest.h>

#include <mutex>
#include <set>

#include "conformance/accelerator.h"
#include "conformance/components.h"
#include "data/files.h"
#include "elbo/config/override.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/math/precision.h"
#include "elbo/math/structural_similarity.h"
#include "elbo/training/trainer.h"
#include "support/tensors.h"

namespace elbo::conformance {
namespace {

/// Deterministic algorithms are a setting of the process.
struct RepeatableAgain {
  ~RepeatableAgain() {
    at::globalContext().setDeterministicAlgorithms(false, false);
    at::globalContext().setDeterministicCuDNN(false);
  }
};

/// A small experiment on the built-in digits; later lines win over earlier ones.
ExperimentConfig small_experiment(const std::vector<std::string>& overrides) {
  const auto yaml =
      "name: small\nseed: 3\ndata: {type: digits, binarize: dynamic, batch_size: 64}\n"
      "model: {type: vae, latent_size: 4, encoder: {type: mlp, hidden: [16]}, decoder: {type: mlp, hidden: [16]}}\n"
      "objective: {type: elbo}\noptimizer: {type: adam}\n"
      "training: {steps: 6, deterministic: true, log_every_steps: 3, clip_norm: 5, weight_average: 0.9}\n"
      "evaluation: {metrics: [elbo], samples: 4, limit: 200}\n";
  auto root = parse_yaml(yaml, "small");
  apply_overrides(root, overrides);
  return read_config<ExperimentConfig>(root);
}

const std::string kVqVae =
    "model={type: vq_vae, encoder: {type: residual_conv, channels: [8, 8], residual_blocks: 0}, "
    "decoder: {type: residual_conv, channels: [8, 8], residual_blocks: 0}";

struct Training {
  Training(const ExperimentConfig& config, at::Device device)
      : experiment(build_experiment(config, {.device = device}, DataUse::load)),
        trainer({.model = experiment.model,
                 .objective = experiment.objective,
                 .loader = std::make_shared<Loader>(experiment.dataset, 64, experiment.seed(), ShortBatch::drop),
                 .optimizer = config.optimizer,
                 .config = config.training,
                 .device = device,
                 .seed = experiment.seed()}) {}
  Tensor parameters() const { return trainer.buffers().parameters(); }

  Experiment experiment;
  Trainer trainer;
};

/// Trains on both devices. The device of host memory draws the CPU's numbers, so the weights agree; CUDA draws its own, so there
/// they are finite, the same twice, and elsewhere than they began. `share` of the weights must agree.
void expect_same_training(const std::vector<std::string>& overrides, double share = 0.9999) {
  const RepeatableAgain after;
  const auto config = small_experiment(overrides);
  Training there(config, accelerator());
  const auto start = there.parameters().clone();
  EXPECT_EQ(start.device(), accelerator());
  constexpr int kSteps = 4;
  for (int i = 0; i < kSteps; ++i) there.trainer.step();
  there.trainer.check_finite();
  EXPECT_FALSE(there.parameters().equal(start));
  Training other(config, accelerator_is_real() ? accelerator() : at::kCPU);
  for (int i = 0; i < kSteps; ++i) other.trainer.step();
  if (accelerator_is_real()) {
    expect_finite(there.parameters());
    expect_equal(there.parameters(), other.parameters());
  } else {
    const auto far = there.parameters().cpu(), near = other.parameters();
    const auto close = (far - near).abs() <= 1e-3 * near.abs() + 1e-4;  // Adam's first steps amplify rounding
    EXPECT_GE(close.to(at::kDouble).mean().item<double>(), share);
  }
}

void expect_no_waiting(std::vector<std::string> overrides) {
  if (accelerator_is_real()) GTEST_SKIP() << "waiting is counted by the device of host memory alone";
  const RepeatableAgain after;
  overrides.push_back("training.log_every_steps=1000");
  Training there(small_experiment(overrides), accelerator());
  there.trainer.step();
  take_reads();
  for (int i = 0; i < 3; ++i) there.trainer.step();
  EXPECT_EQ(take_reads(), std::vector<std::string>());
}

/// A finished run for second stages, made when first asked for.
std::string base_run() {
  static const data_test::Folder folder;
  static const auto run =
      train(small_experiment({kVqVae + "}", "objective.type=vq", "training.steps=1", "evaluation.metrics=[bound]"}), {},
            {.run = folder.path() / "base"});
  return run.string();
}

/// The settings of the first of some models that this objective trains.
std::vector<std::string> with_a_model(const std::string& objective) {
  if (objective == "nll") {
    return {"base={run: " + base_run() + "}", "objective.type=nll", "evaluation.metrics=[bound]",
            "model={type: code_prior, prior: {type: transformer, width: 8, layers: 1, heads: 2}, condition: label}"};
  }
  const std::string multimodal = "model={type: multimodal_vae, modalities: {x: {}, label: {likelihood: {type: categorical}}}, ";
  const std::map<std::string, std::string> options = {{"block_uncertainty", ", similarity: 0"},
                                                      {"dual_branch", ", path: x"},
                                                      {"vqgan", ", critic: {channels: 4, layers: 1}, critic_start: 1"}};
  const auto found = options.find(objective);
  const std::string chosen = "objective={type: " + objective + (found == options.end() ? "" : found->second) + "}";
  for (const auto& model : std::vector<std::string>{
           "model.latent_size=4", kVqVae + "}", multimodal + "private_size: 2, aggregation: {type: poe}}",
           multimodal + "private_size: 2, aggregation: {type: moe}}", multimodal + "aggregation: {type: joint}}",
           multimodal + "aggregation: {type: poe, prior_expert: none}}"}) {
    try {
      build_experiment(small_experiment({model, chosen}), {}, DataUse::load);
      return {model, chosen};
    } catch (const Error&) {
    }
  }
  throw UsageError("objective " + objective + " trains none of the models tried: teach with_a_model one");
}

class EveryObjectiveTrains : public ::testing::TestWithParam<Component> {};
TEST_P(EveryObjectiveTrains, OnTheAcceleratorAsOnTheCpu) {
  // A prior's attention has gradients that are rounding alone, of which Adam makes whole steps.
  expect_same_training(with_a_model(GetParam().name), GetParam().name == "nll" ? 0.99 : 0.9999);
}
TEST_P(EveryObjectiveTrains, WithoutWaitingForTheDeviceWithinAStep) { expect_no_waiting(with_a_model(GetParam().name)); }
INSTANTIATE_TEST_SUITE_P(Catalogs, EveryObjectiveTrains, ::testing::ValuesIn(components({"objective"})), test_name);

std::vector<std::string> with_quantizer(const std::string& name) {
  return {kVqVae + ", quantizer: {type: " + name + "}}", "objective.type=vq"};
}
class EveryQuantizerTrains : public ::testing::TestWithParam<Component> {};
TEST_P(EveryQuantizerTrains, OnTheAcceleratorAsOnTheCpu) {
  // Rounding decides which of two equally near codes or tokens is taken, and optvq weighs all tokens against all codes.
  const double share = GetParam().name == "optvq" ? 0.95 : 0.99;
  expect_same_training(with_quantizer(GetParam().name), share);
}
TEST_P(EveryQuantizerTrains, WithoutWaitingForTheDeviceWithinAStep) {
  // How many rows of a group are left out, and which codes stay, only the device knows.
  const bool counts = GetParam().name == "multi_group";
  expect_no_waiting(with_quantizer(GetParam().name + (counts ? ", masking: [], anchor: random" : "")));
}
INSTANTIATE_TEST_SUITE_P(Catalogs, EveryQuantizerTrains, ::testing::ValuesIn(components({"quantizer"})), test_name);

/// While it lives: the products and convolutions, of any thread, that CUDA might have rounded to TF32.
class RoundedProducts {
 public:
  RoundedProducts() : handle_(at::addGlobalCallback(at::RecordFunctionCallback(note).scopes({at::RecordScope::FUNCTION}))) {
    take();
  }
  ~RoundedProducts() { at::removeCallback(handle_); }
  RoundedProducts(const RoundedProducts&) = delete;
  RoundedProducts& operator=(const RoundedProducts&) = delete;
  std::set<std::string> take() {
    const std::lock_guard lock(books());
    return std::exchange(names(), {});
  }

 private:
  static std::mutex& books() {
    static std::mutex mutex;
    return mutex;
  }
  static std::set<std::string>& names() {
    static std::set<std::string> all;
    return all;
  }
  static std::unique_ptr<at::ObserverContext> note(const at::RecordFunction& called) {
    static const std::set<std::string> products = {"aten::mm",   "aten::addmm", "aten::bmm",         "aten::baddbmm",
                                                   "aten::mv",   "aten::addmv", "aten::convolution", "aten::convolution_backward",
                                                   "aten::cdist"};
    const auto& context = at::globalContext();
    if (!products.contains(called.name()) || !(context.allowTF32CuBLAS() || context.allowTF32CuDNN())) return nullptr;
    const std::lock_guard lock(books());
    names().insert(called.name());
    return nullptr;
  }
  at::CallbackHandle handle_;
};

TEST_P(EveryQuantizerTrains, InTf32WithProductsOfItsOwnInFloat32) {
  const Tf32Scope allowed(accelerator(), Tf32Scope::Rounding::allowed);
  Stream init(1, "init", at::kCPU), noise(5, "noise", accelerator());
  Streams streams(5, accelerator());
  Collective alone;
  const auto made = build(quantizers(), GetParam().name, QuantizerContext{.init = init, .device = accelerator()});
  made->to(accelerator());
  for (auto& number : made->scheduled()) number.refill({.step = 0, .steps_per_epoch = 10, .total_steps = 10});
  const auto z = wavy({5, 7, made->code_space().input_size}).to(at::kFloat).to(accelerator());
  Step step{.index = 0,
            .index_tensor = torch::zeros({}, torch::dtype(at::kLong).device(accelerator())),
            .training = true,
            .noise = noise,
            .streams = streams,
            .collective = alone};
  RoundedProducts rounded;
  torch::mm(z[0], z[1].t());
  EXPECT_TRUE(rounded.take().contains("aten::mm")) << "nothing is seen here";
  made->forward(z, step);
  made->decode(made->encode(z));
  const torch::NoGradGuard no_grad;
  made->after_step(step);
  EXPECT_EQ(rounded.take(), std::set<std::string>());
}

TEST(AcceleratorTraining, Tf32RoundsSimilaritiesNeitherForwardNorBackward) {
  const Tf32Scope allowed(accelerator(), Tf32Scope::Rounding::allowed);
  const auto x = wavy({2, 1, 24, 23}).to(at::kFloat).to(accelerator()), y = (0.9 * x).requires_grad_();
  RoundedProducts rounded;
  (structural_similarity(x, y) + multiscale_similarity(x, y, 2)).sum().backward();
  EXPECT_EQ(rounded.take(), std::set<std::string>());
  EXPECT_GT(y.grad().abs().max().item<float>(), 0);
}

/// Parameters and buffers whose name has `part` in it, on the host.
std::map<std::string, Tensor> state_of(const torch::nn::Module& module, const std::string& part) {
  std::map<std::string, Tensor> state;
  for (const auto& all : {module.named_parameters(), module.named_buffers()}) {
    for (const auto& item : all) {
      if (item.key().find(part) != std::string::npos) state[item.key()] = item.value().detach().cpu().clone();
    }
  }
  return state;
}

// A decoder that is no number gives such a loss; the tokens of the step are sound, and codes would move by them.
TEST_P(EveryQuantizerTrains, NothingByAStepThatIsSkipped) {
  const RepeatableAgain after;
  const std::map<std::string, std::string> moving = {{"mcquic", ", reassign_every: 1, codes: 512"}};
  const auto found = moving.find(GetParam().name);
  auto overrides = with_quantizer(GetParam().name + (found == moving.end() ? "" : found->second));
  overrides.push_back("training.non_finite=skip");
  Training there(small_experiment(overrides), accelerator());
  there.trainer.step();
  const auto before = state_of(*there.experiment.model, "quantizer");
  for (auto& item : there.experiment.model->named_parameters()) {
    if (item.key().find("decoder") != std::string::npos) item.value().data().fill_(std::nan(""));
  }
  there.trainer.step();
  for (const auto& [name, value] : state_of(*there.experiment.model, "quantizer")) {
    EXPECT_TRUE(value.equal(before.at(name))) << name;
  }
}

class EveryOptimizerTrains : public ::testing::TestWithParam<Component> {};
TEST_P(EveryOptimizerTrains, OnTheAcceleratorAsOnTheCpu) { expect_same_training({"optimizer.type=" + GetParam().name}); }
TEST_P(EveryOptimizerTrains, WithStepsThatMayBeSkipped) {
  expect_same_training({"optimizer.type=" + GetParam().name, "training.non_finite=skip"});
}
INSTANTIATE_TEST_SUITE_P(Catalogs, EveryOptimizerTrains, ::testing::ValuesIn(components({"optimizer"})), test_name);

TEST(AcceleratorTraining, InPartsOfABatchWithSchedules) {
  expect_same_training({"training.accumulate=4", "objective.type=beta_vae",
                        "objective.beta={type: linear, from: 0, to: 1, steps: 3}",
                        "optimizer.learning_rate={type: cosine, from: 1e-3, to: 1e-4, warmup_steps: 2}"});
}

TEST(AcceleratorTraining, MirroredAndEnlargedMapsAreRepeatableToo) {
  expect_same_training(
      {"model={type: vae, latent_size: 4, encoder: {type: residual_attention, channels: [3], blocks: 1, kernel: 3}, "
       "decoder: {type: residual_attention, channels: [3], kernel: 3}}"});
}

TEST(AcceleratorTraining, SkippingDoesNotWaitForTheDeviceEither) { expect_no_waiting({"training.non_finite=skip"}); }

std::string weights_of(const std::filesystem::path& run) { return Checkpoint(run / "checkpoints" / "last").model_sha256(); }

TEST(AcceleratorTraining, ARunThatWasStoppedGoesOnToTheSameBits) {
  const RepeatableAgain after;
  const data_test::Folder folder;
  const Runtime runtime{.device = accelerator()};
  train(small_experiment({}), runtime, {.run = folder.path() / "whole"});
  train(small_experiment({"training.steps=3"}), runtime, {.run = folder.path() / "parts"});
  train(small_experiment({}), runtime, {.run = folder.path() / "parts", .start = RunStart::resume});
  EXPECT_EQ(weights_of(folder.path() / "parts"), weights_of(folder.path() / "whole"));
}

TEST(AcceleratorTraining, ARunIsEvaluatedToTheCpusNumbers) {
  const RepeatableAgain after;
  const data_test::Folder folder;
  train(small_experiment({}), {.device = accelerator()}, {.run = folder.path() / "run"});
  const auto measured = [&](at::Device device) {
    const auto opened = open_run(folder.path() / "run", {.device = device}, DataUse::load);
    const auto& experiment = opened.experiment;
    return evaluate({.model = *experiment.model,
                     .objective = experiment.objective.get(),
                     .dataset = experiment.dataset,
                     .limit = 130,
                     .samples = 4,
                     .device = device},
                    {"elbo", "bound", "log_likelihood", "active_units", "mutual_information", "reconstruction_error", "psnr"});
  };
  const auto there = measured(accelerator()), here = measured(at::kCPU);
  ASSERT_EQ(there.measurements.size(), here.measurements.size());
  for (size_t i = 0; i < here.measurements.size(); ++i) {
    EXPECT_NEAR(there.measurements[i].value, here.measurements[i].value, 1e-4 * (1 + std::abs(here.measurements[i].value)))
        << here.measurements[i].key();
  }
}

}  // namespace
}  // namespace elbo::conformance
