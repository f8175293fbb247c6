#pragma once
#include <memory>

#include "elbo/math/shapes.h"

namespace elbo {

/// The operations of a network whose numbers must be the same wherever it runs: what decodes a file has to give, bit for bit, the
/// probabilities that coded it. A network written in these (with plain sums, products and selections between them) runs in either
/// arithmetic.
///
/// `floating` is LibTorch's own operations in the inputs' type, with gradients.
///
/// `exact` is float64 in which no result depends on the order of a sum, hence on threads, vector width or library: every operand
/// of a sum is first rounded to a grid so coarse that all partial sums are integers below 2^53 times one power of two. Each row
/// (of a matrix: each row of x, each row of a weight) has the power of two of its largest element, with 20 bits below it: an
/// error of 2^-21 of it, which is float32's. Elementwise functions use sums, products, quotients and square roots one at a time,
/// which IEEE 754 rounds in one way. A row's result depends on that row alone, so that a cached pass gives the bits of a whole
/// one. Without gradients; any input type.
class Arithmetic {
 public:
  virtual ~Arithmetic() = default;
  /// x weight^T + bias. Shapes: x [..., in], weight [out, in], bias [out] or undefined -> [..., out]. Exact: more than 8,192
  /// inputs are summed in parts of so many, one after the other.
  virtual Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) = 0;
  /// Stride 1, no padding. Shapes: x [B, in, H, W], weight [out, in, h, w], bias [out] or undefined. Exact: each
  /// patch is a row, of in h w numbers.
  virtual Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias) = 0;
  /// Scaled dot products of attention. Shapes: q [..., Tq, d], k [..., Tk, d] -> [..., Tq, Tk]: q k^T / sqrt(d).
  virtual Tensor scores(const Tensor& q, const Tensor& k) = 0;
  /// softmax over the last dimension; an element of -inf has weight 0, a row of nothing else weight 0 everywhere.
  virtual Tensor softmax(const Tensor& scores) = 0;
  /// weights v. Shapes: weights [..., Tq, Tk], whose rows sum to at most 1, v [..., Tk, d] -> [..., Tq, d].
  /// Exact: weights on the grid 2^-24, v on the grid 2^-20 and within +-2^7.
  virtual Tensor attend(const Tensor& weights, const Tensor& v) = 0;
  /// (x - mean) / sqrt(variance + 1e-5) weight + bias over the last dimension, where exact of at most 8,192 numbers.
  virtual Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias) = 0;
  virtual Tensor sigmoid(const Tensor& x) = 0;
  virtual Tensor tanh(const Tensor& x) = 0;
  virtual Tensor elu(const Tensor& x) = 0;
  /// The form with tanh: Hendrycks & Gimpel 2016 (arXiv:1606.08415), section 2.
  virtual Tensor gelu(const Tensor& x) = 0;
};

Arithmetic& floating_arithmetic();
Arithmetic& exact_arithmetic();

/// The same bits as exact_arithmetic(), where a network is called many times over (position by position): weights are rounded
/// once. No weight may change while it lives.
std::unique_ptr<Arithmetic> exact_arithmetic_of_fixed_weights();

}  // namespace elbo
