#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "elbo/base/json.h"

namespace elbo {

/// One key that a sweep varies.
struct SweepAxis {
  std::string key = {};                  // "objective.beta"
  std::vector<std::string> values = {};  // as written
};

/// One point of the grid.
struct SweepSetting {
  std::vector<std::string> values = {};     // one an axis
  std::vector<std::string> overrides = {};  // for load_experiment: the constant ones, then the axes'
  std::string folder = {};                  // "objective.beta=0.5"; "all" where nothing is varied
};

/// What `--set KEY=VALUE[,VALUE…]` asks for: every combination of the values.
struct SweepPlan {
  std::vector<SweepAxis> axes = {};        // keys with several values, in the order given
  std::vector<std::string> constant = {};  // assignments with one value
  /// The grid, the last axis running fastest.
  std::vector<SweepSetting> settings() const;
};

/// Throws: UsageError for what is no assignment, an empty value, a value or a key that is given twice.
SweepPlan plan_sweep(std::span<const std::string> assignments);

/// The values between commas outside of brackets, braces and quotes: "[1,2],[3]" are two.
std::vector<std::string> sweep_values(const std::string& text);

/// How one run of a sweep ended.
struct SweepRun {
  size_t setting = 0;
  int64_t seed = 0;
  std::filesystem::path folder = {};
  std::filesystem::path log = {};
  std::optional<int> exit_code = {};           // of the command that failed; absent: finished
  std::string failed_in = {};                  // "train", "evaluate"
  std::string reason = {};                     // the last error of the log
  std::map<std::string, double> metrics = {};  // "test/elbo_nats"
};

/// Over the seeds of a setting; without a standard error for one value.
struct SweepMean {
  int64_t count = 0;
  double mean = 0;
  std::optional<double> standard_error = {};
};
SweepMean mean_of(std::span<const double> values);

/// The result of a sweep: a row a setting, means and standard errors over the seeds whose runs finished.
struct SweepTable {
  SweepPlan plan = {};
  std::vector<SweepRun> runs = {};
  /// "valid/bound_nats", …: of all runs, in the order first seen.
  std::vector<std::string> metrics = {};

  std::string text() const;
  std::string csv() const;
  Json json() const;
};

}  // namespace elbo
