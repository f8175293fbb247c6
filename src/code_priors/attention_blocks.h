#pragma once
#include <torch/nn/module.h>

#include <memory>
#include <vector>

#include "elbo/math/arithmetic.h"
#include "elbo/math/init.h"
#include "elbo/math/step.h"
#include "elbo/nn/layer.h"

namespace elbo::detail {

/// Elements are 0 with this probability and the others larger for it; x itself without a step.
Tensor with_dropout(const Tensor& x, double dropout, Step* step);

enum class Sees { everything, up_to_itself };

struct AttentionOptions {
  int64_t width = 0;
  int64_t layers = 0;
  int64_t heads = 1;
  double dropout = 0;
  Sees sees = Sees::up_to_itself;
  int64_t window = 0;  // positions that one sees, itself included; 0 = all
  Init init = Init::xavier_uniform;
};

/// x weight^T + bias, and the normalisation's scale and shift. Parameters: weight, bias.
class NormWeights final : public torch::nn::Module {
 public:
  explicit NormWeights(int64_t width);
  Tensor forward(const Tensor& x, Arithmetic& arithmetic) const { return arithmetic.layer_norm(x, weight_, bias_); }

 private:
  Tensor weight_, bias_;
};

/// The keys and values of one block at the positions so far.
struct AttentionCache {
  Tensor keys = {};  // [B, heads, T, d]
  Tensor values = {};
};

/// Attention and a layer of four times the width, both normalised first. Parameters: attention_norm, attention (queries, keys and
/// values, in this order), attention_output, wide_norm, wide, wide_output, each .{weight,bias}.
class AttentionBlock final : public torch::nn::Module {
 public:
  AttentionBlock(const AttentionOptions& options, Stream& init);
  /// Shapes: [B, T, width] -> the same.
  Tensor forward(const Tensor& h, Arithmetic& arithmetic, Step* step);
  /// Position t alone, of T. Shapes: [B, 1, width] -> the same.
  Tensor next(const Tensor& h, int64_t t, int64_t T, AttentionCache& cache, Arithmetic& arithmetic);

 private:
  /// Queries, keys and values. Shapes: -> [3, B, heads, T, d].
  Tensor split(const Tensor& h, Arithmetic& arithmetic) const;
  Tensor attended(const Tensor& queries, const Tensor& keys, const Tensor& values, Arithmetic& arithmetic) const;
  Tensor finished(const Tensor& h, const Tensor& mixed, Arithmetic& arithmetic, Step* step) const;

  AttentionOptions options_;
  std::shared_ptr<NormWeights> attention_norm_, wide_norm_;
  std::shared_ptr<Layer> attention_, attention_output_, wide_, wide_output_;
};

/// Source: Vaswani et al. 2017 (arXiv:1706.03762); normalisation first: Xiong et al. 2020 (arXiv:2002.04745).
/// Parameters: blocks.N.*, norm.{weight,bias}.
class AttentionStack final : public torch::nn::Module {
 public:
  AttentionStack(const AttentionOptions& options, Stream& init);
  Tensor forward(Tensor h, Arithmetic& arithmetic, Step* step);
  Tensor next(Tensor h, int64_t t, int64_t T, std::vector<AttentionCache>& cache, Arithmetic& arithmetic);

 private:
  std::vector<std::shared_ptr<AttentionBlock>> blocks_;
  std::shared_ptr<NormWeights> norm_;
};

}  // namespace elbo::detail
