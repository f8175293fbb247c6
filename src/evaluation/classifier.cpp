#include "elbo/evaluation/classifier.h"

#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "classifier_network.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/loader.h"
#include "elbo/distributions/categorical.h"
#include "elbo/optim/optimizer.h"

namespace elbo {
namespace {

constexpr int64_t kTrainingBatch = 128;
constexpr int64_t kTrainingEpochs = 4;
constexpr int64_t kFewestSteps = 500;
constexpr int64_t kMostSteps = 4000;
constexpr double kFirstLearningRate = 2e-3;
constexpr int64_t kRowsOfMoments = 8192;

/// Where a row has both, [B] bool; undefined = everywhere.
Tensor both_present(const Field& a, const Field& b) {
  if (!a.present.defined()) return b.present;
  return b.present.defined() ? a.present & b.present : a.present;
}

/// Real numbers may have any scale: mean and standard deviation of each element over the first training rows that have it.
void standardise(detail::ClassifierNetwork& network, const ClassifierTask& task) {
  const auto batch = SequentialLoader(task.dataset, Split::train, kRowsOfMoments, kRowsOfMoments).at(0);
  const auto& field = batch.fields.at(task.field);
  auto x = field.value.to(at::kDouble);
  if (field.present.defined()) x = x.index_select(0, field.present.nonzero().flatten());
  if (x.size(0) < 2) return;
  const auto deviation = x.std(0);
  network.set_moments(x.mean(0), torch::where(deviation > 1e-6, deviation, 1.0));
}

std::shared_ptr<Optimizer> optimizer_of(const FlatBuffers& buffers) {
  AdamConfig config;
  config.learning_rate.set("linear", LinearScheduleConfig{.from = kFirstLearningRate, .to = 0});
  return make_adam(config, {.segments = buffers.segments()});
}

FlatBuffers flattened(detail::ClassifierNetwork& network) {
  ParameterSet all{.owner = "classifier"};
  for (const auto& item : network.named_parameters()) all.parameters.push_back({item.key(), item.value()});
  return FlatBuffers({all});
}

/// Mean of -log p(label) over the rows that have field and label.
Tensor loss_of(const Tensor& logits, const Field& field, const Field& label) {
  const auto loss = -Categorical(logits, 0).log_prob(label.value);
  const auto present = both_present(field, label);
  if (!present.defined()) return loss.mean();
  return torch::where(present, loss, 0.0).sum() / present.sum().clamp_min(1);
}

}  // namespace

void detail::train_network(ClassifierNetwork& network, const ClassifierTask& task) {
  const auto N = task.dataset->size(Split::train);
  const auto batch_size = std::min(kTrainingBatch, N);
  const auto steps = std::clamp(kTrainingEpochs * (N / batch_size), kFewestSteps, kMostSteps);
  const auto seed = classifier_seed(task.field);
  Loader loader(task.dataset, batch_size, seed, ShortBatch::drop);
  Stream data(seed, "data", task.device), dropout(seed, "model", task.device);
  if (task.dataset->spec().at(task.field).kind == ValueKind::real) standardise(network, task);
  auto buffers = flattened(network);
  const auto optimizer = optimizer_of(buffers);
  auto scheduled = optimizer->scheduled();
  const auto never = torch::zeros({}, torch::device(task.device));
  const auto name = "classifier of " + task.field;
  const at::AutoGradMode gradients(true);
  network.train();
  for (int64_t step = 0; step < steps; ++step) {
    data.rekey(step);
    dropout.rekey(step);
    for (auto& number : scheduled) number.refill({.step = step, .steps_per_epoch = steps, .total_steps = steps});
    const auto batch = loader.at(step, data);
    const auto& field = batch.fields.at(task.field);
    buffers.zero_grad();
    loss_of(network.logits(network.encoded(field), &dropout), field, batch.fields.at(kLabelField)).backward();
    optimizer->step(never);
    if (task.progress) {
      task.progress({.metric = name, .done = (step + 1) * batch_size, .total = steps * batch_size, .unit = "img"});
    }
  }
  network.eval();
}

const FieldSpec& label_spec(const DataSpec& spec, std::string_view metric) {
  const auto found = spec.find(kLabelField);
  if (found != spec.end() && found->second.kind == ValueKind::category && found->second.shape.empty() &&
      found->second.num_classes >= 2) {
    return found->second;
  }
  std::vector<std::string> names;
  for (const auto& [name, ignored] : spec) names.push_back(name);
  throw UsageError(text("metric '", metric, "' needs data with a field label that holds one class an example; this data set has ",
                        found == spec.end() ? join(names, ", ") : "a label of another kind"));
}

std::shared_ptr<const Classifier> train_classifier(const ClassifierTask& task) {
  const auto network = detail::network_for(task);
  if (!network) return detail::label_itself();
  detail::train_network(*network, task);
  return network;
}

Tensor shown_to_classifier(const Distribution& likelihood, const FieldSpec& spec) {
  const bool discrete = spec.kind == ValueKind::category || spec.kind == ValueKind::table;
  return discrete ? likelihood.mode() : likelihood.mean();
}

}  // namespace elbo
