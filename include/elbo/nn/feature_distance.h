#pragma once
#include <functional>
#include <string>
#include <vector>

#include "elbo/config/reader.h"
#include "elbo/math/shapes.h"

namespace elbo {

/// How far apart two images are in the features of a network. The toolkit ships no such network: it is the user's, a TorchScript
/// module from images [B, C, H, W] to a list or tuple of maps [B, c, h, w]; `random`, a small network of fixed random weights,
/// stands in where only the machinery matters, and its distances mean little.
/// Source: Zhang et al. 2018 (arXiv:1801.03924), eq. 1. Where the module has a method `channel_weights` without arguments, it
/// gives a tensor of c numbers of 0 or more for each map: the learnt weights, w squared in eq. 1. Without it each channel of a
/// map counts the same, 1 / c.
struct FeatureDistanceConfig {
  double weight = 0;
  std::string network = "random";
  std::vector<double> shift = {};
  std::vector<double> scale = {};

  template <class F>
  void fields(F& field) {
    field("weight", weight, "weight of the distance beside the nats of one pixel value; 0: there is none", at_least(0));
    field("network", network, "a file that TorchScript wrote, or random: a stand-in", non_empty);
    field("shift", shift, "subtracted from each channel in [-1, 1]; a VGG of LPIPS: [-0.030, -0.088, -0.188]");
    field("scale", scale, "what each channel is divided by then; a VGG of LPIPS: [0.458, 0.448, 0.450]", more_than(0));
  }
};

struct FeatureNet {
  std::function<std::vector<Tensor>(const Tensor& x)> maps = nullptr;
  std::vector<Tensor> channel_weights = {};  // [c] of each map; none: all alike
};

/// The frozen network of a config: in evaluation mode, its parameters without gradients, on the device of what it is given.
/// Throws: ConfigError where the file can't be read, gives something else than maps, or weights that are no lists of tensors.
FeatureNet feature_net(const std::string& network);

/// sum over maps of the mean over places of the weighted sum over channels of (f / |f| - g / |g|)^2, each place's channels made a
/// unit vector (eps 1e-10). Shapes: maps [B, c, h, w], alike in both; weights [c] of each map, none: 1 / c -> [B]. Gradient: to
/// both. Throws: ConfigError unless there is a weight of 0 or more for each channel of each map.
Tensor feature_distance(const std::vector<Tensor>& f, const std::vector<Tensor>& g, const std::vector<Tensor>& weights = {});

/// The network is read when it is first needed, so that a finished run can be opened without its file.
class FeatureDistance final {
 public:
  explicit FeatureDistance(FeatureDistanceConfig config) : config_(std::move(config)) {}
  /// Of images in [-1, 1], grey ones repeated where shift or scale have three channels. Shapes: both [B, C, H, W] -> [B].
  /// Gradient: to `image` only.
  Tensor operator()(const Tensor& image, const Tensor& target);

 private:
  Tensor prepared(const Tensor& image) const;

  FeatureDistanceConfig config_;
  FeatureNet net_ = {};
};

}  // namespace elbo
