#include "elbo/evaluation/subset_likelihood.h"

#include <algorithm>

#include "conditioning.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/evaluation/subsets.h"
#include "rows.h"
#include "weight_sums.h"

namespace elbo {
namespace {

using detail::holds;

/// In the model's order.
Subset united(const Multimodal& model, const Subset& a, const Subset& b) {
  Subset both;
  for (const auto& name : model.modalities()) {
    if (holds(a, name) || holds(b, name)) both.push_back(name);
  }
  return both;
}

/// log p of what is reported, unweighted.
Tensor log_density(const std::vector<Observation>& observations) {
  return reported_log_likelihood(observations, log_likelihood(observations));
}

int64_t num_components(const Multimodal& model, const Subset& given) {
  auto experts = given;
  if (model.aggregator().has_joint() && given.size() == model.modalities().size()) experts.emplace_back(kJointExpert);
  return std::max<int64_t>(1, static_cast<int64_t>(model.aggregator().components(experts).size()));
}

std::vector<Subset> asked_subsets(const EvaluationContext& context, const Multimodal& model) {
  return context.subsets ? detail::inferable_subsets(*context.subsets, model) : std::vector<Subset>{};
}

/// What the passes over a split have given for one number, row by row.
struct Gathered {
  detail::Column log_likelihood, effective_sample_size, complete;

  void add(const SubsetEstimate& estimate) {
    log_likelihood.add(estimate.log_likelihood.per_example);
    effective_sample_size.add(estimate.log_likelihood.effective_sample_size);
    complete.add(estimate.complete);
  }
};

/// A number over the rows that have all it is about.
class Numbers {
 public:
  void add(const std::string& of, const Gathered& gathered) {
    const auto complete = gathered.complete.whole() > 0;
    add("log_likelihood" + of, "nats", gathered.log_likelihood.whole(), complete);
    add("effective_sample_size" + of, "", gathered.effective_sample_size.whole(), complete);
    const auto count = complete.sum().item<int64_t>();
    if (count < complete.size(0)) list_.push_back({.name = "examples" + of, .value = static_cast<double>(count)});
  }
  void add(const std::string& name, const std::string& unit, const Tensor& values, const Tensor& complete) {
    if (!complete.any().item<bool>()) return;
    const bool whole = complete.all().item<bool>();
    list_.push_back(measure(name, unit, whole ? values : values.masked_select(complete)));
    if (!whole) list_.back().per_example = Tensor();  // its rows are not those of the split
  }
  std::vector<Measurement> list_ = {};
};

class SplitLikelihoods {
 public:
  SplitLikelihoods(const EvaluationContext& context, Multimodal& model)
      : context_(context), model_(model), asked_(asked_subsets(context, model)) {
    add_pass(model.modalities(), {});
    for (const auto& given : asked_) {
      Subset others;
      for (const auto& name : model.modalities()) {
        if (!holds(given, name)) others.push_back(name);
      }
      add_pass(given, others);
      for (const auto& target : others) add_pass(united(model_, given, {target}), {});
    }
  }

  std::vector<Measurement> measured() {
    for (auto& [given, pass] : passes_) run(given, pass);
    const auto& all = model_.modalities();
    Numbers numbers;
    numbers.add("", passes_.at(all).evidence);
    if (numbers.list_.empty() && asked_.empty()) {
      throw UsageError("metric 'log_likelihood': no row of this split has all modalities; ask for subsets of them");
    }
    if (!numbers.list_.empty()) numbers.list_.front().note = note();
    for (const auto& given : asked_) {
      if (given.size() < all.size()) numbers.add(text("(", subset_name(given), ")"), passes_.at(given).evidence);
    }
    for (const auto& given : asked_) {
      for (const auto& [target, gathered] : passes_.at(given).predictive) {
        const auto of = text("(", target, "|", subset_name(given), ")");
        numbers.add(of, gathered);
        const auto& whole = passes_.at(united(model_, given, {target})).evidence;
        const auto& part = passes_.at(given).evidence;
        numbers.add("log_likelihood_ratio" + of, "nats", whole.log_likelihood.whole() - part.log_likelihood.whole(),
                    whole.complete.whole() > 0);
      }
    }
    return numbers.list_;
  }

 private:
  struct Pass {
    Subset targets = {};
    Gathered evidence = {};
    std::map<std::string, Gathered> predictive = {};
  };

  void add_pass(const Subset& given, const Subset& targets) {
    auto& pass = passes_[given];
    if (!targets.empty()) pass.targets = targets;
  }

