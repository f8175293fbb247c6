#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/config/problems.h"
#include "elbo/config/range.h"

namespace elbo {

/// The section `evaluation`: what is measured on the validation split during training, and what `elbo evaluate` measures unless
/// told otherwise.
struct EvaluationConfig {
  std::vector<std::string> metrics = {};
  int64_t samples = 100;
  int64_t every_epochs = 1;
  int64_t limit = 0;
  int64_t batch_size = 0;
  int64_t pictures = 40;

  template <class F>
  void fields(F& field) {
    field("metrics", metrics,
          "what is measured besides bound, by name; [] for what suits the model: elbo, or of codes codebook, psnr and others");
    field("samples", samples, "importance samples an example of log_likelihood", between(1, 10'000'000));
    field("every_epochs", every_epochs, "epochs between evaluations; the end of training always has one", at_least(1));
    field("limit", limit, "first rows of the split that are evaluated during training; 0 for all", at_least(0));
    field("batch_size", batch_size, "rows an evaluation batch; 0 for that of data", at_least(0));
    field("pictures", pictures, "samples and reconstructions drawn at each evaluation, where x is an image; 0 for none",
          between(0, 400));
  }
  /// Every name in `metrics` is a metric.
  void check(Relations& relations) const;
};

}  // namespace elbo
