#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/aggregators/subsets.h"
#include "elbo/config/catalog.h"
#include "elbo/data/dataset.h"
#include "elbo/evaluation/granule_noise.h"
#include "elbo/models/model.h"
#include "elbo/objectives/objective.h"

namespace elbo {

/// One number of an evaluation.
struct Measurement {
  std::string name = {};  // "log_likelihood"
  std::string unit = {};  // "nats"; empty for counts and ratios
  double value = 0;
  std::optional<double> standard_error = std::nullopt;  // over examples
  std::string note = {};                                // how it was computed where that is not the usual way
  Tensor per_example = {};  // [N] float64 on the host, in the split's order; undefined where there is none

  /// "log_likelihood_nats"
  std::string key() const;
  /// "log_likelihood_standard_error_nats"
  std::string error_key() const;
};

/// Mean and standard error of [N] values, kept as the per-example table too.
Measurement measure(std::string name, std::string unit, const Tensor& per_example);

/// How far a metric is.
struct EvaluationProgress {
  std::string_view metric = {};
  int64_t done = 0;
  int64_t total = 0;
  std::string_view unit = {};  // "img", "samples"
};

/// What is evaluated, on which rows, and with how much effort. Nothing here but `samples` and `seed` changes a number beyond
/// rounding.
struct EvaluationContext {
  Model& model;
  Objective* objective = nullptr;  // what `bound` needs
  std::shared_ptr<const Dataset> dataset = nullptr;
  Split split = Split::test;
  int64_t limit = 0;    // the first rows of the split only; 0 = all
  int64_t samples = 1;  // importance samples K an example of log_likelihood
  uint64_t seed = 0;
  at::Device device = at::kCPU;
  int64_t batch_size = 128;
  int64_t max_rows = int64_t{1} << 14;  // decoder rows (samples x examples) at once
  PlacedNoise* noise = nullptr;         // nullptr = GranuleNoise(seed, device)
  PlacedNoise* elbo_noise = nullptr;    // what metric `elbo` draws from instead: a RecordingNoise for --save-noise
  std::function<void(const EvaluationProgress&)> progress = {};
  /// Which subsets the metrics of models of several modalities look at; unset = what is usual with each of them.
  std::optional<SubsetChoice> subsets = std::nullopt;
  std::filesystem::path cache = {};  // where classifiers trained for a metric are kept between evaluations; empty = nowhere
};

/// Measures a model on a split. While it does, gradients are off and model and objective are in evaluation mode.
class Metric {
 public:
  virtual ~Metric() = default;
  /// Throws: UsageError naming what the model is and can, where it lacks what the metric reads. Looks at no data.
  virtual void check(const EvaluationContext& context) const = 0;
  virtual std::vector<Measurement> evaluate(const EvaluationContext& context) const = 0;
};

/// What is measured where the config names nothing: elbo of a variational model; of a quantised one bound, codebook, and as far
/// as the data have them bits_per_dim, reconstruction_error, psnr and ssim.
std::vector<std::string> default_metrics(const Model& model, const DataSpec& spec);

/// The axis `metric`; `elbo list metric` tells what there is.
Catalog<Metric>& metrics();

}  // namespace elbo
