#include "elbo/training/trainer.h"

#include <ATen/Context.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/math/precision.h"
#include "elbo/optim/clip.h"
#include "elbo/training/check.h"
#include "elbo/training/signals.h"
#include "memory.h"
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
    if (phase.every < 1 || phase.from_step < 0 || phase.until_step <= phase.from_step || !phase.losses) {
      throw UsageError("phase '" + phase.name + "' needs losses, every >= 1, from_step >= 0 and until_step after it");
    }
  }
}

double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// "critic/learning_rate" where the phase's optimiser is its own, else all phases' bare name.
void add_logged(std::vector<detail::LoggedNumber>& logged, const std::string& name, const Scheduled& number) {
  const auto known = [&](const detail::LoggedNumber& other) { return other.name == name; };
  if (std::none_of(logged.begin(), logged.end(), known)) logged.push_back({name, number});
}

}  // namespace

Trainer::Impl::Impl(TrainingParts given) : parts(std::move(given)), streams(parts.seed, parts.device), means(parts.device) {
  const auto& config = parts.config;
  validate_config(config);
  check_training(config, {*parts.model, *parts.objective, parts.loader->batch_size()});
  if (config.deterministic) make_deterministic();
  parts.model->to(parts.device);
  parts.objective->to(parts.device);
  if (!parts.model->is_training()) parts.model->train();  // just evaluated as a whole; what is frozen in it sees to that itself
  if (!parts.objective->is_training()) parts.objective->train();
  collect_modules(*parts.model, modules);
  collect_modules(*parts.objective, modules);
  for (auto* module : modules) {
    if (module->is_training() && dynamic_cast<Stepped*>(module)) stepped.push_back(module);
  }

  auto declared = parts.objective->phases(*parts.model);
  check_phases(declared);
  buffers = std::make_unique<FlatBuffers>(parameter_sets(declared, parts));
  scheduled = parts.objective->scheduled();
  for (const auto& number : scheduled) add_logged(logged_numbers, number.name(), number);
  for (size_t i = 0; i < declared.size(); ++i) {
    detail::ActivePhase phase{.phase = std::move(declared[i])};
    OptimizerContext context;
    for (const auto segment : buffers->segments_of(i)) {
      context.segments.push_back(buffers->segments()[static_cast<size_t>(segment)]);
      phase.gradients.push_back(context.segments.back().gradients);
    }
    const auto own = config.phases.find(phase.phase.name);
    const bool has_own = own != config.phases.end() && own->second.optimizer.has_value();
    phase.optimizer = (has_own ? own->second.optimizer : parts.optimizer).make(context);
    for (const auto& number : phase.optimizer->scheduled()) {
      scheduled.push_back(number);
      add_logged(logged_numbers, (has_own && i > 0 ? phase.phase.name + "/" : "") + number.name(), number);
    }
    phases.push_back(std::move(phase));
  }
  if (config.weight_average > 0) average = std::make_unique<WeightAverage>(*buffers, config.weight_average);

  state.clock.steps_per_epoch = parts.loader->steps_per_epoch();
  state.clock.total_steps = config.steps ? *config.steps : *config.epochs * state.clock.steps_per_epoch;
  index_tensor = torch::zeros({}, torch::dtype(torch::kLong).device(parts.device));
  first_bad = torch::full({}, -1, torch::dtype(torch::kLong).device(parts.device));
  found_inf = torch::zeros({}, torch::dtype(torch::kFloat).device(parts.device));
  skipped = torch::zeros_like(first_bad);
  skipped_in_a_row = torch::zeros_like(first_bad);
  most_in_a_row = torch::zeros_like(first_bad);
  measured = parts.measured;
}

TrainingResult Trainer::Impl::run() {
  if (ended() && !evaluation_due) {
    log_info(text("training is already at step ", with_commas(state.step), " of ", with_commas(state.clock.total_steps),
                  state.finished() ? "" : " and was stopped early there"));
    return {state, best, !state.finished()};
  }
  initialise();
  for (const auto& hook : parts.hooks) hook->on_start(state);
  if (evaluation_due) {
    evaluate_unless_stopped();
    replace_checkpoint();
  }
  while (!ended()) {
    const auto begin = seconds_now();
    step();
    const auto best_before = best;
    const bool logs = log_is_due(state.step);
    if (logs) check_finite();  // waits for the device, so that the time is that of the work
    seconds += seconds_now() - begin;
    if (logs) log_training();
    for (const auto& hook : parts.hooks) hook->on_step(state);
    if (state.at_epoch_end() || state.finished()) evaluate_unless_stopped();
    const bool stop = stop_requested() && !ended();
    if (parts.run && (stop || checkpoint_is_due(best_before))) write_checkpoint();
    if (stop) throw_interrupted();
  }
  if (!state.finished()) {
    log_info(text("stopped early after step ", with_commas(state.step), ": ", parts.config.monitor, " has not become better in ",
                  count_of(parts.config.early_stopping.patience, "evaluation")));
  }
  for (const auto& hook : parts.hooks) hook->on_finish(state);
  return {state, best, !state.finished()};
}

