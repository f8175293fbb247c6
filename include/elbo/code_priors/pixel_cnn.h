#pragma once
#include "elbo/code_priors/code_prior.h"

namespace elbo {

/// PixelCNN over codes: a 7 x 7 convolution that leaves out the place itself (mask A), then residual blocks (ReLU, 1 x 1 to half
/// the width, ReLU, 3 x 3 with mask B, ReLU, 1 x 1) and ReLU, 1 x 1, ReLU, 1 x 1. Source: van den Oord, Kalchbrenner &
/// Kavukcuoglu 2016 (arXiv:1601.06759), section 3.2 and table 1. A masked convolution is two dense ones over the rows above and
/// over the own row, whose sum is the same function.
/// It has a blind spot: place (i, j) never sees (i - a, j + b) where b > entry_kernel / 2 + (a - 1) (kernel / 2), halves rounded
/// down, however many layers there are. gated_pixel_cnn has none.
/// Differs: codes enter as learned embeddings, of several groups as their sum; groups of one place follow each other in a head
/// each, which adds embeddings of the groups before, instead of masked channels. The class and the level above (embedded, with
/// residual blocks, repeated to this grid) are added in every block.
struct PixelCnnConfig {
  int64_t width = 128;
  int64_t layers = 8;
  int64_t entry_kernel = 7;
  int64_t kernel = 3;
  double dropout = 0;
  int64_t above_layers = 2;

  template <class F>
  void fields(F& field) {
    field("width", width, "channels; even", between(2, 4096));
    field("layers", layers, "residual blocks", between(1, 1000));
    field("entry_kernel", entry_kernel, "extent of the first convolution; odd", between(3, 63));
    field("kernel", kernel, "extent of a block's convolution; odd", between(3, 63));
    field("dropout", dropout, "share of a block's hidden elements set to 0 in training", at_least(0).below(1));
    field("above_layers", above_layers, "residual blocks over the codes of the level above, where there is one",
          between(0, 1000));
  }
  void check(Relations& relations) const {
    if (width % 2 != 0) relations.problem("width", "must be even");
    if (entry_kernel % 2 == 0) relations.problem("entry_kernel", "must be odd");
    if (kernel % 2 == 0) relations.problem("kernel", "must be odd");
  }
};

/// Parameters: codes.N, earlier.N and heads.N.{hidden,output} of each group; network.entry, network.blocks.N.{reduce,causal,
/// expand} and their condition; above.*. A causal convolution has rows.weight and row.{weight,bias}.
/// Throws: ConfigError where codes have no bound.
std::shared_ptr<AutoregressiveCodePrior> make_pixel_cnn(const PixelCnnConfig& config, const CodePriorContext& context);

}  // namespace elbo
