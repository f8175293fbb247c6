#include <algorithm>
#include <charconv>

#include "checkpoint_state.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"

namespace elbo {
namespace fs = std::filesystem;

namespace detail {

std::string checkpoint_name(int64_t step) { return "step-" + std::to_string(step); }

std::optional<int64_t> checkpoint_step(const fs::path& folder) {
  const auto name = folder.filename().string();
  int64_t step = 0;
  if (!name.starts_with("step-")) return std::nullopt;
  const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size() || step < 0) return std::nullopt;
  return step;
}

std::vector<int64_t> checkpoint_steps(const fs::path& checkpoints) {
  std::vector<int64_t> steps;
  if (!fs::is_directory(checkpoints)) return steps;
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    const auto step = checkpoint_step(entry.path());
    if (step && !entry.is_symlink() && fs::exists(entry.path() / "SHA256SUMS")) steps.push_back(*step);
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::string others_here(const fs::path& folder) {
  std::error_code ignored;
  const auto self = fs::weakly_canonical(folder, ignored);
  std::vector<std::string> names;
  for (const auto step : checkpoint_steps(self.parent_path())) {
    if (checkpoint_name(step) != self.filename()) names.push_back(checkpoint_name(step));
  }
  return names.empty() ? "" : "; others here: " + join(names, ", ");
}

}  // namespace detail

namespace {

/// Its list of checksums goes first: without it a folder is no checkpoint, however far the removal gets.
void remove_checkpoint(const fs::path& folder) {
  std::error_code error;
  fs::remove(folder / "SHA256SUMS", error);
  if (!error) fs::remove_all(folder, error);
  if (error) log_warn("cannot remove the old checkpoint " + folder.string() + ": " + error.message());
}

}  // namespace

fs::path find_checkpoint(const fs::path& run) {
  if (!fs::exists(run)) throw CheckpointError(run.string() + ": there is no such run or checkpoint");
  if (fs::exists(run / "state.json") || (detail::checkpoint_step(run) && !fs::exists(run / "checkpoints"))) return run;
  const auto checkpoints = run / "checkpoints";
  for (const char* link : {"best", "last"}) {
    if (fs::is_symlink(checkpoints / link)) return checkpoints / fs::read_symlink(checkpoints / link);
  }
  if (!holds_run(run)) throw CheckpointError(run.string() + ": expected the folder of a run or one of its checkpoints");
  const auto steps = detail::checkpoint_steps(checkpoints);
  if (steps.empty()) throw CheckpointError(run.string() + ": the run has no checkpoint yet");
  return checkpoints / detail::checkpoint_name(steps.back());
}

void keep_checkpoints(const fs::path& checkpoints, const KeptCheckpoints& kept) {
  const auto last = detail::checkpoint_name(kept.last);
  replace_link(checkpoints / "last", last);
  if (kept.best && fs::exists(checkpoints / detail::checkpoint_name(*kept.best))) {
    replace_link(checkpoints / "best", detail::checkpoint_name(*kept.best));
  }
  const auto steps = detail::checkpoint_steps(checkpoints);
  const auto num_old = static_cast<int64_t>(steps.size()) - kept.keep;
  for (int64_t i = 0; i < num_old; ++i) {
    const auto step = steps[static_cast<size_t>(i)];
    if (step != kept.last && step != kept.best) remove_checkpoint(checkpoints / detail::checkpoint_name(step));
  }
}

std::optional<fs::path> newest_checkpoint(const fs::path& checkpoints) {
  const auto steps = detail::checkpoint_steps(checkpoints);
  if (steps.empty()) return std::nullopt;
  return checkpoints / detail::checkpoint_name(steps.back());
}

std::optional<fs::path> checkpoint_to_resume(const fs::path& checkpoints) {
  if (!fs::is_directory(checkpoints)) return std::nullopt;
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    const bool half_removed =
        detail::checkpoint_step(entry.path()) && !entry.is_symlink() && !fs::exists(entry.path() / "SHA256SUMS");
    if (AtomicFolder::is_leftover(entry.path()) || half_removed) leftovers.push_back(entry.path());
  }
  for (const auto& path : leftovers) fs::remove_all(path);
  return newest_checkpoint(checkpoints);
}

}  // namespace elbo
