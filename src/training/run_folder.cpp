#include "elbo/training/run_folder.h"

#include <algorithm>

#include "checkpoint_state.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/config/yaml.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kEventsPrefix = "events.out.tfevents.";
constexpr std::string_view kLockName = ".lock";

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw CheckpointError("cannot create the folder " + path.string() + ": " + error.message());
}

void check_same_config(const fs::path& run, const Node& now, const ConfigReading& reading) {
  const auto before = load_yaml(run / "config.yaml");
  const auto differences = config_differences(reading ? reading(before) : before, now);
  if (differences.empty()) return;
  throw ConfigError(
      run.string() + ": this run was started with another config:\n  " + join(differences, "\n  ") +
      "\nA continued run may change the length of training, its logging and checkpoints, and evaluation only; put the "
      "rest back or choose another --run.");
}

/// A lock alone is what a start leaves that was refused or killed at once. A config.yaml alone may be anybody's: a run makes its
/// checkpoints/ first.
void check_empty_or_run(const fs::path& path) {
  std::error_code unreadable;  // taking the lock will say it better
  const auto is_lock = [](const fs::directory_entry& entry) { return entry.path().filename() == kLockName; };
  const bool empty = std::all_of(fs::directory_iterator(path, unreadable), fs::directory_iterator(), is_lock);
  if (!empty && !fs::exists(path / "checkpoints")) {
    throw CheckpointError(path.string() + " is not empty and holds no run; choose another --run");
  }
}

/// It has a config.yaml too: a run that went on in it would write over what its checksums are of.
void check_no_checkpoint(const fs::path& path) {
  if (!fs::exists(path / "state.json")) return;
  throw CheckpointError(path.string() + " is a checkpoint; name the folder of its run");
}

void check_no_run(const fs::path& path) {
  if (!holds_run(path)) return;
  if (detail::checkpoint_steps(path / "checkpoints").empty()) {
    throw CheckpointError(path.string() + " holds a run that has no checkpoint yet; delete it or choose another --run");
  }
  throw CheckpointError(path.string() + " already holds a run; continue it with --resume or choose another --run");
}

/// What a killed run left half written, apart from checkpoints, which checkpoint_to_resume() looks after. In the run's folder
/// itself other commands write too.
void clear_leftovers(const fs::path& run) {
  std::vector<fs::path> leftovers;
  for (const auto& [folder, prefix] : {std::pair(run, ".config.yaml."), std::pair(run / "samples", ".step-")}) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const bool ours = entry.is_regular_file() && entry.path().filename().string().starts_with(prefix);
      if (ours && AtomicFolder::is_leftover(entry.path())) leftovers.push_back(entry.path());
    }
  }
  for (const auto& path : leftovers) fs::remove(path);
}

std::vector<fs::path> event_files(const fs::path& run) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(run)) {
    if (entry.path().filename().string().starts_with(kEventsPrefix)) files.push_back(entry.path());
  }
  return files;
}

}  // namespace

bool holds_run(const fs::path& path) { return fs::exists(path / "config.yaml") || fs::exists(path / "checkpoints"); }

void check_run_folder(const fs::path& path, const Node& config, RunStart start, const ConfigReading& reading) {
  if (!fs::exists(path)) return;
  check_no_checkpoint(path);
  if (start == RunStart::fresh) check_empty_or_run(path);
  const FileLock lock(path / kLockName);
  if (start == RunStart::fresh) check_no_run(path);
  if (fs::exists(path / "config.yaml")) check_same_config(path, config, reading);
}

RunFolder::RunFolder(fs::path path, const Node& config, RunStart start, const ConfigReading& reading)
    : path_(std::move(path)), start_(start) {
  make_folder(path_);
  check_no_checkpoint(path_);
  if (start == RunStart::fresh) check_empty_or_run(path_);  // before the lock: nothing is left in a stranger's folder
  lock_.emplace(path_ / kLockName);
  if (start == RunStart::fresh) check_no_run(path_);
  if (fs::exists(path_ / "config.yaml")) check_same_config(path_, config, reading);
  make_folder(checkpoints());
  make_folder(samples());
  clear_leftovers(path_);
  config_yaml_ = to_yaml(config);
  write_atomically(path_ / "config.yaml", config_yaml_);
  add_log_file(path_ / "log.txt");
}

RunFolder::~RunFolder() { remove_log_file(); }

AppendFile& RunFolder::metrics() {
  if (!metrics_) metrics_.emplace(path_ / "metrics.jsonl");
  return *metrics_;
}

EventWriter& RunFolder::events() {
  if (!events_) events_.emplace(EventWriter::create(path_));
  return *events_;
}

LogPositions RunFolder::sync_logs() {
  LogPositions positions;
  if (metrics_) {
    metrics_->sync();
    positions.metrics_bytes = metrics_->size();
  }
  if (events_) {
    events_->flush();
    positions.events_file = events_->path().filename().string();
    positions.events_bytes = events_->size();
  }
  return positions;
}

void RunFolder::cut_logs(const std::optional<LogPositions>& positions) {
  const auto at = positions.value_or(LogPositions{});
  metrics_.reset();
  events_.reset();
  if (fs::exists(path_ / "metrics.jsonl") || at.metrics_bytes > 0)
    AppendFile::truncate_to(path_ / "metrics.jsonl", at.metrics_bytes);
  for (const auto& file : event_files(path_)) {
    if (file.filename() != at.events_file) fs::remove(file);
  }
  if (!at.events_file.empty()) events_.emplace(EventWriter::reopen(path_ / at.events_file, at.events_bytes));
  metrics();
}

}  // namespace elbo
