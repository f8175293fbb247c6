#include "elbo/training/log_hooks.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "elbo/base/json.h"
#include "elbo/base/progress.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

class MetricsLog final : public Hook {
 public:
  explicit MetricsLog(RunFolder& run) : run_(run) {}

  void on_values(const TrainingState& state, std::string_view split, const NamedValues& values) override {
    Json line = {{"step", state.step}, {"epoch", state.epoch()}, {"split", split}};
    for (const auto& [name, value] : values) line[name] = std::isfinite(value) ? Json(value) : Json(nullptr);
    run_.metrics().append_line(line.dump());
  }

 private:
  RunFolder& run_;
};

class EventsLog final : public Hook {
 public:
  explicit EventsLog(RunFolder& run) : run_(run) {}

  void on_values(const TrainingState& state, std::string_view split, const NamedValues& values) override {
    for (const auto& [name, value] : values) run_.events().scalar(std::string(split) + "/" + name, value, state.step);
  }

 private:
  RunFolder& run_;
};

class ProgressLine final : public Hook {
 public:
  explicit ProgressLine(const ProgressLineConfig& config) : config_(config) {}

  void on_start(const TrainingState& state) override {
    progress_.emplace("", examples(state.clock.total_steps, state), config_.unit);
    on_step(state);
  }

  void on_step(const TrainingState& state) override {
    const auto epochs = (state.clock.total_steps + state.clock.steps_per_epoch - 1) / state.clock.steps_per_epoch;
    progress_->set_label(text("epoch ", std::min(state.epoch() + 1, epochs), "/", epochs));
    progress_->update(examples(state.step, state), suffix_);
  }

  void on_values(const TrainingState&, std::string_view split, const NamedValues& values) override {
    if (split != "train") return;
    suffix_.clear();
    for (size_t i = 0; i < std::min(values.size(), config_.num_values); ++i) {
      char number[32];
      std::snprintf(number, sizeof number, "%.5g", values[i].value);
      suffix_ += (i > 0 ? "  " : "") + values[i].name + " " + number;
    }
  }

  void on_finish(const TrainingState&) override { progress_->finish(suffix_); }

 private:
  int64_t examples(int64_t steps, const TrainingState& state) const {
    return steps * config_.num_examples / state.clock.steps_per_epoch;
  }

  ProgressLineConfig config_;
  std::optional<Progress> progress_ = {};
  std::string suffix_;
};

}  // namespace

std::shared_ptr<Hook> make_metrics_log(RunFolder& run) { return std::make_shared<MetricsLog>(run); }
std::shared_ptr<Hook> make_events_log(RunFolder& run) { return std::make_shared<EventsLog>(run); }
std::shared_ptr<Hook> make_progress_line(const ProgressLineConfig& config) { return std::make_shared<ProgressLine>(config); }

}  // namespace elbo
