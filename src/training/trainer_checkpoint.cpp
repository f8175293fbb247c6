#include <ATen/Parallel.h>
#include <torch/version.h>

#include "checkpoint_state.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/io/safetensors.h"
#include "elbo/math/tensors.h"
#include "trainer_impl.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {
const std::string kMeans = "means.";
}

std::vector<NamedTensor> Trainer::Impl::slices_of(const Tensor& flat, const std::string& prefix) const {
  std::vector<NamedTensor> tensors;
  for (const auto& slot : buffers->slots()) tensors.push_back({prefix + slot.name, buffers->slice(flat, slot)});
  return tensors;
}

std::vector<NamedTensor> Trainer::Impl::optimizer_tensors() const {
  std::vector<NamedTensor> tensors;
  for (size_t i = 0; i < phases.size(); ++i) {
    const auto& owned = buffers->segments_of(i);
    for (const auto& [name, values] : phases[i].optimizer->state()) {
      const auto prefix = "optimizer." + phases[i].phase.name + "." + name + ".";
      for (size_t s = 0; s < owned.size(); ++s) {
        if (values[s].dim() == 0) {
          tensors.push_back({prefix + std::to_string(s), values[s]});
          continue;
        }
        for (const auto& slot : buffers->slots()) {
          if (slot.segment == owned[s]) tensors.push_back({prefix + slot.name, slot.of(values[s])});
        }
      }
    }
  }
  return tensors;
}

void Trainer::Impl::write_checkpoint() {
  if (!parts.run) throw UsageError("a checkpoint needs a run folder");
  const auto folder = parts.run->checkpoints() / detail::checkpoint_name(state.step);
  if (fs::exists(folder)) return;
  check_finite();
  CheckpointContents contents{.state = {.step = state.step,
                                        .epoch = state.epoch(),
                                        .seed = parts.seed,
                                        .num_threads = at::get_num_threads(),
                                        .batch_size = parts.loader->batch_size(),
                                        .num_examples = parts.loader->num_examples(),
                                        .initialised = initialised,
                                        .monitor = parts.config.monitor,
                                        .monitored = monitored,
                                        .best = best,
                                        .history = history,
                                        .measured = measured,
                                        .evaluation_due = evaluation_due,
                                        .skipped = skipped.item<int64_t>(),
                                        .skipped_in_a_row = skipped_in_a_row.item<int64_t>(),
                                        .logs = parts.run->sync_logs(),
                                        .data_sha256 = parts.data_sha256,
                                        .data_spec = parts.data_spec,
                                        .bases = parts.bases},
                              .config_yaml = parts.run->config_yaml()};
  contents.training = optimizer_tensors();
  for (const auto& [name, tensor] : means.tensors()) contents.training.push_back({kMeans + name, tensor});
  {
    std::optional<AveragedWeights> averaged;
    if (average) {
      averaged.emplace(*buffers, *average);
      for (auto& raw : slices_of(averaged->raw(), "raw.")) contents.training.push_back(std::move(raw));
    }
    for (auto& tensor : named_tensors(*parts.objective, "objective.")) contents.training.push_back(std::move(tensor));
    contents.model = named_tensors(*parts.model);
    elbo::write_checkpoint(folder, contents);
  }
  point_links();
}

void Trainer::Impl::replace_checkpoint() {
  const auto folder = parts.run->checkpoints() / detail::checkpoint_name(state.step);
  // Without its checksums it is no checkpoint: a process killed in here leaves one that is removed and trained for again.
  fs::remove(folder / "SHA256SUMS");
  fs::remove_all(folder);
  write_checkpoint();
}

void Trainer::Impl::point_links() {
  keep_checkpoints(
      parts.run->checkpoints(),
      {.last = state.step, .best = best ? std::optional(best->step) : std::nullopt, .keep = parts.config.checkpoint.keep});
}

void Trainer::Impl::resume() {
  if (!parts.run) throw UsageError("only a training with a run folder can be resumed");
  if (state.step != 0) throw UsageError("a training can be resumed only before its first step");
  const auto folder = checkpoint_to_resume(parts.run->checkpoints());
  if (!folder) {
    parts.run->cut_logs(std::nullopt);
    return;
  }
  const Checkpoint checkpoint(*folder);
  const auto& saved = checkpoint.state();
  if (saved.seed != parts.seed || saved.batch_size != parts.loader->batch_size() ||
      saved.num_examples != parts.loader->num_examples()) {
    throw CheckpointError(text(folder->string(), ": written with seed ", saved.seed, ", batches of ", saved.batch_size, " and ",
                               saved.num_examples, " training examples; this run has seed ", parts.seed, ", batches of ",
                               parts.loader->batch_size(), " and ", parts.loader->num_examples(),
                               " examples. It can only be continued on the same data."));
  }
  if (saved.data_sha256 != parts.data_sha256) {
    throw CheckpointError(text(folder->string(), ": the data have changed since it was written (SHA-256 ", saved.data_sha256,
                               ", now ", parts.data_sha256, "). It can only be continued on the same data."));
  }
  if (saved.num_threads != at::get_num_threads()) {
    log_warn(text("the run was made with ", count_of(saved.num_threads, "thread"), " and goes on with ", at::get_num_threads(),
                  ": its numbers may differ in the last digits from those of a run that was never stopped"));
  }
  if (saved.torch_version != TORCH_VERSION) {
    log_warn(text("the run was made with LibTorch ", saved.torch_version, " and goes on with ", TORCH_VERSION));
  }

  auto raw = torch::zeros_like(buffers->parameters());
  auto training = optimizer_tensors();
  for (auto& tensor : named_tensors(*parts.objective, "objective.")) training.push_back(std::move(tensor));
  if (average) {
    for (auto& tensor : slices_of(raw, "raw.")) training.push_back(std::move(tensor));
  }
  std::vector<NamedTensor> window;
  const SafetensorsFile file(checkpoint.training_file());
  for (const auto& name : file.names()) {
    if (!name.starts_with(kMeans)) continue;
    training.push_back({name, torch::zeros({2}, torch::kDouble)});
    window.push_back({name.substr(kMeans.size()), training.back().tensor});
  }
  checkpoint.load_model(*parts.model);
  load_by_name(checkpoint.training_file(), training);
  if (average) {
    average->values().copy_(buffers->parameters());
    buffers->parameters().copy_(raw);
  }
  means.restore(window);
  state.step = state.clock.step = saved.step;
  initialised = saved.initialised;
  monitored = saved.monitored;
  best = saved.best;
  history = saved.history;
  if (!history.empty()) state.clock.monitored = std::make_shared<const std::vector<double>>(history);
  if (!saved.measured.empty()) measured = saved.measured;
  evaluation_due = saved.evaluation_due;
  skipped.fill_(saved.skipped);
  skipped_in_a_row.fill_(saved.skipped_in_a_row);
  most_in_a_row.fill_(saved.skipped_in_a_row);
  parts.run->cut_logs(saved.logs);
  point_links();  // a process killed between a checkpoint and its links leaves them behind
  log_info(text("continuing from ", folder->string(), ", step ", with_commas(saved.step), " of ",
                with_commas(state.clock.total_steps)));
}

std::string Trainer::Impl::last_checkpoint() const {
  if (!parts.run) return "";
  const auto steps = detail::checkpoint_steps(parts.run->checkpoints());
  if (steps.empty()) return "; no checkpoint had been written yet";
  return "; the last good checkpoint is " + (parts.run->checkpoints() / detail::checkpoint_name(steps.back())).string();
}

}  // namespace elbo
