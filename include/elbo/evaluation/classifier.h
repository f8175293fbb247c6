#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "elbo/data/dataset.h"
#include "elbo/distributions/distribution.h"
#include "elbo/evaluation/metric.h"

namespace elbo {

/// Tells a row's label from one field of a data set: the toolkit's own judge of what a model generates. Numbers built on it
/// compare with each other, not with those of anybody else's network.
class Classifier {
 public:
  virtual ~Classifier() = default;
  /// The likeliest class. Shapes: x [N, event...] -> [N] int64.
  virtual Tensor predict(const Tensor& x) const = 0;
  /// The penultimate layer, nothing dropped. Shapes: [N, num_features()].
  virtual Tensor features(const Tensor& x) const = 0;
  /// 0 where the field is the label itself, which is predicted by looking at it.
  virtual int64_t num_features() const = 0;
};

/// The field that classifiers learn.
inline constexpr const char* kLabelField = "label";

/// Throws: UsageError naming the fields there are, unless the data have single labels of at least two classes.
const FieldSpec& label_spec(const DataSpec& spec, std::string_view metric);

/// What a classifier learns from.
struct ClassifierTask {
  std::shared_ptr<const Dataset> dataset = nullptr;
  std::string field = {};
  at::Device device = at::kCPU;
  std::function<void(const EvaluationProgress&)> progress = {};
};

/// Trained on the training split, rows that lack the field or the label left out. A function of the data and the field alone:
/// no model and no seed of a run enters. Images of at least 16 x 16 get strided convolutions 4 x 4 of 16, 32, … channels down to
/// 8 x 8 or less, then 128 features; everything else 256 and 128 units. Adam for four epochs, but 500 to 4,000 steps.
/// Source: the digit classifier of Shi et al. 2019 (arXiv:1911.03393) and Sutter et al. 2021 (arXiv:2105.02470).
/// Differs: wider, any size of image, dropout of the features only.
std::shared_ptr<const Classifier> train_classifier(const ClassifierTask& task);

/// The same, read from the folder `cache` where it is, else trained and written there whole; an empty path keeps nothing. A file
/// of other data or another recipe, or a damaged one, is replaced, which the log says.
std::shared_ptr<const Classifier> kept_classifier(const ClassifierTask& task, const std::filesystem::path& cache);

/// Of the context's data and cache, and kept in memory for as long as the data set lives: the metrics of one evaluation and the
/// evaluations of one training share it.
std::shared_ptr<const Classifier> classifier_of(const EvaluationContext& context, const std::string& field);

/// What a classifier is shown of p(x_m | z): the mean, or of classes and tables the mode. Shapes: [batch..., event...].
Tensor shown_to_classifier(const Distribution& likelihood, const FieldSpec& spec);

}  // namespace elbo
