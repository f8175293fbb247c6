#include "elbo/evaluation/coherence.h"

#include <cmath>
#include <map>

#include "conditioning.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/evaluation/classifier.h"
#include "elbo/evaluation/subsets.h"
#include "rows.h"

namespace elbo {
namespace {

constexpr std::string_view kMetric = "coherence";

/// One number's rows, batch after batch.
struct HitColumns {
  detail::Column hit = {}, counted = {};

  void add(const Tensor& is_hit, const Tensor& is_counted) {
    hit.add(is_hit.cpu() & is_counted);
    counted.add(is_counted);
  }
  detail::Hits whole() const { return {.hit = hit.whole(), .counted = counted.whole() > 0}; }
};

/// Everything about one modality that coherence asks.
struct Judge {
  std::string modality = {};
  std::string field = {};
  FieldSpec spec = {};
  std::shared_ptr<const Classifier> classifier = nullptr;
};

class SplitCoherence {
 public:
  SplitCoherence(const EvaluationContext& context, Multimodal& model) : context_(context), model_(model) {
    detail::num_rows(context);  // there is a data set
    const auto& spec = context.dataset->spec();
    num_classes_ = label_spec(spec, kMetric).num_classes;
    for (const auto& name : model.modalities()) {
      const auto field = model.field_of(name);
      judges_[name] = {.modality = name, .field = field, .spec = spec.at(field), .classifier = classifier_of(context, field)};
    }
    subsets_ = context.subsets ? detail::inferable_subsets(*context.subsets, model) : detail::usual_conditions(model);
    std::erase_if(subsets_, [&](const Subset& subset) { return subset.size() == model.modalities().size(); });
  }

  std::vector<Measurement> measured() {
    detail::ContextNoise noise(context_);
    detail::for_each_batch(context_, kMetric, [&](const Batch& batch, int64_t first_row) {
      real(batch);
      joint(batch, first_row, noise.get());
      for (const auto& given : subsets_) conditional(given, batch, first_row, noise.get());
    });
    return measurements();
  }

 private:
  /// z, drawn given these, decoded and looked at. Shapes: [B] int64 for each target.
  std::map<std::string, Tensor> classes(const Subset& given, const Subset& targets, const Batch& batch, int64_t first_row,
                                        PlacedNoise& noise) {
    noise.place(first_row, 0);
    std::map<std::string, Tensor> found;
    for (const auto& observation : model_.decode(model_.condition(batch, given, 1, noise), batch, targets)) {
      const auto& judge = judges_.at(observation.name);
      found[observation.name] = judge.classifier->predict(shown_to_classifier(*observation.likelihood, judge.spec)[0]);
    }
    return found;
  }

  static Tensor labelled(const Batch& batch) {
    const auto& present = batch.fields.at(kLabelField).present;
    return present.defined() ? present.cpu() : torch::ones({batch.size()}, torch::kBool);
  }

  void real(const Batch& batch) {
    const auto label = batch.at(kLabelField);
    for (const auto& [name, judge] : judges_) {
      const auto there = labelled(batch) & detail::rows_with(model_, batch, {name});
      accuracy_[name].add(judge.classifier->predict(batch.at(judge.field)) == label, there);
    }
  }

  void joint(const Batch& batch, int64_t first_row, PlacedNoise& noise) {
    Tensor first, agree;
    for (const auto& [name, predicted] : classes({}, model_.modalities(), batch, first_row, noise)) {
      if (!first.defined()) first = predicted;
      const auto same = predicted == first;
      agree = agree.defined() ? agree & same : same;
    }
    joint_.add(agree, torch::ones({batch.size()}, torch::kBool));
  }

  void conditional(const Subset& given, const Batch& batch, int64_t first_row, PlacedNoise& noise) {
    Subset targets;
    for (const auto& name : model_.modalities()) {
      if (!detail::holds(given, name)) targets.push_back(name);
    }
    const auto there = labelled(batch) & detail::rows_with(model_, batch, given);
    for (const auto& [name, predicted] : classes(given, targets, batch, first_row, noise)) {
      conditional_[given][name].add(predicted == batch.at(kLabelField), there);
    }
  }

