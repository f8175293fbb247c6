#pragma once
#include "elbo/nn/layer.h"
#include "elbo/nn/norm.h"

namespace elbo::detail {

/// x + proj(softmax(q k / sqrt C) v) over all places of a map, of its normalised values; one head, 1 x 1 convolutions.
/// Parameters: norm.*, qkv.*, proj.*.
class MapAttention final : public torch::nn::Module {
 public:
  MapAttention(const NormOptions& norm, Stream& init);
  /// Shapes: [N, C, H, W] -> the same.
  Tensor forward(const Tensor& x);

 private:
  std::shared_ptr<NormLayer> norm_;
  std::shared_ptr<Layer> qkv_, proj_;
};

}  // namespace elbo::detail
