#pragma once
#include <memory>

#include "elbo/training/hook.h"
#include "elbo/training/run_folder.h"

namespace elbo {

/// metrics.jsonl: one object a line, `step`, `epoch`, `split`, then the named values (null where one isn't finite).
std::shared_ptr<Hook> make_metrics_log(RunFolder& run);

/// TensorBoard scalars "split/name" in the run's event file.
std::shared_ptr<Hook> make_events_log(RunFolder& run);

/// The progress line on standard error: epoch, rate, the latest training values, time left of the whole training.
struct ProgressLineConfig {
  int64_t num_examples = 0;  // of an epoch
  std::string unit = "examples";
  size_t num_values = 3;  // values shown
};
std::shared_ptr<Hook> make_progress_line(const ProgressLineConfig& config);

}  // namespace elbo
