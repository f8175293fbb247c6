#pragma once
#include <string_view>

namespace elbo {

/// A module whose output for an example depends, in training, on the others of its batch (batch normalisation, an optimal scale).
/// A short last batch is then dropped, and accumulation over micro-batches refused, naming it.
class CouplesBatch {
 public:
  virtual ~CouplesBatch() = default;
  /// "batch normalisation", for messages. Empty where this instance does not couple after all.
  virtual std::string_view couples_batch_by() const = 0;
};

}  // namespace elbo
