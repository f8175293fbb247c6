#include <cmath>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/math/precision.h"
#include "elbo/models/initialises.h"
#include "elbo/optim/clip.h"
#include "elbo/quantizers/quantizer.h"
#include "trainer_impl.h"

namespace elbo {
namespace {

/// Draws of after_step are the same whatever the step drew before, in however many parts.
int64_t after_step_key(int64_t index) { return static_cast<int64_t>(hash_key({static_cast<uint64_t>(index), 0xaf7e5}) >> 1); }

}  // namespace

Step Trainer::Impl::step_of(int64_t index, Noise& noise) {
  return {.index = index,
          .epoch = index / state.clock.steps_per_epoch,
          .index_tensor = index_tensor,
          .training = true,
          .noise = noise,
          .streams = streams,
          .collective = parts.collective ? *parts.collective : single_process};
}

void Trainer::Impl::refill(int64_t index) {
  auto clock = state.clock;
  clock.step = index;
  index_tensor.fill_(index);
  for (auto& number : scheduled) number.refill(clock);
}

Batch Trainer::Impl::batch_of(int64_t index) {
  streams.data.rekey(index);
  return parts.loader->at(index, streams.data);
}

void Trainer::Impl::initialise() {
  if (initialised) return;
  torch::NoGradGuard no_grad;
  constexpr int64_t kBeforeTheFirstStep = -1;
  refill(0);
  const auto batch = batch_of(0);
  streams.rekey(kBeforeTheFirstStep);
  auto step = step_of(0, streams.noise);
  if (auto* model = dynamic_cast<Initialises*>(parts.model.get())) model->initialise(batch, step);
  if (auto* objective = dynamic_cast<Initialises*>(parts.objective.get())) objective->initialise(batch, step);
  if (average) average->values().copy_(buffers->parameters());
  initialised = true;
}

void Trainer::Impl::step() {
  const Tf32Scope rounding(parts.device, detail::rounding_of(parts.config.precision));
  initialise();
  const auto index = state.step;
  refill(index);
  const auto batch = batch_of(index);
  Tensor before;
  if (log_is_due(index + 1)) before = buffers->parameters().clone();
  if (skips()) found_inf.zero_();
  for (size_t i = 0; i < phases.size(); ++i) {
    if (phases[i].is_active(index)) run_phase(i, batch, index);
  }
  streams.rekey(after_step_key(index));
  after_step(step_of(index, streams.noise));
  if (average) average->update(found_inf);
  if (before.defined()) update_norm = global_norm({before.sub_(buffers->parameters())});
  examples += batch.size();
  state.clock.step = ++state.step;
  monitored.reset();
  if (skips()) count_skip();
}

detail::PhaseLosses Trainer::Impl::phase_losses(size_t number, const Batch& batch, int64_t index) {
  const auto& phase = phases[number].phase;
  const auto B = batch.size();
  const auto rows = detail::parts_of(B, parts.loader->batch_size() / parts.config.accumulate);
  // Each phase has numbers of its own, so that a bad one can be replayed alone.
  const auto key = index * static_cast<int64_t>(phases.size()) + static_cast<int64_t>(number);
  buffers->zero_grad();
  detail::PhaseLosses whole;
  for (size_t i = 0; i < rows.size(); ++i) {
    const bool is_whole = rows.size() == 1;
    streams.noise.rekey(key);
    // Draws inside networks are not cut: other numbers for each part.
    streams.model.rekey(i == 0 ? key : static_cast<int64_t>(hash_key({static_cast<uint64_t>(key), i}) >> 1));
    detail::PartNoise noise(streams.noise, B, rows[i]);
    auto step = step_of(index, is_whole ? static_cast<Noise&>(streams.noise) : noise);
    auto part = is_whole ? batch : detail::rows_of(batch, rows[i]);
    auto terms = [&] {
      std::optional<Bfloat16Scope> lower;
      if (parts.config.precision == Precision::bfloat16) lower.emplace(parts.device);
      return phase.losses(part, step);
    }();
    detail::check_terms(terms, phase, part.size());
    if (!is_whole && terms.batch_loss.defined()) {
      throw ConfigError("training.accumulate: phase '" + phase.name +
                        "' has a loss of the batch as a whole, which its parts don't give; leave accumulate at 1");
    }
    const auto loss = detail::accumulate_gradients(terms, phase, B);
    whole.loss = whole.loss.defined() ? whole.loss + loss : loss;
    whole.parts.push_back({std::move(part), detail::detached(terms)});
  }
  return whole;
}

void Trainer::Impl::run_phase(size_t number, const Batch& batch, int64_t index) {
  const auto [loss, terms_of_parts] = phase_losses(number, batch, index);
  const auto& [phase, gradients, optimizer] = phases[number];
  torch::NoGradGuard no_grad;
  const auto norm = global_norm(gradients);
  note_non_finite(loss, norm, number);
  if (parts.config.clip_norm > 0) clip_gradients(gradients, norm, parts.config.clip_norm);
  optimizer->step(found_inf);
  // Of several phases the first reports under bare names, as an objective with one does.
  const auto prefix = phases.size() > 1 ? phase.name + "/" : "";
  const auto left_out = skips() ? found_inf : Tensor();
  for (const auto& [part, terms] : terms_of_parts) means.add(terms.terms, number == 0 ? "" : prefix, part.size(), left_out);
  means.add({{"loss", loss}, {"gradient_norm", norm}}, prefix, batch.size(), left_out);
}

void Trainer::Impl::note_non_finite(const Tensor& loss, const Tensor& norm, size_t phase) {
  if (parts.device.is_cpu() && std::isfinite(loss.item<double>() + norm.item<double>())) return;  // the flags are as they were
  const auto bad = ((loss + norm) * 0).ne(0);  // inf and NaN times 0 are NaN
  const auto here = index_tensor * static_cast<int64_t>(phases.size()) + static_cast<int64_t>(phase);
  if (skips()) {
    const auto first_here = bad.logical_and(found_inf.eq(0));
    first_bad.copy_(torch::where(first_here, here, first_bad));
    found_inf.copy_(bad.logical_or(found_inf.ne(0)));
    return;
  }
  first_bad.copy_(torch::where(bad.logical_and(first_bad.lt(0)), here, first_bad));
  found_inf.copy_(first_bad.ge(0));
  if (parts.device.is_cpu()) check_finite();
}

void Trainer::Impl::count_skip() {
  torch::NoGradGuard no_grad;
  const auto now = found_inf.to(torch::kLong);
  skipped.add_(now);
  skipped_in_a_row.add_(1).mul_(now);
  most_in_a_row.copy_(torch::maximum(most_in_a_row, skipped_in_a_row));
  if (!parts.device.is_cpu() || now.item<int64_t>() == 0) return;
  check_finite();
  constexpr int64_t kMaxTold = 3;  // the logs count them all
  if (skipped.item<int64_t>() > kMaxTold) return;
  const auto code = first_bad.item<int64_t>(), count = static_cast<int64_t>(phases.size());
  log_warn("skipped " + explain(code / count, static_cast<size_t>(code % count)));
}

void Trainer::Impl::check_finite() {
  const auto code = first_bad.item<int64_t>();
  if (code < 0) return;
  const auto count = static_cast<int64_t>(phases.size());
  std::string times;
  if (skips()) {
    const auto most = most_in_a_row.item<int64_t>();
    if (most < parts.config.max_skipped) return;
    times = text(count_of(most, "step"), " in a row had to be skipped (training.max_skipped); the last of them is ");
  }
  throw NumericalError(text(times, explain(code / count, static_cast<size_t>(code % count)), last_checkpoint(),
                            ". A lower learning rate or training.clip_norm often helps."));
}

void Trainer::Impl::after_step(const Step& step) {
  torch::NoGradGuard no_grad;
  if (skips() && parts.device.is_cpu() && found_inf.item<float>() != 0) return;
  std::vector<Tensor> live, before;
  // The flag isn't read here: what a non-finite step changes is put back.
  const auto keep = [&](const std::vector<Tensor>& tensors) {
    for (const auto& tensor : tensors) {
      live.push_back(tensor);
      before.push_back(tensor.clone());
    }
  };
  if (!parts.device.is_cpu()) {
    constexpr bool kRecurse = false;  // those below are stepped themselves
    for (auto* module : stepped) {
      keep(module->buffers());
      if (dynamic_cast<Quantizer*>(module)) keep(module->parameters(kRecurse));  // some move codes by hand
    }
  }
  for (auto* module : stepped) dynamic_cast<Stepped&>(*module).after_step(step);
  for (size_t i = 0; i < live.size(); ++i) live[i].copy_(torch::where(found_inf.ne(0), before[i], live[i]));
}

namespace {

/// The rows where a [B] value isn't finite, as places in the training split.
std::string bad_rows(const Tensor& value, const Batch& batch) {
  constexpr size_t kMaxShown = 8;
  const auto bad = torch::isfinite(value).logical_not().to(torch::kCPU);
  const auto index = batch.index.to(torch::kCPU);
  std::vector<std::string> rows;
  for (int64_t i = 0; i < bad.numel(); ++i) {
    if (bad[i].item<bool>()) rows.push_back(std::to_string(index[i].item<int64_t>()));
  }
  const auto count = text(rows.size(), " of ", bad.numel(), " rows (training examples ");
  if (rows.size() <= kMaxShown) return count + join(rows, ", ") + ")";
  rows.resize(kMaxShown);
  return count + join(rows, ", ") + ", …)";
}

std::string describe_value(const std::string& what, const Tensor& value, const Batch& batch) {
  return what + " is not finite" + (value.dim() == 0 ? "" : " in " + bad_rows(value, batch));
}

bool has_non_finite(const Tensor& value) { return value.defined() && !torch::isfinite(value).all().item<bool>(); }

}  // namespace

std::string Trainer::Impl::explain(int64_t index, size_t number) {
  const auto& phase = phases[number].phase;
  refill(index);
  const auto replayed = [&] {
    torch::AutoGradMode grad(true);
    return phase_losses(number, batch_of(index), index);
  }();
  std::vector<std::string> findings;
  for (const auto& [batch, terms] : replayed.parts) {
    for (const auto& term : terms.terms) {
      if (has_non_finite(term.value)) findings.push_back(describe_value("term '" + term.name + "'", term.value, batch));
    }
    if (has_non_finite(terms.loss)) findings.push_back(describe_value("the loss", terms.loss, batch));
    for (const auto& route : terms.routes) {
      if (has_non_finite(route.loss)) findings.push_back(describe_value("the loss of a route", route.loss, batch));
    }
    if (has_non_finite(terms.batch_loss)) findings.push_back(describe_value("the batch loss", terms.batch_loss, batch));
  }
  for (const auto& slot : buffers->slots()) {
    if (!has_non_finite(buffers->slice(buffers->gradients(), slot))) continue;
    findings.push_back("the first parameter with a non-finite gradient is '" + slot.name + "'");
    break;
  }
  if (findings.empty()) findings.push_back("the norm of the gradient overflowed");
  return text("step ", index, " (epoch ", index / state.clock.steps_per_epoch, ")",
              phases.size() > 1 ? ", phase '" + phase.name + "'" : "", ": ", join(findings, "; "));
}

}  // namespace elbo
