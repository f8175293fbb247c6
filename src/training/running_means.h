#pragma once
#include "elbo/objectives/objective.h"
#include "elbo/optim/flat_buffer.h"
#include "elbo/training/hook.h"

namespace elbo::detail {

/// Means over the examples since the last log point, summed on the device in float64; only read() synchronises.
class RunningMeans {
 public:
  explicit RunningMeans(at::Device device) : device_(device) {}

  /// Adds values ([B] or 0-dim) of one step; `prefix` goes before every name. Where `skipped` (0-dim) is given and 1, the values
  /// do not count.
  void add(const std::vector<Term>& terms, const std::string& prefix, int64_t B, const Tensor& skipped = {});
  /// The means in the order in which their names were first seen; starts the next window.
  NamedValues read();

  /// The window as tensors by name, [sum, weight], and back: a checkpoint in the middle of a window loses nothing.
  std::vector<NamedTensor> tensors() const;
  void restore(const std::vector<NamedTensor>& tensors);

 private:
  /// Where the names stand in sums_, appended when they are new; consecutive for the terms of a phase.
  int64_t place_of(const std::vector<std::string>& names);
  void add_on_host(const std::vector<Term>& terms, int64_t place, int64_t B, bool skipped);

  at::Device device_;
  std::vector<std::string> names_ = {};
  std::vector<double> weights_ = {};
  Tensor sums_;      // [names]
  Tensor left_out_;  // [names], the weight of skipped values
};

}  // namespace elbo::detail
