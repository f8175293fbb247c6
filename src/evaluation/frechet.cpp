#include "elbo/evaluation/frechet.h"

#include <ATen/ops/linalg_eigh.h>
#include <ATen/ops/linalg_eigvalsh.h>

#include <map>

#include "conditioning.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/evaluation/classifier.h"
#include "elbo/evaluation/subsets.h"
#include "rows.h"

namespace elbo {
namespace {

constexpr std::string_view kFrechet = "frechet_classifier";

Tensor symmetric_root(const Tensor& matrix) {
  const auto [values, vectors] = at::linalg_eigh(matrix);
  return (vectors * values.clamp_min(0).sqrt()).matmul(vectors.t());
}

/// Of a model's modalities those that a network looks at.
class SplitFrechet {
 public:
  SplitFrechet(const EvaluationContext& context, Multimodal& model) : context_(context), model_(model) {
    detail::num_rows(context);  // there is a data set
    for (const auto& name : model.modalities()) {
      auto classifier = classifier_of(context, model.field_of(name));
      if (classifier->num_features() > 0) classifiers_[name] = std::move(classifier);
    }
    if (context.subsets) subsets_ = detail::inferable_subsets(*context.subsets, model);
    std::erase_if(subsets_, [&](const Subset& subset) { return subset.size() == model.modalities().size(); });
    subsets_.insert(subsets_.begin(), Subset{});  // the prior
  }

  std::vector<Measurement> measured() {
    detail::ContextNoise noise(context_);
    detail::for_each_batch(context_, kFrechet, [&](const Batch& batch, int64_t first_row) {
      for (const auto& [name, classifier] : classifiers_) {
        add(real_[name], classifier->features(batch.at(model_.field_of(name))), detail::rows_with(model_, batch, {name}));
      }
      for (const auto& given : subsets_) generate(given, batch, first_row, noise.get());
    });
    std::vector<Measurement> all;
    for (const auto& given : subsets_) {
      for (const auto& [name, sums] : generated_.at(given)) all.push_back(distance(given, name, sums));
    }
    if (!all.empty()) all.front().note = note();
    return all;
  }

 private:
  static void add(MomentSums& sums, const Tensor& features, const Tensor& rows) {
    const auto chosen = rows.nonzero().flatten().to(features.device());
    if (chosen.numel() > 0) sums.add(features.index_select(0, chosen));
  }

  void generate(const Subset& given, const Batch& batch, int64_t first_row, PlacedNoise& noise) {
    Subset targets;
    for (const auto& [name, classifier] : classifiers_) {
      if (!detail::holds(given, name)) targets.push_back(name);
    }
    if (targets.empty()) {
      generated_[given];
      return;
    }
    noise.place(first_row, 0);
    const auto rows = detail::rows_with(model_, batch, given);
    for (const auto& observation : model_.decode(model_.condition(batch, given, 1, noise), batch, targets)) {
      const auto& spec = context_.dataset->spec().at(model_.field_of(observation.name));
      const auto shown = shown_to_classifier(*observation.likelihood, spec)[0];
      add(generated_[given][observation.name], classifiers_.at(observation.name)->features(shown), rows);
    }
  }

  Measurement distance(const Subset& given, const std::string& name, const MomentSums& sums) const {
    const auto from = given.empty() ? "" : subset_name(given) + "->";
    return {.name = text(kFrechet, "(", from, name, ")"), .value = frechet_distance(real_.at(name).moments(), sums.moments())};
  }

  std::string note() const {
    return text(
        "between features of real and generated data in this toolkit's own classifiers, squared: no FID; lower is better; ",
        "compare equal numbers of rows only, here ", detail::num_rows(context_));
  }

  const EvaluationContext& context_;
  Multimodal& model_;
  std::map<std::string, std::shared_ptr<const Classifier>> classifiers_ = {};
  std::vector<Subset> subsets_ = {};
  std::map<std::string, MomentSums> real_ = {};
  std::map<Subset, std::map<std::string, MomentSums>> generated_ = {};
};

class FrechetClassifierMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override {
    const auto& model = model_of(context);
    if (context.subsets) detail::inferable_subsets(*context.subsets, model);
    if (context.dataset) label_spec(context.dataset->spec(), kFrechet);
  }
  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    return SplitFrechet(context, model_of(context)).measured();
  }

 private:
  static Multimodal& model_of(const EvaluationContext& context) {
    return detail::as_ability<Multimodal>(context, kFrechet, "a model of several modalities");
  }
};

}  // namespace

void MomentSums::add(const Tensor& features) {
  const auto rows = features.detach().to(at::kCPU, at::kDouble);
  if (!origin_.defined()) {
    origin_ = rows.mean(0);
    sum_ = torch::zeros_like(origin_);
    product_ = torch::zeros({rows.size(1), rows.size(1)}, rows.options());
  }
  const auto centred = rows - origin_;
  sum_ = sum_ + centred.sum(0);
  product_ = product_ + centred.t().matmul(centred);
  count_ += rows.size(0);
}

FeatureMoments MomentSums::moments() const {
  if (count_ < 2) throw UsageError(text("a covariance needs at least two rows, got ", count_));
  const auto n = static_cast<double>(count_);
  const auto mean = sum_ / n;
  return {.mean = origin_ + mean, .covariance = (product_ - n * torch::outer(mean, mean)) / (n - 1), .count = count_};
}

double frechet_distance(const FeatureMoments& a, const FeatureMoments& b) {
  const auto root = symmetric_root(a.covariance);
  const auto product = root.matmul(b.covariance).matmul(root);
  const auto cross = at::linalg_eigvalsh((product + product.t()) / 2).clamp_min(0).sqrt().sum();
  const auto squared = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace() - 2 * cross;
  return squared.clamp_min(0).item<double>();  // equal moments: 0 but for rounding
}

std::shared_ptr<Metric> make_frechet_classifier_metric(const NoConfig&) { return std::make_shared<FrechetClassifierMetric>(); }

}  // namespace elbo
