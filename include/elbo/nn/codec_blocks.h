#pragma once
#include <torch/nn/module.h>

#include <memory>
#include <vector>

#include "elbo/math/random.h"

namespace elbo {

// Parts of the networks of learnt image codecs. Source: Cheng et al. 2020 (arXiv:2001.01568), figure 4, as CompressAI builds
// them. Differs: LeakyReLU everywhere, which leaves no unit without a gradient.

/// From map to map. Shapes: [N, C, H, W] -> [N, C', H', W'].
class MapBlock : public torch::nn::Module {
 public:
  virtual Tensor forward(const Tensor& x) = 0;
};
using MapBlockPtr = std::shared_ptr<MapBlock>;

/// A convolution that keeps the size. Parameters: conv.*.
MapBlockPtr make_conv_block(int64_t from, int64_t to, int64_t kernel, Stream& init);
/// x + two 3 x 3 convolutions with LeakyReLU after each. Parameters: conv1.*, conv2.*.
MapBlockPtr make_residual_block(int64_t channels, Stream& init);
/// Halves: a 3 x 3 convolution of stride 2, LeakyReLU, another, GDN; beside it a 1 x 1 convolution of stride 2.
/// Parameters: conv1.*, conv2.*, gdn.*, shortcut.*.
MapBlockPtr make_halving_block(int64_t from, int64_t to, Stream& init);
/// Doubles: a 3 x 3 convolution to four times the channels whose pixels are shuffled out, LeakyReLU, another, inverse GDN; beside
/// it the shuffled pixels of one convolution. Parameters: conv1.*, conv2.*, gdn.*, shortcut.*.
MapBlockPtr make_doubling_block(int64_t from, int64_t to, Stream& init);
/// The last of a decoder: the shuffled pixels of one 3 x 3 convolution. Parameters: conv.*.
MapBlockPtr make_shuffling_conv(int64_t from, int64_t to, Stream& init);
/// Attention of a convolution's kind: x + a(x) sigmoid(b(x)), both of three bottleneck units (half the channels; 1 x 1, 3 x 3, 1
/// x 1), b of a 1 x 1 convolution more. Parameters: trunk.N.convM.*, gate.N.convM.*, mask.*.
MapBlockPtr make_gated_block(int64_t channels, Stream& init);

/// One after the other. Parameters: N.*.
MapBlockPtr in_sequence(std::vector<MapBlockPtr> blocks);

}  // namespace elbo
