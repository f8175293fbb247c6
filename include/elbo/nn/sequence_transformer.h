#pragma once
#include "elbo/nn/network.h"

namespace elbo {

/// Transformer over the rows of a field [T, F], such as the segments of a path: each row enters by a linear layer and a learned
/// place, then blocks of self-attention and a layer of four times the width, both normalised first. Features are the mean over
/// the rows; the decoder starts from z at every place and ends in a linear layer a row.
/// Source: Vaswani et al. 2017 (arXiv:1706.03762); normalisation first: Xiong et al. 2020 (arXiv:2002.04745).
struct SequenceTransformerConfig {
  int64_t width = 128;
  int64_t layers = 4;
  int64_t heads = 4;
  Activation activation = Activation::gelu;
  Init init = Init::xavier_uniform;

  template <class F>
  void fields(F& field) {
    field("width", width, "numbers a row inside; divisible by heads", between(1, 1 << 16));
    field("layers", layers, "blocks", between(1, 1000));
    field("heads", heads, "heads of attention", between(1, 1024));
    field("activation", activation, "nonlinearity of a block's wide layer");
    field("init", init, "initialisation of the weights");
  }
  void check(Relations& relations) const {
    if (width % heads != 0) relations.problem("heads", "must divide width");
  }
};

/// Parameters: entry.{weight,bias}, places [T, width], norm.{weight,bias} and of each of blocks.N attention_norm, attention
/// (queries, keys and values, in this order), attention_output, wide_norm, wide, wide_output, each .{weight,bias}.
/// Throws: ConfigError unless the field is [T, F].
std::shared_ptr<Encoder> make_sequence_transformer_encoder(const SequenceTransformerConfig& config,
                                                           const EncoderContext& context);
/// The same and output.{weight,bias}. Throws: ConfigError unless the likelihood's parameters are [T, F].
std::shared_ptr<Decoder> make_sequence_transformer_decoder(const SequenceTransformerConfig& config,
                                                           const DecoderContext& context);

}  // namespace elbo
