#pragma once
#include "elbo/nn/layer.h"
#include "elbo/nn/norm.h"

namespace elbo {

/// A critic that gives each patch of an image a score of its own: 4 x 4 convolutions, `layers` of them of stride 2 (the channels
/// double up to eightfold), one of stride 1, then one to the scores; LeakyReLU of slope 0.2, normalisation in all but the first
/// and the last. Weights start from N(0, 0.02^2), those of the normalisation from N(1, 0.02^2). Three layers see 70 x 70 pixels.
/// Source: Isola et al. 2017 (arXiv:1611.07004), section 2.2.2, as Esser et al. 2021 (arXiv:2012.09841) use it.
struct PatchCriticConfig {
  int64_t channels = 64;
  int64_t layers = 3;
  Norm norm = Norm::batch;

  template <class F>
  void fields(F& field) {
    field("channels", channels, "channels after the first convolution", between(1, 1 << 16));
    field("layers", layers, "convolutions of stride 2: how large a patch is", between(1, 10));
    field("norm", norm, "normalisation: none, batch, group, layer; batch couples the examples of a batch");
  }
};

/// Parameters: convs.N.{weight,bias} (no bias before a normalisation), norms.N.{weight,bias}.
class PatchCritic final : public torch::nn::Module {
 public:
  /// `image` is [C, H, W]. Throws: ConfigError where it is too small for that many layers.
  PatchCritic(const PatchCriticConfig& config, const Shape& image, Stream& init);
  /// Scores, high for what is real, in float32 or wider. Shapes: [N, C, H, W] -> [N, h, w].
  Tensor forward(const Tensor& x);

 private:
  std::vector<std::shared_ptr<Layer>> convs_;
  std::vector<std::shared_ptr<NormLayer>> norms_;  // of convs 1, 2, … but the last
};

}  // namespace elbo
