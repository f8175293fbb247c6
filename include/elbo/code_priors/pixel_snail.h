#pragma once
#include "elbo/code_priors/code_prior.h"

namespace elbo {

/// PixelSNAIL over codes: blocks of gated residual causal convolutions and causal attention, with the place's coordinates
/// (i - h / 2) / h and (j - w / 2) / w beside the features. Source: Chen et al. 2017 (arXiv:1712.09763), figure 2; coordinates,
/// ELU, GLU and weight norm as in the authors' published code, classes and a level above in each gated residual layer as in
/// Razavi et al. 2019 (arXiv:1906.00446). The keys and values of a block's attention come from its input, its features and the
/// coordinates, the queries from features and coordinates; a place attends to the places strictly before it, the first to
/// nothing. Without attention a block ends in a 1 x 1 convolution of features and coordinates, and places up and to the right are
/// a blind spot as in pixel_cnn; attention sees everything. Differs: as pixel_cnn. Causal convolutions cover the rows above
/// within half a kernel, not a whole one.
struct PixelSnailConfig {
  int64_t width = 64;
  int64_t blocks = 2;
  int64_t layers = 4;
  int64_t entry_kernel = 5;
  int64_t kernel = 3;
  bool attention = true;
  int64_t heads = 8;
  double dropout = 0.1;
  int64_t above_layers = 2;

  template <class F>
  void fields(F& field) {
    field("width", width, "channels; keys have half as many, over all heads", between(2, 2048));
    field("blocks", blocks, "blocks, each with one attention", between(1, 1000));
    field("layers", layers, "gated residual layers of a block", between(1, 1000));
    field("entry_kernel", entry_kernel, "extent of the first convolution; odd", between(3, 63));
    field("kernel", kernel, "extent of the others; odd", between(3, 63));
    field("attention", attention, "whether blocks attend; without it memory grows with the places and not their square");
    field("heads", heads, "heads of attention; divide half of width", between(1, 1024));
    field("dropout", dropout, "share of a layer's hidden elements set to 0 in training", at_least(0).below(1));
    field("above_layers", above_layers, "residual blocks over the codes of the level above, where there is one",
          between(0, 1000));
  }
  void check(Relations& relations) const {
    if (width % 2 != 0) relations.problem("width", "must be even");
    if (attention && width / 2 % heads != 0) relations.problem("heads", "must divide half of width");
    if (entry_kernel % 2 == 0) relations.problem("entry_kernel", "must be odd");
    if (kernel % 2 == 0) relations.problem("kernel", "must be odd");
  }
};

/// Parameters: codes.N, earlier.N and heads.N.{hidden,output} of each group; network.entry, network.blocks.N.layers.M.{conv1,
/// conv2,condition}, and of a block with attention key_layer, query_layer and out_layer.{conv1,conv2}, out_layer.attended, query,
/// key and value, else out; above.*. The network's weights are weight_g and weight_v.
/// Throws: ConfigError where codes have no bound.
std::shared_ptr<AutoregressiveCodePrior> make_pixel_snail(const PixelSnailConfig& config, const CodePriorContext& context);

}  // namespace elbo
