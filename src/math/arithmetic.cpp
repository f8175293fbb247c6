#include "elbo/math/arithmetic.h"

#include <cmath>

namespace elbo {
namespace {

class FloatingArithmetic final : public Arithmetic {
 public:
  Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) override { return at::linear(x, weight, bias); }

  Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias) override { return at::conv2d(x, weight, bias); }

  Tensor scores(const Tensor& q, const Tensor& k) override {
    return at::matmul(q * (1 / std::sqrt(static_cast<double>(q.size(-1)))), k.transpose(-2, -1));
  }

  Tensor softmax(const Tensor& scores) override {
    // Without the replacement, -inf minus the row's maximum of -inf would be NaN, in the gradient too.
    const auto empty = scores.detach().amax(-1, /*keepdim=*/true).eq(-INFINITY);
    return at::softmax(scores.masked_fill(empty, 0), -1).masked_fill(empty, 0);
  }

  Tensor attend(const Tensor& weights, const Tensor& v) override { return at::matmul(weights, v); }

  Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias) override {
    return at::layer_norm(x, {x.size(-1)}, weight, bias, 1e-5);
  }

  Tensor sigmoid(const Tensor& x) override { return at::sigmoid(x); }
  Tensor tanh(const Tensor& x) override { return at::tanh(x); }
  Tensor elu(const Tensor& x) override { return at::elu(x); }
  Tensor gelu(const Tensor& x) override { return at::gelu(x, "tanh"); }
};

}  // namespace

Arithmetic& floating_arithmetic() {
  static FloatingArithmetic arithmetic;
  return arithmetic;
}

}  // namespace elbo
