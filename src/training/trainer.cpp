#include "elbo/training/trainer.h"

#include <ATen/Context.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/training/signals.h"
#include "trainer_impl.h"

namespace elbo {

namespace {

void make_deterministic() {
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
  constexpr bool kWarnOnly = false;
  at::globalContext().setDeterministicAlgorithms(true, kWarnOnly);
  at::globalContext().setDeterministicCuDNN(true);
  at::globalContext().setBenchmarkCuDNN(false);
}

void collect_modules(torch::nn::Module& root, std::vector<torch::nn::Module*>& modules) {
  for (const auto& module : root.modules()) {
    if (std::find(modules.begin(), modules.end(), module.get()) == modules.end()) modules.push_back(module.get());
  }
}

/// Names of the phases' parameters: paths in the model, or "objective." and the path in the objective.
std::vector<ParameterSet> parameter_sets(const std::vector<Phase>& phases, const TrainingParts& parts) {
  std::vector<NamedTensor> known;
  for (const auto& item : parts.model->named_parameters()) known.push_back({item.key(), item.value()});
  for (const auto& item : parts.objective->named_parameters()) known.push_back({"objective." + item.key(), item.value()});
  std::vector<ParameterSet> sets;
  for (const auto& phase : phases) {
    ParameterSet set{phase.name, {}};
    for (const auto& parameter : phase.parameters) {
      const auto found =
          std::find_if(known.begin(), known.end(), [&](const NamedTensor& t) { return t.tensor.is_same(parameter); });
      if (found == known.end()) {
        throw UsageError("phase '" + phase.name + "' trains a parameter that neither the model nor the objective has registered");
      }
      set.parameters.push_back(*found);
    }
    sets.push_back(std::move(set));
  }
  return sets;
}

void check_phases(const std::vector<Phase>& phases) {
  std::set<std::string> names;
  for (const auto& phase : phases) {
    if (!names.insert(phase.name).second) throw UsageError("two phases of the objective are called '" + phase.name + "'");
    if (phase.every < 1 || phase.from_step < 0 || !phase.losses) {
      throw UsageError("phase '" + phase.name + "' needs losses, every >= 1 and from_step >= 0");
    }
  }
}

}  // namespace

Trainer::Impl::Impl(TrainingParts given) : parts(std::move(given)), streams(parts.seed, parts.device), means(parts.device) {
  const auto& config = parts.config;
  validate_config(config);
  if (config.deterministic) make_deterministic();
  parts.model->to(parts.device);
  parts.objective->to(parts.device);
  if (!parts.model->is_training()) parts.model->train();  // just evaluated as a whole: nothing in it is frozen
  collect_modules(*parts.model, modules);
  collect_modules(*parts.objective, modules);
  for (auto* module : modules) {
    if (module->is_training() && dynamic_cast<Stepped*>(module)) stepped.push_back(module);
  }

  auto declared = parts.objective->phases(*parts.model);
  check_phases(declared);
  buffers = std::make_unique<FlatBuffers>(parameter_sets(declared, parts));
  scheduled = parts.objective->scheduled();
  for (size_t i = 0; i < declared.size(); ++i) {
    detail::ActivePhase phase{.phase = std::move(declared[i])};
    OptimizerContext context;
    for (const auto segment : buffers->segments_of(i)) {
      context.segments.push_back(buffers->segments()[static_cast<size_t>(segment)]);
      phase.gradients.push_back(context.segments.back().gradients);
    }
    phase.optimizer = parts.optimizer.make(context);
    for (const auto& number : phase.optimizer->scheduled()) scheduled.push_back(number);
    phases.push_back(std::move(phase));
  }
  if (config.weight_average > 0) average = std::make_unique<WeightAverage>(*buffers, config.weight_average);

  state.clock.steps_per_epoch = parts.loader->steps_per_epoch();
  state.clock.total_steps = config.steps ? *config.steps : *config.epochs * state.clock.steps_per_epoch;
  index_tensor = torch::zeros({}, torch::dtype(torch::kLong).device(parts.device));
  first_bad = torch::full({}, -1, torch::dtype(torch::kLong).device(parts.device));
  found_inf = torch::zeros({}, torch::dtype(torch::kFloat).device(parts.device));
}

TrainingResult Trainer::Impl::run() {
  if (state.finished()) {
    log_info(text("training is already at step ", with_commas(state.step), " of ", with_commas(state.clock.total_steps)));
    return {state, best};
  }
  initialise();
  for (const auto& hook : parts.hooks) hook->on_start(state);
  while (!state.finished()) {
    step();
    const auto best_before = best;
    if (state.step % parts.config.log_every_steps == 0 || state.at_epoch_end() || state.finished()) log_training();
    for (const auto& hook : parts.hooks) hook->on_step(state);
    if (state.at_epoch_end() || state.finished()) evaluate();
    const bool stop = stop_requested() && !state.finished();
    if (parts.run && (stop || checkpoint_is_due(best_before))) write_checkpoint();
    if (stop) {
      throw Interrupted(text("stopped after step ", state.step, " of ", state.clock.total_steps,
                             parts.run ? "; continue it with --run " + parts.run->path().string() + " --resume" : ""));
    }
  }
  for (const auto& hook : parts.hooks) hook->on_finish(state);
  return {state, best};
}

void Trainer::Impl::log_training() {
  check_finite();
  auto values = means.read();
  for (const auto& number : scheduled) {
    const auto known = [&](const NamedValue& value) { return value.name == number.name(); };
    if (std::none_of(values.begin(), values.end(), known)) values.push_back({number.name(), number.value()});
  }
  for (const auto& hook : parts.hooks) hook->on_values(state, "train", values);
}

void Trainer::Impl::evaluate() {
  NamedValues values;
  {
    const EvaluationMode mode({parts.model.get(), parts.objective.get()});
    std::optional<AveragedWeights> averaged;
    if (average) averaged.emplace(*buffers, *average);
    for (const auto& hook : parts.hooks) {
      for (auto& value : hook->evaluate(state)) values.push_back(std::move(value));
    }
  }
  if (values.empty()) return;

  std::vector<std::pair<std::string, NamedValues>> splits;
  for (const auto& [name, value] : values) {
    const auto slash = name.find('/');
    const auto split = slash == std::string::npos ? "valid" : name.substr(0, slash);
    auto found = std::find_if(splits.begin(), splits.end(), [&](const auto& s) { return s.first == split; });
    if (found == splits.end()) found = splits.insert(splits.end(), {split, {}});
    found->second.push_back({slash == std::string::npos ? name : name.substr(slash + 1), value});
  }
  for (const auto& [split, of_split] : splits) {
    for (const auto& hook : parts.hooks) hook->on_values(state, split, of_split);
  }

  const bool lower_is_better = parts.config.monitor.starts_with('-');
  const auto monitor = parts.config.monitor.substr(lower_is_better ? 1 : 0);
  const auto found = std::find_if(values.begin(), values.end(), [&](const NamedValue& v) { return v.name == monitor; });
  if (found != values.end()) {
    monitored = found->value;
    const auto better = [&](double a, double b) { return lower_is_better ? a < b : a > b; };
    if (std::isfinite(found->value) && (!best || better(found->value, best->value))) best = BestValue{found->value, state.step};
  } else if (!monitor_checked) {
    std::vector<std::string> names;
    for (const auto& value : values) names.push_back(value.name);
    throw ConfigError("training.monitor: '" + monitor + "' is not among the evaluated values" + did_you_mean(monitor, names) +
                      "; the values are " + join(names, ", "));
  }
  monitor_checked = true;
}

bool Trainer::Impl::checkpoint_is_due(const std::optional<BestValue>& best_before) const {
  const auto& cadence = parts.config.checkpoint;
  const bool is_best = best && (!best_before || best->step != best_before->step);
  const bool by_epoch = cadence.every_epochs > 0 && state.at_epoch_end() && state.epoch() % cadence.every_epochs == 0;
  const bool by_step = cadence.every_steps > 0 && state.step % cadence.every_steps == 0;
  return state.finished() || is_best || by_epoch || by_step;
}

Trainer::Trainer(TrainingParts parts) : impl_(std::make_unique<Impl>(std::move(parts))) {}
Trainer::~Trainer() = default;
void Trainer::resume() { impl_->resume(); }
TrainingResult Trainer::run() { return impl_->run(); }
void Trainer::step() { impl_->step(); }
void Trainer::check_finite() { impl_->check_finite(); }
void Trainer::write_checkpoint() { impl_->write_checkpoint(); }
const TrainingState& Trainer::state() const { return impl_->state; }
const FlatBuffers& Trainer::buffers() const { return *impl_->buffers; }
const WeightAverage* Trainer::average() const { return impl_->average.get(); }

}  // namespace elbo
