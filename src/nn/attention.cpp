#include "attention.h"

namespace elbo::detail {

MapAttention::MapAttention(const NormOptions& norm, Stream& init) {
  const auto C = norm.channels;
  norm_ = register_module("norm", make_norm(norm));
  qkv_ = register_module("qkv", std::make_shared<Layer>(LayerOptions{.kind = LayerKind::conv, .in = C, .out = 3 * C}, init));
  proj_ = register_module("proj", std::make_shared<Layer>(LayerOptions{.kind = LayerKind::conv, .in = C, .out = C}, init));
}

Tensor MapAttention::forward(const Tensor& x) {
  const auto parts = qkv_->forward(norm_->forward(x)).flatten(2).transpose(1, 2).chunk(3, 2);  // [N, HW, C] each
  const auto read = torch::scaled_dot_product_attention(parts[0], parts[1], parts[2]);
  return x + proj_->forward(read.transpose(1, 2).reshape(x.sizes()));
}

}  // namespace elbo::detail
