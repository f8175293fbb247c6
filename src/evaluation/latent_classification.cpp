#include "elbo/evaluation/latent_classification.h"

#include <algorithm>
#include <map>

#include "conditioning.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/evaluation/classifier.h"
#include "elbo/evaluation/coherence.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/evaluation/linear_classifier.h"
#include "elbo/evaluation/subset_likelihood.h"
#include "elbo/evaluation/subsets.h"
#include "rows.h"

namespace elbo {
namespace {

constexpr std::string_view kLatent = "latent_classification";
constexpr int64_t kMostTrainingRows = 20'000;

/// Codes of a split and which of its rows count.
struct LabelledCodes {
  Tensor codes = {};   // [N, D] on the host
  Tensor labels = {};  // [N] int64
  Tensor there = {};   // [N] bool
};

class LatentClassificationMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override {
    detail::as_ability<Encodes>(context, kLatent, "a model that encodes");
    if (context.dataset) label_spec(context.dataset->spec(), kLatent);
    subsets(context);
  }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    detail::num_rows(context);  // there is a data set
    const auto num_classes = label_spec(context.dataset->spec(), kLatent).num_classes;
    auto training = context;
    training.split = Split::train;
    training.limit = kMostTrainingRows;
    std::vector<Measurement> all;
    for (const auto& [name, given] : subsets(context)) {
      const auto learnt = codes_of(training, given), measured = codes_of(context, given);
      const auto rows = learnt.there.nonzero().flatten();
      if (rows.numel() == 0 || !measured.there.any().item<bool>()) continue;
      const auto classifier =
          fit_linear_classifier(learnt.codes.index_select(0, rows), learnt.labels.index_select(0, rows), num_classes);
      const auto hit = (classifier.predict(measured.codes) == measured.labels).to(at::kDouble);
      all.push_back(detail::mean_of_hits(name, {{.hit = hit, .counted = measured.there}}));
      if (all.size() == 1) {
        all.front().note = text("logistic regression on posterior means of ", with_commas(rows.numel()),
                                " training rows; chance is ", 1.0 / static_cast<double>(num_classes));
      }
    }
    if (all.empty()) throw UsageError("metric 'latent_classification': no row has its label and something to encode");
    return all;
  }

 private:
  /// By the measurement's name. Without modalities there is one code.
  static std::vector<std::pair<std::string, Subset>> subsets(const EvaluationContext& context) {
    const auto* model = dynamic_cast<Multimodal*>(&context.model);
    if (!model) return {{"latent_accuracy", {}}};
    const auto& names = model->modalities();
    std::vector<Subset> list;
    if (can_infer(*model, names)) list.push_back(names);
    for (auto& subset : detail::inferable_subsets(context.subsets.value_or(Subsets::singles), *model)) {
      if (std::find(list.begin(), list.end(), subset) == list.end()) list.push_back(std::move(subset));
    }
    std::vector<std::pair<std::string, Subset>> named;
    for (auto& subset : list) {
      const auto name = subset == names ? "latent_accuracy" : text("latent_accuracy(", subset_name(subset), ")");
      named.emplace_back(name, std::move(subset));
    }
    return named;
  }

  static LabelledCodes codes_of(const EvaluationContext& context, const Subset& given) {
    std::vector<Tensor> codes, labels, there;
    const auto pass = text(kLatent, " ", given.empty() ? "" : subset_name(given) + " ", split_name(context.split));
    detail::for_each_batch(context, pass, [&](const Batch& batch, int64_t) {
      const auto& label = batch.fields.at(kLabelField);
      auto counted = label.present.defined() ? label.present.cpu() : torch::ones({batch.size()}, torch::kBool);
      Tensor z;
      if (auto* model = dynamic_cast<Multimodal*>(&context.model)) {
        z = model->posterior(batch, model->experts(batch, given)).layers.front().q->mean();
        counted = counted & detail::rows_with(*model, batch, given);
      } else {
        z = dynamic_cast<Encodes&>(context.model).encode(batch);
      }
      codes.push_back(z.flatten(1).to(at::kCPU, at::kDouble));
      labels.push_back(label.value.cpu());
      there.push_back(counted);
    });
    return {.codes = torch::cat(codes), .labels = torch::cat(labels), .there = torch::cat(there)};
  }
};

}  // namespace

std::shared_ptr<Metric> make_latent_classification_metric(const NoConfig&) {
  return std::make_shared<LatentClassificationMetric>();
}

}  // namespace elbo
