#include "elbo/ops/linear.h"

#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "elbo/ops/gemm.h"
#include "elbo/ops/instructions.h"
#include "linear_cpu.h"

namespace elbo {
namespace {

using detail::Nonlinearity;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

MatrixView matrix(const Tensor& tensor) { return {tensor.const_data_ptr<float>(), tensor.stride(0), tensor.stride(1)}; }
MatrixView transposed(const Tensor& tensor) { return {tensor.const_data_ptr<float>(), tensor.stride(1), tensor.stride(0)}; }

/// A [M, K] times B [K, N], given as views of what the tensors hold.
Tensor product(const Gemm& given, const Tensor& like) {
  auto out = torch::empty({given.M, given.N}, like.options().requires_grad(false));
  auto gemm_into = given;
  gemm_into.c = out.mutable_data_ptr<float>();
  gemm_into.c_row_stride = given.N;
  gemm(gemm_into);
  return out;
}

/// Whether one of the strides is 1, or nearly nothing is read: other layouts are packed element by element.
Tensor packable(const Tensor& tensor) { return tensor.stride(0) == 1 || tensor.stride(1) == 1 ? tensor : tensor.contiguous(); }

struct FusedLinear : public torch::autograd::Function<FusedLinear> {
  static Tensor forward(AutogradContext* context, const Tensor& given_x, const Tensor& given_weight,
                        const std::optional<Tensor>& given_bias, int64_t follow) {
    const auto x = packable(given_x), weight = packable(given_weight);
    const auto bias = given_bias ? given_bias->contiguous() : Tensor();
    auto y = product({.M = x.size(0),
                      .N = weight.size(0),
                      .K = x.size(1),
                      .a = matrix(x),
                      .b = transposed(weight),
                      .bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr},
                     x);
    const auto how = static_cast<Nonlinearity>(follow);
    detail::apply_nonlinearity(how, y.mutable_data_ptr<float>(), y.numel());
    context->save_for_backward({given_x, given_weight, how == Nonlinearity::none ? Tensor() : y});
    context->saved_data["follow"] = follow;
    context->saved_data["has_bias"] = given_bias.has_value();
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto how = static_cast<Nonlinearity>(context->saved_data["follow"].toInt());
    if (at::GradMode::is_enabled()) return differentiable_backward(context, saved, upstream[0], how);
    const auto &x = saved[0], &weight = saved[1], &y = saved[2];
    const bool wants_bias = needs_bias(context);
    const auto rows = x.size(0), in = x.size(1), out = weight.size(0);
    const auto grad = upstream[0].contiguous();
    const auto below = how == Nonlinearity::none ? grad : torch::empty_like(grad);
    Tensor grad_x, grad_weight, grad_bias;
    if (wants_bias) grad_bias = torch::empty({out}, grad.options());
    detail::undo_nonlinearity(how, {.grad = grad.const_data_ptr<float>(),
                                    .y = y.defined() ? y.const_data_ptr<float>() : nullptr,
                                    .below = y.defined() ? below.mutable_data_ptr<float>() : nullptr,
                                    .bias = wants_bias ? grad_bias.mutable_data_ptr<float>() : nullptr,
                                    .rows = rows,
                                    .columns = out});
    if (context->needs_input_grad(0)) {
      const auto w = packable(weight);
      grad_x = product({.M = rows, .N = in, .K = out, .a = matrix(below), .b = matrix(w)}, grad);
    }
    if (context->needs_input_grad(1)) {
      const auto input = packable(x);
      grad_weight = product({.M = out, .N = in, .K = rows, .a = transposed(below), .b = matrix(input)}, grad);
    }
    return {grad_x, grad_weight, grad_bias, Tensor()};
  }

 private:
  static bool needs_bias(AutogradContext* context) {
    return context->saved_data["has_bias"].toBool() && context->needs_input_grad(2);
  }

  /// With gradients on (create_graph), the same from operations that have derivatives themselves.
  static variable_list differentiable_backward(AutogradContext* context, const variable_list& saved, const Tensor& upstream,
                                               Nonlinearity how) {
    const auto &x = saved[0], &weight = saved[1], &y = saved[2];
    auto grad = upstream;
    if (how == Nonlinearity::relu) grad = grad * (y > 0);
    if (how == Nonlinearity::tanh) grad = grad * (1 - y.square());
    return {context->needs_input_grad(0) ? grad.mm(weight) : Tensor(), context->needs_input_grad(1) ? grad.t().mm(x) : Tensor(),
            needs_bias(context) ? grad.sum(0) : Tensor(), Tensor()};
  }
};

/// By shape alone. The bounds are measured against MKL, whose AVX2 kernels ours only match: without AVX-512 it is left to it.
bool gemm_pays(int64_t rows, int64_t in, int64_t out) {
  constexpr int64_t kLeastExtent = 8;
  constexpr int64_t kLeastProducts = 60000;
  return instructions_in_use() == Instructions::avx512 && std::min({rows, in, out}) >= kLeastExtent &&
         rows * in * out >= kLeastProducts;
}

bool is_plain_float(const Tensor& tensor) {
  return tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided;
}

bool gemm_fits(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return x.dim() >= 2 && weight.dim() == 2 && x.size(-1) == weight.size(1) && is_plain_float(x) && is_plain_float(weight) &&
         (!bias.defined() || (is_plain_float(bias) && bias.dim() == 1 && bias.size(0) == weight.size(0))) && x.numel() > 0 &&
         gemm_pays(x.numel() / x.size(-1), x.size(-1), weight.size(0)) && !at::autocast::is_autocast_enabled(at::kCPU);
}

Tensor linear_by_operations(const Tensor& x, const Tensor& weight, const Tensor& bias, Follow follow) {
  const auto y = torch::linear(x, weight, bias);
  return follow == Follow::relu ? torch::relu(y) : follow == Follow::tanh ? torch::tanh(y) : y;
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Follow follow) {
  if (!gemm_fits(x, weight, bias)) return linear_by_operations(x, weight, bias, follow);
  const auto given_bias = bias.defined() ? std::optional(bias) : std::nullopt;
  if (x.dim() == 2) return FusedLinear::apply(x, weight, given_bias, static_cast<int64_t>(follow));
  auto shape = x.sizes().vec();
  shape.back() = weight.size(0);
  return FusedLinear::apply(x.flatten(0, -2), weight, given_bias, static_cast<int64_t>(follow)).view(shape);
}

}  // namespace elbo
