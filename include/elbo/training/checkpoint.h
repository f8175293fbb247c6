#pragma once
#include <torch/nn/module.h>

#include <filesystem>
#include <optional>

#include "elbo/data/spec.h"
#include "elbo/optim/flat_buffer.h"
#include "elbo/training/run_folder.h"

namespace elbo {

/// The finished run that a second stage builds on, as it was: what rebuilds its model without it. The weights are in the second
/// stage's own, below `base.`.
struct BaseRecord {
  std::string run = {};         // where it lay
  std::string checkpoint = {};  // "step-4000"
  std::string config_yaml = {};
  std::string weights_sha256 = {};
  std::string data_sha256 = {};
  DataSpec data_spec = {};
};

struct BestValue {
  double value = 0;
  int64_t step = 0;
};

/// state.json of a checkpoint: what isn't a tensor.
struct CheckpointState {
  int64_t step = 0;
  int64_t epoch = 0;
  uint64_t seed = 0;
  int64_t num_threads = 1;
  int64_t batch_size = 0;  // with `step`, the loader's position
  int64_t num_examples = 0;
  bool initialised = false;
  std::string monitor = {};
  std::optional<double> monitored = {};  // the value at this step, where it was evaluated
  std::optional<BestValue> best = {};
  std::vector<double> history = {};  // Clock::monitored
  std::string measured = {};         // what the monitored values were measured on; those of another are not compared with them
  bool evaluation_due = false;       // stopped in the middle of the evaluation of this step
  int64_t skipped = 0;               // steps so far whose loss was not finite
  int64_t skipped_in_a_row = 0;      // the last of them, up to here
  LogPositions logs = {};
  std::string data_sha256 = {};    // the data set's fingerprint
  DataSpec data_spec = {};         // what the model was built for, so that it can be built without the data
  std::vector<BaseRecord> bases = {};  // of a second stage: what it builds on, then what that one builds on, …
  std::string config_sha256 = {};  // this and what follows: filled when written
  std::string library_version = {};
  std::string torch_version = {};
};

struct CheckpointContents {
  std::vector<NamedTensor> model = {};     // the weights that are evaluated, by module path
  std::vector<NamedTensor> training = {};  // raw weights, optimisers, objective, running means
  CheckpointState state = {};
  std::string config_yaml = {};
};

/// Writes the folder `folder` at once or not at all: model.safetensors, training.safetensors, state.json, config.yaml,
/// SHA256SUMS.
void write_checkpoint(const std::filesystem::path& folder, const CheckpointContents& contents);

/// A checkpoint folder whose checksums were verified and whose state.json was read when it was opened.
/// Throws: CheckpointError naming the file that is missing or altered, and the other checkpoints beside this one.
class Checkpoint {
 public:
  explicit Checkpoint(std::filesystem::path folder);
  const std::filesystem::path& folder() const { return folder_; }
  const CheckpointState& state() const { return state_; }
  /// The resolved config, a document of its own; `config_path` is where it lies, for messages.
  const std::string& config_yaml() const { return config_yaml_; }
  std::filesystem::path config_path() const { return folder_ / "config.yaml"; }
  std::filesystem::path model_file() const { return folder_ / "model.safetensors"; }
  std::filesystem::path training_file() const { return folder_ / "training.safetensors"; }
  /// SHA-256 of model.safetensors: which weights a result was computed from.
  const std::string& model_sha256() const { return model_sha256_; }
  /// Copies the evaluated weights into the parameters and buffers of a model, on whatever device they are.
  /// Throws: CheckpointError with everything missing, unexpected and misshapen.
  void load_model(torch::nn::Module& model) const;
  /// The same for the weights of an objective that has any (critics); those of a checkpoint that was imported stay as they are.
  void load_objective(torch::nn::Module& objective) const;

 private:
  std::filesystem::path folder_;
  CheckpointState state_ = {};
  std::string config_yaml_;
  std::string model_sha256_;
};

/// RUN of the command line: a run folder means its best checkpoint if there is one, else the last; a checkpoint folder means
/// itself. Throws: CheckpointError when it is neither.
std::filesystem::path find_checkpoint(const std::filesystem::path& run);

/// Parameters and buffers by module path, in a fixed order.
std::vector<NamedTensor> named_tensors(const torch::nn::Module& module, const std::string& prefix = "");

/// Copies a safetensors file (of it, the names that start with `prefix`) into the tensors by name, on whatever device they are;
/// nothing is changed unless all of them fit.
/// Throws: CheckpointError with everything missing, unexpected and misshapen.
void load_by_name(const std::filesystem::path& file, const std::vector<NamedTensor>& tensors, std::string_view prefix = "");

/// Points `last` (and `best`) at checkpoints of this folder, then removes all but the newest `keep` and those two.
struct KeptCheckpoints {
  int64_t last = 0;  // their steps
  std::optional<int64_t> best = {};
  int64_t keep = 3;
};
void keep_checkpoints(const std::filesystem::path& checkpoints, const KeptCheckpoints& kept);

/// The newest whole checkpoint, from which a continued run goes on; nothing when there is none.
std::optional<std::filesystem::path> newest_checkpoint(const std::filesystem::path& checkpoints);

/// The same after removing what a killed process left half written or half removed. For the holder of the run's lock.
std::optional<std::filesystem::path> checkpoint_to_resume(const std::filesystem::path& checkpoints);

}  // namespace elbo
