#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/models/initialises.h"
#include "elbo/optim/clip.h"
#include "trainer_impl.h"

namespace elbo {

Step Trainer::Impl::step_of(int64_t index) {
  index_tensor.fill_(index);
  return {.index = index,
          .epoch = index / state.clock.steps_per_epoch,
          .index_tensor = index_tensor,
          .training = true,
          .noise = streams.noise,
          .streams = streams,
          .collective = parts.collective ? *parts.collective : single_process};
}

void Trainer::Impl::refill(int64_t index) {
  auto clock = state.clock;
  clock.step = index;
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
  auto step = step_of(0);
  if (auto* model = dynamic_cast<Initialises*>(parts.model.get())) model->initialise(batch, step);
  if (auto* objective = dynamic_cast<Initialises*>(parts.objective.get())) objective->initialise(batch, step);
  if (average) average->values().copy_(buffers->parameters());
  initialised = true;
}

void Trainer::Impl::step() {
  initialise();
  const auto index = state.step;
  refill(index);
  const auto batch = batch_of(index);
  auto step = step_of(index);
  for (size_t i = 0; i < phases.size(); ++i) {
    if (phases[i].is_active(index)) run_phase(i, batch, step);
  }
  after_step(step);
  if (average) average->update(found_inf);
  state.clock.step = ++state.step;
  monitored.reset();
}

void Trainer::Impl::run_phase(size_t number, const Batch& batch, Step& step) {
  auto& [phase, gradients, optimizer] = phases[number];
  const auto B = batch.size();
  // Each phase has numbers of its own, so that a bad one can be replayed alone.
  const auto key = step.index * static_cast<int64_t>(phases.size()) + static_cast<int64_t>(number);
  streams.noise.rekey(key);
  streams.model.rekey(key);
  buffers->zero_grad();
  const auto terms = phase.losses(batch, step);
  detail::check_terms(terms, phase, B);
  const auto loss = detail::accumulate_gradients(terms, phase, B);

  torch::NoGradGuard no_grad;
  const auto norm = global_norm(gradients);
  note_non_finite(loss, norm, number);
  if (parts.config.clip_norm > 0) clip_gradients(gradients, norm, parts.config.clip_norm);
  optimizer->step(found_inf);
  // Of several phases the first reports under bare names, as an objective with one does.
  const auto prefix = phases.size() > 1 ? phase.name + "/" : "";
  means.add(terms.terms, number == 0 ? "" : prefix, B);
  means.add({{"loss", loss}, {"gradient_norm", norm}}, prefix, B);
}

void Trainer::Impl::note_non_finite(const Tensor& loss, const Tensor& norm, size_t phase) {
  const auto bad = ((loss + norm) * 0).ne(0);  // inf and NaN times 0 are NaN
  const auto here = index_tensor * static_cast<int64_t>(phases.size()) + static_cast<int64_t>(phase);
  first_bad.copy_(torch::where(bad.logical_and(first_bad.lt(0)), here, first_bad));
  found_inf.copy_(first_bad.ge(0));
  if (parts.device.is_cpu()) check_finite();
}

void Trainer::Impl::check_finite() {
  const auto code = first_bad.item<int64_t>();
  if (code < 0) return;
  const auto count = static_cast<int64_t>(phases.size());
  explain(code / count, static_cast<size_t>(code % count));
}

void Trainer::Impl::after_step(const Step& step) {
  torch::NoGradGuard no_grad;
  std::vector<Tensor> live, before;
  if (!parts.device.is_cpu()) {  // the flag isn't read here: what a non-finite step changes is put back
    for (auto* module : stepped) {
      for (const auto& buffer : module->buffers()) {
        live.push_back(buffer);
        before.push_back(buffer.clone());
      }
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

void Trainer::Impl::explain(int64_t index, size_t number) {
  const auto& phase = phases[number].phase;
  refill(index);
  const auto batch = batch_of(index);
  auto step = step_of(index);
  const auto key = index * static_cast<int64_t>(phases.size()) + static_cast<int64_t>(number);
  streams.noise.rekey(key);
  streams.model.rekey(key);
  buffers->zero_grad();
  const auto terms = [&] {
    torch::AutoGradMode grad(true);
    auto again = phase.losses(batch, step);
    detail::accumulate_gradients(again, phase, batch.size());
    return again;
  }();

  std::vector<std::string> findings;
  for (const auto& term : terms.terms) {
    if (has_non_finite(term.value)) findings.push_back(describe_value("term '" + term.name + "'", term.value, batch));
  }
  if (has_non_finite(terms.loss)) findings.push_back(describe_value("the loss", terms.loss, batch));
  for (const auto& route : terms.routes) {
    if (has_non_finite(route.loss)) findings.push_back(describe_value("the loss of a route", route.loss, batch));
  }
  if (has_non_finite(terms.batch_loss)) findings.push_back(describe_value("the batch loss", terms.batch_loss, batch));
  for (const auto& slot : buffers->slots()) {
    if (!has_non_finite(buffers->slice(buffers->gradients(), slot))) continue;
    findings.push_back("the first parameter with a non-finite gradient is '" + slot.name + "'");
    break;
  }
  if (findings.empty()) findings.push_back("the norm of the gradient overflowed");
  throw NumericalError(text("step ", index, " (epoch ", step.epoch, ")", phases.size() > 1 ? ", phase '" + phase.name + "'" : "",
                            ": ", join(findings, "; "), last_checkpoint(),
                            ". A lower learning rate or training.clip_norm often helps."));
}

}  // namespace elbo
