#pragma once
#include "elbo/code_priors/code_prior.h"
#include "elbo/math/init.h"

namespace elbo {

/// A transformer over the codes row by row, groups innermost. Its sequence is the class (or none) and then all codes but the
/// last; each position has a learned embedding and sees itself and what stands before it. Features of the level above enter at
/// the position that they are to predict.
/// Source: Esser et al. 2021 (arXiv:2012.09841), section 3.2; Radford et al. 2019.
struct TransformerPriorConfig {
  int64_t width = 128;
  int64_t layers = 4;
  int64_t heads = 4;
  double dropout = 0;
  bool tied = false;
  int64_t window = 0;
  int64_t above_layers = 2;
  Init init = Init::xavier_uniform;

  template <class F>
  void fields(F& field) {
    field("width", width, "numbers a position inside; divisible by heads", between(1, 8192));
    field("layers", layers, "blocks", between(1, 1000));
    field("heads", heads, "heads of attention", between(1, 1024));
    field("dropout", dropout, "share of the elements of the embeddings and of each layer's output set to 0 in training",
          at_least(0).below(1));
    field("tied", tied, "whether the last layer's weight is the table of the codes' embeddings");
    field("window", window, "last positions that one sees, itself included; 0: all", at_least(0));
    field("above_layers", above_layers, "residual blocks over the codes of the level above, where there is one",
          between(0, 1000));
    field("init", init, "initialisation of the weights");
  }
  void check(Relations& relations) const {
    if (width % heads != 0) relations.problem("heads", "must divide width");
  }
};

/// Parameters: tokens.codes.N [V, width] a group, tokens.places [T, width], tokens.classes [num_classes + 1, width], the last row
/// for a class that isn't told; stack.norm and of each of stack.blocks.N attention_norm, attention (queries, keys and values, in
/// this order), attention_output, wide_norm, wide, wide_output, each .{weight,bias}; output.N.{weight,bias} a group, without
/// weight where tied; with a level above tokens.above.*. Throws: ConfigError where codes have no bound.
std::shared_ptr<AutoregressiveCodePrior> make_transformer_prior(const TransformerPriorConfig& config,
                                                                const CodePriorContext& context);

}  // namespace elbo
