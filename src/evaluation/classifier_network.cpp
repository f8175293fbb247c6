#include "classifier_network.h"

#include <algorithm>

#include "elbo/base/array.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/nn/conv.h"
#include "elbo/nn/mlp.h"

namespace elbo::detail {
namespace {

constexpr int64_t kSmallestImage = 16;
constexpr int64_t kInnermost = 8;
constexpr int64_t kFirstChannels = 16;
constexpr int64_t kNumFeatures = 128;
constexpr double kDropped = 0.25;

int64_t padding_to(int64_t multiple, int64_t extent) { return (multiple - extent % multiple) % multiple; }

/// Looking at the label is enough.
class LabelItself final : public Classifier {
 public:
  Tensor predict(const Tensor& x) const override { return x.to(at::kLong); }
  Tensor features(const Tensor&) const override { throw UsageError("the label itself has no features"); }
  int64_t num_features() const override { return 0; }
};

}  // namespace

ClassifierNetwork::ClassifierNetwork(const FieldSpec& spec, int64_t num_classes, Stream& init)
    : input_(std::make_shared<FieldInput>(spec)) {
  auto shape = input_->shape();
  const bool numeric = spec.kind == ValueKind::binary || spec.kind == ValueKind::unit || spec.kind == ValueKind::real;
  if (spec.kind == ValueKind::real) {
    shift_ = register_buffer("shift", torch::zeros(shape));
    scale_ = register_buffer("scale", torch::ones(shape));
  }
  if (numeric && shape.size() == 3 && std::min(shape[1], shape[2]) >= kSmallestImage) {
    ConvConfig config{.channels = {kFirstChannels, 2 * kFirstChannels}, .hidden = kNumFeatures};
    while (std::min(shape[1], shape[2]) >> config.channels.size() > kInnermost)
      config.channels.push_back(2 * config.channels.back());
    const auto multiple = int64_t{1} << config.channels.size();
    below_ = padding_to(multiple, shape[1]);
    right_ = padding_to(multiple, shape[2]);
    encoder_ = make_conv_encoder(config, {.input_shape = {shape[0], shape[1] + below_, shape[2] + right_}, .init = init});
  } else {
    const MlpConfig config{.hidden = {2 * kNumFeatures, kNumFeatures}, .activation = Activation::relu};
    encoder_ = make_mlp_encoder(config, {.input_shape = shape, .init = init});
  }
  register_module("encoder", encoder_);
  output_ = register_module("output", std::make_shared<Layer>(LayerOptions{.in = kNumFeatures, .out = num_classes}, init));
}

void ClassifierNetwork::set_moments(const Tensor& mean, const Tensor& deviation) {
  const torch::NoGradGuard no_grad;
  shift_.copy_(mean);
  scale_.copy_(1 / deviation);
}

Tensor ClassifierNetwork::encoded(const Field& field) const {
  auto x = (*input_)(field, at::kFloat).to(at::kFloat);
  if (shift_.defined()) x = (x - shift_) * scale_;
  if (below_ + right_ > 0) x = torch::constant_pad_nd(x, {0, right_, 0, below_});
  return encoder_->forward(x);
}

Tensor ClassifierNetwork::logits(const Tensor& features, Noise* dropout) const {
  if (!is_training() || !dropout) return output_->forward(features);
  const auto kept = dropout->uniform({features.size(0)}, {features.size(1)}) >= kDropped;
  return output_->forward(torch::where(kept, features / (1 - kDropped), 0.0));
}

Tensor ClassifierNetwork::features(const Tensor& x) const {
  const torch::NoGradGuard no_grad;
  return encoded({.value = x});
}

Tensor ClassifierNetwork::predict(const Tensor& x) const {
  const torch::NoGradGuard no_grad;
  return logits(encoded({.value = x})).argmax(1);
}

uint64_t classifier_seed(const std::string& field) { return hash_key({hash_key("classifier"), hash_key(field)}); }

std::shared_ptr<ClassifierNetwork> network_for(const ClassifierTask& task) {
  if (!task.dataset) throw UsageError("a classifier needs a data set");
  const auto& spec = task.dataset->spec();
  const auto& label = label_spec(spec, "a classifier");
  const auto field = spec.find(task.field);
  if (field == spec.end()) throw UsageError(text("a classifier of the field ", task.field, ", which these data don't have"));
  if (task.field == kLabelField) return nullptr;
  Stream init(classifier_seed(task.field), "init", at::kCPU);
  auto network = std::make_shared<ClassifierNetwork>(field->second, label.num_classes, init);
  network->to(task.device);
  network->eval();
  return network;
}

std::shared_ptr<const Classifier> label_itself() { return std::make_shared<LabelItself>(); }

}  // namespace elbo::detail
