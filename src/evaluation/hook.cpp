#include "elbo/evaluation/hook.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/json.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/data/loader.h"
#include "elbo/evaluation/active_units.h"
#include "elbo/evaluation/codebook.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/evaluation/modality_pictures.h"
#include "elbo/evaluation/pictures.h"
#include "elbo/models/abilities.h"
#include "elbo/models/conditions.h"
#include "elbo/models/family.h"
#include "elbo/training/signals.h"
#include "rows.h"

namespace elbo {
namespace {

std::vector<double> to_vector(const Tensor& values) {
  const auto host = values.to(at::kCPU, at::kDouble).contiguous();
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

class EvaluationHook final : public Hook {
 public:
  EvaluationHook(const EvaluationConfig& config, const EvaluationHookParts& parts) : config_(config), parts_(parts) {
    auto names = config.metrics;
    if (std::find(names.begin(), names.end(), "bound") == names.end()) names.insert(names.begin(), "bound");
    const bool asks_codes = std::erase(names, "codebook") > 0;
    if (asks_codes) metrics().make("codebook")->check(context());
    shows_codes_ = dynamic_cast<Quantized*>(parts.model.get());
    const bool asks_elbo = std::find(names.begin(), names.end(), "elbo") != names.end();
    const bool asks_units = std::erase(names, "active_units") > 0;
    shows_units_ = asks_units || (asks_elbo && dynamic_cast<Variational*>(parts.model.get()));
    if (asks_units) metrics().make("active_units")->check(context());
    for (const auto& name : names) {
      metrics_.push_back(metrics().make(name));
      metrics_.back()->check(context());
    }
  }

  NamedValues evaluate(const TrainingState& state) override {
    const bool due = state.at_epoch_end() && state.epoch() % config_.every_epochs == 0;
    if (!due && !state.finished()) return {};
    NamedValues values;
    for (const auto& metric : metrics_) {
      for (const auto& measured : metric->evaluate(context())) {
        values.push_back({"valid/" + (measured.unit == "nats" ? measured.name : measured.key()), measured.value});
      }
    }
    if (shows_units_) show_units(state, values);
    if (shows_codes_) show_codes(state, values);
    if (parts_.run && config_.pictures > 0) draw_pictures(state);
    return values;
  }

 private:
  EvaluationContext context() const {
    return {.model = *parts_.model,
            .objective = parts_.objective.get(),
            .dataset = parts_.dataset,
            .split = Split::valid,
            .limit = config_.limit,
            .samples = config_.samples,
            .seed = parts_.seed,
            .device = parts_.device,
            .batch_size = config_.batch_size > 0 ? config_.batch_size : parts_.dataset->batch_size(),
            .progress = [](const EvaluationProgress&) {
              if (stop_requested()) throw Interrupted("stopped in the middle of an evaluation");
            }};
  }

  void show_units(const TrainingState& state, NamedValues& values) {
    const auto panel = collapse_panel(context());
    values.push_back({"valid/active_units", static_cast<double>(panel.num_active())});
    if (panel.layers.size() > 1) {
      for (const auto& layer : panel.layers) {
        values.push_back({"valid/active_units_" + layer.name, static_cast<double>(layer.num_active())});
      }
    }
    if (!parts_.run) return;
    log_debug(text("step ", state.step, ", ", panel.str()));
    Json kl = Json::object(), variance = Json::object();
    for (const auto& layer : panel.layers) {
      variance[layer.name] = to_vector(layer.variance_of_means);
      if (!layer.kl_per_unit.defined()) continue;
      const auto units = to_vector(layer.kl_per_unit);
      kl[layer.name] = units;
      parts_.run->events().histogram("valid/kl_per_unit/" + layer.name, units, state.step);
    }
    const Json line = {
        {"step", state.step}, {"epoch", state.epoch()}, {"split", "valid"}, {"kl_per_unit", kl}, {"variance_of_means", variance}};
    parts_.run->metrics().append_line(line.dump());
  }

  void show_codes(const TrainingState& state, NamedValues& values) {
    const auto panel = codebook_panel(context());
    for (const auto& measured : measurements(panel)) values.push_back({"valid/" + measured.key(), measured.value});
    if (!parts_.run) return;
    log_debug(text("step ", state.step, ", ", panel.str()));
    const auto warning = panel.warning();
    // Once, and not for how it looks after a few steps only.
    if (!warning.empty() && !warned_ && (was_collapsed_ || state.finished())) {
      log_warn(text("step ", with_commas(state.step), ": ", warning));
      warned_ = true;
    }
    was_collapsed_ = !warning.empty();
    Json levels = Json::object();
    for (const auto& level : panel.levels) {
      for (size_t g = 0; g < level.groups.size(); ++g) {
        const auto& usage = level.groups[g];
        const auto name = level.groups.size() > 1 ? text(level.name, ".", g) : level.name;
        levels[name] = {{"size", usage.size},
                        {"tokens", usage.tokens},
                        {"used", usage.used},
                        {"perplexity", usage.perplexity()},
                        {"largest_counts", usage.largest}};
        const std::vector<double> counts(usage.largest.begin(), usage.largest.end());
        parts_.run->events().histogram("valid/code_counts/" + name, counts, state.step);
      }
    }
    const Json line = {{"step", state.step}, {"epoch", state.epoch()}, {"split", "valid"}, {"codebooks", levels}};
    parts_.run->metrics().append_line(line.dump());
  }

  void draw_pictures(const TrainingState& state) {
    const EvaluationMode mode({parts_.model.get(), parts_.objective.get()});
    if (auto* model = detail::multimodal(context())) {
      draw_modalities(*model, state);
      return;
    }
    if (auto* model = dynamic_cast<Samples*>(parts_.model.get())) {
      GranuleNoise noise(parts_.seed, parts_.device);
      const auto& spec = parts_.dataset->spec();
      const auto given = conditions_for(*model, spec, config_.pictures, {}, parts_.device);
      const auto columns = static_cast<int>(condition_columns(*model, spec));
      write("samples", sample_grid(model->sample(given, 1.0, noise), columns), state);
    }
    if (auto* model = dynamic_cast<Reconstructs*>(parts_.model.get())) {
      const SequentialLoader loader(parts_.dataset, Split::valid, config_.pictures, config_.pictures);
      const auto batch = loader.at(0);
      const auto field = model->reconstructed_field();
      if (batch.has(field)) write("reconstructions", reconstruction_grid(batch.at(field), model->reconstruct(batch)), state);
    }
  }

  void draw_modalities(Multimodal& model, const TrainingState& state) {
    GranuleNoise noise(parts_.seed, parts_.device);
    const auto& spec = parts_.dataset->spec();
    const auto count = std::min<int64_t>(config_.pictures, 32);
    const auto drawn = conditional_samples(model, spec, rows_without_fields(count), 1, noise);
    write("samples", modality_grid(model, spec, {}, drawn), state);
    const auto rows = whole_rows(model, *parts_.dataset, Split::valid, cross_generation_rows(model.modalities().size()));
    noise.place(0, 0);
    write("cross_generation", cross_generation_grid(model, spec, cross_generation(model, spec, rows, noise)), state);
  }

  void write(const std::string& what, const std::optional<Image>& grid, const TrainingState& state) {
    if (!grid) return;
    std::filesystem::create_directories(parts_.run->samples());
    write_png(parts_.run->samples() / text("step-", state.step, "-", what, ".png"), *grid);
    parts_.run->events().image(what, *grid, state.step);
  }

  EvaluationConfig config_;
  EvaluationHookParts parts_;
  std::vector<std::shared_ptr<Metric>> metrics_ = {};
  bool shows_units_ = false;
  bool shows_codes_ = false;
  bool was_collapsed_ = false;
  bool warned_ = false;  // of a collapsed codebook
};

}  // namespace

void EvaluationConfig::check(Relations& relations) const {
  for (const auto& name : metrics) {
    if (!elbo::metrics().find(name)) relations.problem("metrics", elbo::metrics().unknown(name));
  }
}

std::shared_ptr<Hook> make_evaluation_hook(const EvaluationConfig& config, const EvaluationHookParts& parts) {
  if (!parts.model || !parts.objective || !parts.dataset) {
    throw UsageError("the evaluation hook needs a model, an objective and a data set");
  }
  return std::make_shared<EvaluationHook>(config, parts);
}

}  // namespace elbo
