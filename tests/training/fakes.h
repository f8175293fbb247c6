#pragma once
#include <gmock/gmock.h>
#include <torch/nn/module.h>

#include <atomic>
#include <fstream>
#include <sstream>

#include "elbo/base/error.h"
#include "elbo/config/yaml.h"
#include "elbo/models/initialises.h"
#include "elbo/training/log_hooks.h"
#include "elbo/training/trainer.h"
#include "support/tensors.h"

namespace elbo::fakes {

namespace fs = std::filesystem;

/// 20 rows of 3 numbers; training rows come with a little noise from the stream.
class Rows final : public Dataset {
 public:
  const DataSpec& spec() const override { return spec_; }
  int64_t size(Split) const override { return x_.size(0); }
  int64_t batch_size() const override { return 8; }
  void load(at::Device) override {}
  Batch gather(Split, const Tensor& index, Stream& stream) const override {
    return {.fields = {{"x", {.value = x_.index_select(0, index) + 0.01 * stream.normal({index.size(0)}, {3})}}}, .index = index};
  }
  std::string fingerprint() const override { return "rows"; }
  Tensor training_mean() const override { return x_.mean(0); }

 private:
  DataSpec spec_ = {{"x", {.shape = {3}}}};
  Tensor x_ = wavy({20, 3}).to(torch::kFloat);
};

/// Buffers that follow the steps.
class Counter final : public torch::nn::Module, public Stepped {
 public:
  Counter() {
    steps = register_buffer("steps", torch::zeros({}, torch::kLong));
    trace = register_buffer("trace", torch::zeros({2}));
  }
  void after_step(const Step& step) override {
    steps.add_(1);
    trace.mul_(0.5).add_(step.index_tensor);
  }
  Tensor steps, trace;
};

/// A linear autoencoder with noise on its code.
class Autoencoder final : public Model, public Initialises {
 public:
  Autoencoder() {
    encoder = register_parameter("encoder", wavy({3, 2}, 0.1).to(torch::kFloat));
    decoder = register_parameter("decoder", wavy({2, 3}, 0.7).to(torch::kFloat));
    shift = register_buffer("shift", torch::zeros({3}));
    counter = register_module("counter", std::make_shared<Counter>());
  }
  std::string_view family() const override { return "fake"; }
  std::string summary() const override { return "3-2-3"; }
  void initialise(const Batch& batch, Step&) override {
    ++num_initialised;
    shift.copy_(batch.at("x").mean(0));
  }
  /// Squared errors, [B].
  Tensor errors(const Batch& batch, Noise& noise) {
    const auto x = batch.at("x") - shift;
    const auto code = torch::matmul(x, encoder) + 0.1 * noise.normal({batch.size()}, {2});
    return (torch::matmul(code, decoder) - x).square().sum(1);
  }
  Tensor encoder, decoder, shift;
  std::shared_ptr<Counter> counter;
  int num_initialised = 0;
};

using Losses = std::function<LossTerms(Autoencoder&, const Batch&, Step&)>;

inline LossTerms reconstruction(Autoencoder& model, const Batch& batch, Step& step) {
  const auto error = model.errors(batch, step.noise);
  return {.loss = error, .terms = {{"bound", -error.detach()}}};
}

/// Calls what the test wants; with a critic parameter of its own.
class AnyObjective final : public Objective {
 public:
  explicit AnyObjective(std::shared_ptr<Autoencoder> model, Losses losses = reconstruction)
      : model_(std::move(model)), losses_(std::move(losses)) {
    critic = register_parameter("critic", torch::full({2}, 0.5f));
  }
  LossTerms losses(const Batch& batch, Step& step) override { return losses_(*model_, batch, step); }
  std::vector<Phase> phases(Model& model) override {
    if (make_phases) return make_phases(*this);
    Phase phase;
    phase.parameters = model.parameters();
    phase.losses = [this](const Batch& batch, Step& step) { return losses(batch, step); };
    return {phase};
  }
  bool couples_batch() const override { return couples; }
  Tensor critic;
  bool couples = false;
  std::function<std::vector<Phase>(AnyObjective&)> make_phases = {};

 private:
  std::shared_ptr<Autoencoder> model_;
  Losses losses_;
};

/// Everything that a trainer is built from, made anew for each training.
struct Kit {
  explicit Kit(Losses losses = reconstruction)
      : model(std::make_shared<Autoencoder>()), objective(std::make_shared<AnyObjective>(model, std::move(losses))) {
    config.steps = 7;
    config.log_every_steps = 2;
    sgd(0.05);
  }
  void sgd(double rate) {
    SgdConfig chosen;
    chosen.learning_rate = scheduled_number(rate);
    optimizer.set("sgd", chosen);
  }
  void adam(double rate) {
    AdamConfig chosen;
    chosen.learning_rate = scheduled_number(rate);
    optimizer.set("adam", chosen);
  }
  TrainingParts parts() {
    return {.model = model,
            .objective = objective,
            .loader = std::make_shared<Loader>(std::make_shared<Rows>(), 8, 3, ShortBatch::keep),
            .optimizer = optimizer,
            .config = config,
            .seed = 3,
            .run = run,
            .hooks = hooks};
  }
  std::shared_ptr<Autoencoder> model;
  std::shared_ptr<AnyObjective> objective;
  OptimizerChoice optimizer{optimizers, "adam"};
  TrainingConfig config = {};
  RunFolder* run = nullptr;
  std::vector<std::shared_ptr<Hook>> hooks = {};
};

/// A hook out of lambdas.
class AnyHook final : public Hook {
 public:
  void on_step(const TrainingState& state) override {
    if (stepped) stepped(state);
  }
  NamedValues evaluate(const TrainingState& state) override { return evaluated ? evaluated(state) : NamedValues{}; }
  std::function<void(const TrainingState&)> stepped = {};
  std::function<NamedValues(const TrainingState&)> evaluated = {};
};

inline std::shared_ptr<Hook> on_step(std::function<void(const TrainingState&)> call) {
  auto hook = std::make_shared<AnyHook>();
  hook->stepped = std::move(call);
  return hook;
}
inline std::shared_ptr<Hook> evaluating(std::function<NamedValues(const TrainingState&)> call) {
  auto hook = std::make_shared<AnyHook>();
  hook->evaluated = std::move(call);
  return hook;
}

/// A new folder that goes with the test; in memory where that exists, since checkpoints are synced to the disk.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const auto parent = fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
    auto pattern = (parent / "elbo_training_XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { fs::remove_all(path); }
  fs::path path;
};

inline Node config_node(const std::string& yaml = "seed: 3\ntraining: {steps: 7}\n") { return parse_yaml(yaml, "test.yaml"); }

inline std::string contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

template <class E, class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace elbo::fakes
