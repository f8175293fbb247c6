#pragma once
#include <filesystem>
#include <functional>
#include <optional>

#include "elbo/config/node.h"
#include "elbo/io/events.h"
#include "elbo/io/file.h"

namespace elbo {

enum class RunStart { fresh, resume };

/// What a config.yaml that was written earlier means now.
using ConfigReading = std::function<Node(const Node&)>;

/// Where the logs stood when a checkpoint was written.
struct LogPositions {
  uint64_t metrics_bytes = 0;
  std::string events_file = {};
  uint64_t events_bytes = 0;
};

/// The folder of a run: config.yaml, metrics.jsonl, log.txt, events.out.tfevents.*, checkpoints/, samples/. One process at a time
/// holds it. While it lives, log messages also go to log.txt.
/// Throws: CheckpointError when the folder already holds a run or anything else (fresh) or another process has it; ConfigError
/// when a run is resumed with a config that differs in more than the length of training, evaluation, logging and checkpoint
/// cadence (see config_differences).
class RunFolder {
 public:
  /// `config` is the resolved config; it is written to config.yaml, over that of an earlier start.
  RunFolder(std::filesystem::path path, const Node& config, RunStart start, const ConfigReading& reading = {});
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path samples() const { return path_ / "samples"; }
  RunStart start() const { return start_; }
  /// The text of config.yaml.
  const std::string& config_yaml() const { return config_yaml_; }

  AppendFile& metrics();
  EventWriter& events();
  /// Where the logs stand, after everything in them has reached the disk.
  LogPositions sync_logs();
  /// Cuts the logs back to a checkpoint's positions; to nothing without one. For the trainer, before anything is logged.
  void cut_logs(const std::optional<LogPositions>& positions);

 private:
  std::filesystem::path path_;
  RunStart start_;
  std::string config_yaml_;
  std::optional<FileLock> lock_ = {};
  std::optional<AppendFile> metrics_ = {};
  std::optional<EventWriter> events_ = {};
};

/// Throws what RunFolder would over a folder and a config, before work that would be in vain; makes nothing but a lock.
void check_run_folder(const std::filesystem::path& path, const Node& config, RunStart start, const ConfigReading& reading = {});

/// True when the folder holds a run, whole or cut short.
bool holds_run(const std::filesystem::path& path);

/// "objective.beta: 1, now 4" for every key whose value differs, those left out that a continued run may change: training.epochs,
/// training.steps, training.log_every_steps, training.checkpoint, training.early_stopping and (unless a schedule follows the
/// evaluated values) evaluation.
std::vector<std::string> config_differences(const Node& before, const Node& now);

/// Whether a schedule somewhere in a configuration follows the monitored values (`plateau`).
bool follows_evaluation(const Node& config);

}  // namespace elbo
