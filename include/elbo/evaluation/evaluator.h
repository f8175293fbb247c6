#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "elbo/base/json.h"
#include "elbo/evaluation/metric.h"
#include "elbo/training/evaluation_mode.h"

namespace elbo {

/// "train", "valid", "test".
std::string_view split_name(Split split);

/// What was measured, in the order asked for.
struct EvaluationResult {
  Split split = Split::test;
  int64_t num_examples = 0;
  int64_t samples = 1;
  uint64_t seed = 0;
  std::vector<Measurement> measurements = {};

  /// Throws: UsageError naming the keys there are.
  const Measurement& at(std::string_view key) const;
};

/// Runs metrics by name. Throws: UsageError for an unknown name or what the model lacks; NumericalError naming the metric and the
/// first row whose value is not finite.
EvaluationResult evaluate(const EvaluationContext& context, const std::vector<std::string>& names);

/// Where a result comes from: enough to compute it again.
struct EvaluationOrigin {
  std::string run = {};
  std::string checkpoint = {};
  std::string config = {};          // the experiment's name
  std::string weights_sha256 = {};  // of model.safetensors
  std::string data_sha256 = {};     // the data set's fingerprint
  std::string device = {};
  int64_t limit = 0;  // as asked for; 0 = all rows
};

/// {"run", "checkpoint", "config", "weights_sha256", "data_sha256", "elbo_version", "device", "split", "num_examples", "limit",
/// "samples", "seed", "metrics": {key: value}, "notes": {key: text}}; notes only where there are any.
Json to_json(const EvaluationResult& result, const EvaluationOrigin& origin);

/// Tables for the terminal: metric, value, standard error; numbers of subsets of modalities, a row a subset; then the notes.
std::string to_text(const EvaluationResult& result);

/// One row an example: `index` and a column for each measurement that has them. The ending decides: .csv or .npz.
/// Throws: UsageError for another ending.
void write_per_example(const EvaluationResult& result, const std::filesystem::path& path);

}  // namespace elbo
