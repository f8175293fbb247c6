#pragma once
#include "elbo/code_priors/code_prior.h"

namespace elbo {

/// Gated PixelCNN over codes, without a blind spot. A vertical stack sees rows, a horizontal one the own row and what the
/// vertical stack has seen of the rows above. Both: h = tanh(W_f x + V_f c) sigmoid(W_g x + V_g c); the vertical stack's sums,
/// before the gate and one row further down, enter the horizontal ones by 1 x 1; only the horizontal stack has residuals, from
/// its second layer on. Source: van den Oord et al. 2016 (arXiv:1606.05328), eq. 2 and 4, figure 2.
/// Differs: as pixel_cnn. V c is a table's row for each class and stack, and V s a 1 x 1 convolution of the level above.
struct GatedPixelCnnConfig {
  int64_t width = 64;
  int64_t layers = 8;
  int64_t entry_kernel = 7;
  int64_t kernel = 3;
  double dropout = 0;
  int64_t above_layers = 2;

  template <class F>
  void fields(F& field) {
    field("width", width, "channels of each stack", between(1, 4096));
    field("layers", layers, "layers, the first one included", between(1, 1000));
    field("entry_kernel", entry_kernel, "extent of the first layer's convolutions; odd", between(3, 63));
    field("kernel", kernel, "extent of the others; odd", between(3, 63));
    field("dropout", dropout, "share of the horizontal stack's gated elements set to 0 in training", at_least(0).below(1));
    field("above_layers", above_layers, "residual blocks over the codes of the level above, where there is one",
          between(0, 1000));
  }
  void check(Relations& relations) const {
    if (entry_kernel % 2 == 0) relations.problem("entry_kernel", "must be odd");
    if (kernel % 2 == 0) relations.problem("kernel", "must be odd");
  }
};

/// Parameters: codes.N, earlier.N and heads.N.{hidden,output} of each group; of each of network.layers.N vertical, link.weight,
/// horizontal, out, vertical_condition.* and horizontal_condition.*; above.*.
/// Throws: ConfigError where codes have no bound.
std::shared_ptr<AutoregressiveCodePrior> make_gated_pixel_cnn(const GatedPixelCnnConfig& config, const CodePriorContext& context);

}  // namespace elbo
