#pragma once
#include "elbo/math/shapes.h"

namespace elbo {

/// What follows the affine map in the same operation.
enum class Follow { nothing, relu, tanh };

/// x W^T + bias, then relu or tanh if asked: one recorded operation. In float32 on the CPU by gemm() where that is faster than
/// LibTorch's product (chosen by shape alone, so that results repeat), the bias inside the product and its gradient in the pass
/// that undoes the activation; elsewhere, and under autocast, LibTorch's own operations.
/// Shapes: x [..., in], weight [out, in], bias [out] or undefined -> [..., out]. Gradient: only of what needs one; twice
/// differentiable. The number of threads doesn't change a bit of what gemm() computes.
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, Follow follow = Follow::nothing);

}  // namespace elbo