bool Trainer::Impl::log_is_due(int64_t steps) const {
  return steps % parts.config.log_every_steps == 0 || steps % state.clock.steps_per_epoch == 0 ||
         steps >= state.clock.total_steps;
}

bool Trainer::Impl::stopped_early() const {
  const auto& [patience, min_delta] = parts.config.early_stopping;
  if (patience == 0) return false;
  double highest = -std::numeric_limits<double>::infinity();
  int64_t since = 0;
  for (const double value : history) {
    const bool better = value > highest + min_delta;
    if (better) highest = value;
    since = better ? 0 : since + 1;
    if (since >= patience) return true;
  }
  return false;
}

void Trainer::Impl::throw_interrupted() const {
  throw Interrupted(text("stopped after step ", state.step, " of ", state.clock.total_steps,
                         parts.run ? "; continue it with --run " + parts.run->path().string() + " --resume" : ""));
}

void Trainer::Impl::log_training() {
  auto values = means.read();
  const auto add = [&](const std::string& name, double value) {
    const auto known = [&](const NamedValue& other) { return other.name == name; };
    if (std::none_of(values.begin(), values.end(), known)) values.push_back({name, value});
  };
  add("update_norm", update_norm.item<double>());
  add("parameter_norm", global_norm({buffers->parameters()}).item<double>());
  if (skips()) add("skipped_steps", static_cast<double>(skipped.item<int64_t>()));
  for (const auto& [name, number] : logged_numbers) add(name, number.value());
  if (parts.log_performance) {
    add("examples_per_second", static_cast<double>(examples) / seconds);
    add("peak_memory_bytes", detail::peak_memory_bytes());
    if (!parts.device.is_cpu()) add("peak_device_memory_bytes", detail::peak_device_memory_bytes(parts.device));
  }
  examples = 0;
  seconds = 0;
  for (const auto& hook : parts.hooks) hook->on_values(state, "train", values);
}

void Trainer::Impl::evaluate_unless_stopped() {
  const auto before = parts.run ? std::optional(parts.run->sync_logs()) : std::nullopt;
  try {
    evaluate();
    evaluation_due = false;
  } catch (const Interrupted&) {
    if (parts.run) {
      parts.run->cut_logs(before);  // a continued run evaluates once more
      evaluation_due = true;
      write_checkpoint();
    }
    throw_interrupted();
  }
}

void Trainer::Impl::evaluate() {
  NamedValues values;
  {
    const EvaluationMode mode({parts.model.get(), parts.objective.get()});
    std::optional<AveragedWeights> averaged;
    if (average) averaged.emplace(*buffers, *average);
    const Tf32Scope rounding(parts.device, detail::rounding_of(parts.config.evaluation_precision));
    std::optional<Bfloat16Scope> lower;
    if (parts.config.evaluation_precision == Precision::bfloat16) lower.emplace(parts.device);
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
  note_monitored(values);
}

void Trainer::Impl::note_monitored(const NamedValues& values) {
  if (!parts.config.chooses_best()) return;
  const bool lower_is_better = parts.config.monitor.starts_with('-');
  const auto monitor = parts.config.monitor.substr(lower_is_better ? 1 : 0);
  const auto found = std::find_if(values.begin(), values.end(), [&](const NamedValue& v) { return v.name == monitor; });
  const bool checked = std::exchange(monitor_checked, true);
  if (found == values.end()) {
    if (!checked) check_monitor(parts.config.monitor, values);
    return;
  }
  if (measured != parts.measured) {
    log_warn(text(monitor, " is measured on other data than before (", parts.measured, "; before: ", measured,
                  "): the best checkpoint is chosen anew"));
    measured = parts.measured;
    best.reset();
    history.clear();
  }
  monitored = found->value;
  const auto better = [&](double a, double b) { return lower_is_better ? a < b : a > b; };
  if (std::isfinite(found->value) && (!best || better(found->value, best->value))) best = BestValue{found->value, state.step};
  const double height = lower_is_better ? -found->value : found->value;
  history.push_back(std::isfinite(height) ? height : -std::numeric_limits<double>::infinity());
  state.clock.monitored = std::make_shared<const std::vector<double>>(history);
}

void check_monitor(const std::string& monitor, const NamedValues& values) {
  const auto name = monitor.substr(monitor.starts_with('-') ? 1 : 0);
  std::vector<std::string> names;
  for (const auto& value : values) names.push_back(value.name);
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  throw ConfigError("training.monitor: '" + name + "' is not among the evaluated values" +
                    did_you_mean(name, names, "the values are " + join(names, ", ")));
}

bool Trainer::Impl::checkpoint_is_due(const std::optional<BestValue>& best_before) const {
  const auto& cadence = parts.config.checkpoint;
  const bool is_best = best && (!best_before || best->step != best_before->step);
  const bool by_epoch = cadence.every_epochs > 0 && state.at_epoch_end() && state.epoch() % cadence.every_epochs == 0;
  const bool by_step = cadence.every_steps > 0 && state.step % cadence.every_steps == 0;
  return ended() || is_best || by_epoch || by_step;
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
