#pragma once
#include <torch/nn/module.h>

#include "elbo/evaluation/classifier.h"
#include "elbo/models/field_input.h"
#include "elbo/nn/layer.h"
#include "elbo/nn/network.h"
#include "elbo/optim/flat_buffer.h"

namespace elbo::detail {

/// To be raised with anything that changes a trained classifier's numbers.
inline constexpr int64_t kClassifierRecipe = 1;

/// Field -> encoder -> features -> logits. Parameters: encoder.*, output.{weight,bias}; buffers of real fields: shift, scale.
class ClassifierNetwork final : public torch::nn::Module, public Classifier {
 public:
  ClassifierNetwork(const FieldSpec& spec, int64_t num_classes, Stream& init);

  Tensor predict(const Tensor& x) const override;
  Tensor features(const Tensor& x) const override;
  int64_t num_features() const override { return encoder_->num_features(); }

  /// With gradients. Shapes: [B, F].
  Tensor encoded(const Field& field) const;
  /// In training a quarter of the features are 0, drawn from `dropout`, and the others larger by a third. Shapes: [B, F] -> [B, V].
  Tensor logits(const Tensor& features, Noise* dropout = nullptr) const;
  /// Of real numbers, element by element.
  void set_moments(const Tensor& mean, const Tensor& deviation);

 private:
  std::shared_ptr<FieldInput> input_;
  int64_t below_ = 0, right_ = 0;  // zeros that an image gets, so that it can be halved
  Tensor shift_ = {}, scale_ = {};
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Layer> output_;
};

uint64_t classifier_seed(const std::string& field);
/// Untrained, in evaluation mode; null where the field is the label itself. Throws: UsageError where the data lack either.
std::shared_ptr<ClassifierNetwork> network_for(const ClassifierTask& task);
void train_network(ClassifierNetwork& network, const ClassifierTask& task);
std::shared_ptr<const Classifier> label_itself();

}  // namespace elbo::detail