  std::vector<Measurement> measurements() const {
    std::map<size_t, std::vector<detail::Hits>> by_size;
    std::vector<Measurement> pairs;
    for (const auto& given : subsets_) {
      for (const auto& [target, columns] : conditional_.at(given)) {
        const auto of = text("(", subset_name(given), "->", target, ")");
        add(pairs, kMetric, of, columns);
        if (const auto hits = columns.whole(); hits.counted.any().item<bool>()) by_size[given.size()].push_back(hits);
      }
    }
    std::vector<Measurement> all;
    for (const auto& [size, numbers] : by_size) {
      all.push_back(detail::mean_of_hits(text(kMetric, "_", size), numbers));
      all.back().note = headline_note(size, static_cast<int64_t>(numbers.size()));
    }
    all.push_back(detail::mean_of_hits("coherence_joint", {joint_.whole()}));
    all.back().note = text("draws from the prior whose ", judges_.size(), " modalities are all taken for one class");
    for (const auto& [name, columns] : accuracy_) add(all, "classifier_accuracy", text("(", name, ")"), columns);
    all.insert(all.end(), pairs.begin(), pairs.end());
    return all;
  }

  static void add(std::vector<Measurement>& list, std::string_view name, const std::string& of, const HitColumns& columns) {
    const auto hits = columns.whole();
    const auto count = hits.counted.sum().item<int64_t>();
    if (count > 0) list.push_back(detail::mean_of_hits(text(name, of), {hits}));
    if (count < hits.counted.size(0)) list.push_back({.name = text(name, "_examples", of), .value = static_cast<double>(count)});
  }

  std::string headline_note(size_t size, int64_t count) const {
    const auto M = static_cast<int64_t>(judges_.size());
    double possible = static_cast<double>(M) - static_cast<double>(size);
    for (size_t i = 0; i < size; ++i) possible *= static_cast<double>(M - static_cast<int64_t>(i)) / static_cast<double>(i + 1);
    auto note =
        text("generated from ", size, size == 1 ? " other modality" : " others", " and taken for the label's class; chance is ",
             1.0 / static_cast<double>(num_classes_), ", real data reach classifier_accuracy");
    if (static_cast<double>(count) < std::round(possible)) note += text("; over ", count, " of ", std::round(possible), " pairs");
    return note;
  }

  const EvaluationContext& context_;
  Multimodal& model_;
  int64_t num_classes_ = 0;
  std::map<std::string, Judge> judges_ = {};
  std::vector<Subset> subsets_ = {};
  std::map<std::string, HitColumns> accuracy_ = {};
  HitColumns joint_ = {};
  std::map<Subset, std::map<std::string, HitColumns>> conditional_ = {};
};

class CoherenceMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override {
    const auto& model = model_of(context);
    if (model.modalities().size() < 2) throw UsageError("metric 'coherence' needs a model of at least two modalities");
    if (context.subsets) detail::inferable_subsets(*context.subsets, model);
    if (context.dataset) label_spec(context.dataset->spec(), kMetric);
  }
  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    return SplitCoherence(context, model_of(context)).measured();
  }

 private:
  static Multimodal& model_of(const EvaluationContext& context) {
    return detail::as_ability<Multimodal>(context, kMetric, "a model of several modalities");
  }
};

}  // namespace

Measurement detail::mean_of_hits(std::string name, const std::vector<Hits>& numbers) {
  const auto N = numbers.front().hit.size(0);
  bool whole = true;
  auto mean = torch::zeros({}, torch::kDouble), any = torch::zeros({N}, torch::kBool);
  auto influence = torch::zeros({N}, torch::kDouble);  // of each row on the mean
  auto per_row = torch::zeros({N}, torch::kDouble);
  const auto share = 1.0 / static_cast<double>(numbers.size());
  for (const auto& [hit, counted] : numbers) {
    whole = whole && counted.all().item<bool>();
    any = any | counted;
    const auto count = counted.sum().clamp_min(1);
    const auto own = (hit * counted).sum() / count;
    mean = mean + share * own;
    influence = influence + share * torch::where(counted, hit - own, 0.0) / count;
    per_row = per_row + share * hit;
  }
  Measurement measured{.name = std::move(name), .value = mean.item<double>()};
  const auto n = any.sum().item<double>();
  if (n > 1) measured.standard_error = std::sqrt(influence.square().sum().item<double>() * n / (n - 1));
  if (whole) measured.per_example = per_row;
  return measured;
}

std::shared_ptr<Metric> make_coherence_metric(const NoConfig&) { return std::make_shared<CoherenceMetric>(); }

}  // namespace elbo