  std::string note() const {
    auto note = detail::note_of_samples(context_.samples);
    const auto components = num_components(model_, model_.modalities());
    if (components > 1) note += text(" (of each of ", components, " components of the posterior)");
    const auto complete = passes_.at(model_.modalities()).evidence.complete.whole();
    const auto lacking = complete.size(0) - (complete > 0).sum().item<int64_t>();
    if (lacking > 0)
      note += text("; ", lacking, " of ", count_of(complete.size(0), "example"), " lack modalities and are left out");
    return note;
  }

  void run(const Subset& given, Pass& pass) {
    const auto max_rows = std::max<int64_t>(1, context_.max_rows / num_components(model_, given));
    const auto batch_size = std::min(context_.batch_size, std::max<int64_t>(1, max_rows / GranuleNoise::kSamples));
    const SubsetQuery query{.given = given, .evidence = given, .targets = pass.targets};
    detail::ContextNoise noise(context_);
    const auto total = detail::num_rows(context_) * context_.samples * static_cast<int64_t>(passes_.size());
    detail::for_each_batch(context_, batch_size, [&](const Batch& batch, int64_t first_row) {
      const auto report = [&](int64_t samples) {
        done_ += samples * batch.size();
        if (!context_.progress) return;
        context_.progress({.metric = "log_likelihood", .done = done_, .total = total, .unit = "samples"});
      };
      const auto found = subset_log_likelihood(model_, query, batch, first_row, context_.samples, max_rows, noise.get(), report);
      pass.evidence.add(found.evidence);
      for (const auto& [target, estimate] : found.predictive) pass.predictive[target].add(estimate);
    });
  }

  const EvaluationContext& context_;
  Multimodal& model_;
  std::vector<Subset> asked_;
  std::map<Subset, Pass> passes_ = {};
  int64_t done_ = 0;
};

}  // namespace

bool can_infer(const Multimodal& model, const Subset& given) {
  Subset experts;
  for (const auto& name : model.aggregator().sources()) {
    if (holds(given, name)) experts.push_back(name);
  }
  if (model.aggregator().has_joint() && given.size() == model.modalities().size()) experts.emplace_back(kJointExpert);
  return !experts.empty() && !model.aggregator().components(experts).empty();
}

SubsetEstimates subset_log_likelihood(Multimodal& model, const SubsetQuery& query, const Batch& batch, int64_t first_row,
                                      int64_t K, int64_t max_rows, PlacedNoise& noise,
                                      const std::function<void(int64_t)>& chunk_done) {
  const torch::NoGradGuard no_grad;
  const auto B = batch.size();
  const auto posterior = model.posterior(batch, model.experts(batch, query.given));
  const auto decoded = united(model, query.evidence, query.targets);
  detail::WeightSums evidence;
  std::map<std::string, detail::WeightSums> predictive;
  SubsetEstimates found;
  detail::for_each_chunk(batch, first_row, K, max_rows, noise, [&](int64_t samples) {
    const auto latents = drawn(posterior, B, samples, noise);
    std::vector<Observation> within;
    std::map<std::string, std::vector<Observation>> targets;
    for (const auto& observation : model.decode(latents, batch, decoded)) {
      if (holds(query.evidence, observation.name)) within.push_back(observation);
      if (holds(query.targets, observation.name)) targets[observation.name] = {observation};
    }
    const auto merge = [&](detail::WeightSums& sums, const Tensor& log_w) {
      sums.add(detail::over_strata(latents, log_w).to(at::kDouble));  // [samples, B]
    };
    if (!within.empty()) merge(evidence, log_weights(latents, log_density(within)));
    found.evidence.complete = detail::rows_with(model, batch, query.evidence);
    for (const auto& [name, observation] : targets) {
      merge(predictive[name], log_density(observation));
      found.predictive[name].complete = detail::rows_with(model, batch, united(model, query.given, {name}));
    }
    if (chunk_done) chunk_done(samples);
  });
  if (!query.evidence.empty()) found.evidence.log_likelihood = evidence.result(K);
  for (const auto& [name, sums] : predictive) found.predictive[name].log_likelihood = sums.result(K);
  return found;
}

void check_subset_likelihoods(const EvaluationContext& context) {
  asked_subsets(context, detail::as_ability<Multimodal>(context, "log_likelihood", "a model of several modalities"));
}

std::vector<Measurement> subset_likelihoods(const EvaluationContext& context) {
  auto& model = detail::as_ability<Multimodal>(context, "log_likelihood", "a model of several modalities");
  return SplitLikelihoods(context, model).measured();
}

}  // namespace elbo
