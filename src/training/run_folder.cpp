#include "elbo/training/run_folder.h"

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/config/yaml.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kEventsPrefix = "events.out.tfevents.";

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw CheckpointError("cannot create the folder " + path.string() + ": " + error.message());
}

void check_same_config(const fs::path& run, const Node& now) {
  const auto differences = config_differences(load_yaml(run / "config.yaml"), now);
  if (differences.empty()) return;
  throw ConfigError(
      run.string() + ": this run was started with another config:\n  " + join(differences, "\n  ") +
      "\nA continued run may change the length of training, its logging and checkpoints, and evaluation only; put the "
      "rest back or choose another --run.");
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

RunFolder::RunFolder(fs::path path, const Node& config, RunStart start) : path_(std::move(path)), start_(start) {
  make_folder(path_);
  lock_.emplace(path_ / ".lock");
  if (start == RunStart::fresh && holds_run(path_)) {
    throw CheckpointError(path_.string() + " already holds a run; continue it with --resume or choose another --run");
  }
  if (fs::exists(path_ / "config.yaml")) check_same_config(path_, config);
  make_folder(checkpoints());
  make_folder(samples());
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
