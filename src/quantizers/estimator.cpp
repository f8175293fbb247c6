#include "elbo/quantizers/estimator.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "elbo/math/precision.h"

namespace elbo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double kLargestScale = 1000;  // |q| / |e| where a token is nearly zero
constexpr double kLeastNorm = 1e-6;

/// lambda R^T g of one token, from norms and products of the three vectors: R is never built.
template <class T>
void rotate_back(const T* e, const T* q, const T* g, int64_t D, T* out) {
  double ee = 0, qq = 0, eg = 0, qg = 0;
  for (int64_t d = 0; d < D; ++d) {
    const double a = e[d], b = q[d], c = g[d];
    ee += a * a;
    qq += b * b;
    eg += a * c;
    qg += b * c;
  }
  const double q_norm = std::sqrt(qq);
  const double from_e = 1 / std::max(std::sqrt(ee), kLeastNorm), from_q = 1 / std::max(q_norm, kLeastNorm);
  double ww = 0;  // of the unnormalised w = e^ + q^; its own pass, since opposite directions cancel
  for (int64_t d = 0; d < D; ++d) {
    const double w = e[d] * from_e + q[d] * from_q;
    ww += w * w;
  }
  const double along_w = 2 * (eg * from_e + qg * from_q) / std::max(ww, kLeastNorm * kLeastNorm);
  const double along_e = 2 * qg * from_q;
  const double scale = std::min(q_norm * from_e, kLargestScale);
  for (int64_t d = 0; d < D; ++d) {
    const double w = e[d] * from_e + q[d] * from_q;
    out[d] = static_cast<T>(scale * (g[d] - w * along_w + e[d] * from_e * along_e));
  }
}

template <class T>
void rotate_rows_back(const Tensor& e, const Tensor& q, const Tensor& g, Tensor& out) {
  constexpr int64_t kElementsATask = int64_t{1} << 15;
  const int64_t D = e.size(-1), rows = D == 0 ? 0 : e.numel() / D;
  const T *from = e.const_data_ptr<T>(), *to = q.const_data_ptr<T>(), *upstream = g.const_data_ptr<T>();
  T* result = out.mutable_data_ptr<T>();
  at::parallel_for(0, rows, std::max<int64_t>(1, kElementsATask / std::max<int64_t>(1, D)), [&](int64_t first, int64_t last) {
    for (int64_t i = first * D; i < last * D; i += D) rotate_back(from + i, to + i, upstream + i, D, result + i);
  });
}

/// The same from LibTorch's operations, for other devices.
Tensor rotate_by_operations(const Tensor& e, const Tensor& q, const Tensor& g) {
  const auto norm = [](const Tensor& x) { return x.square().sum(-1, true).sqrt(); };
  const auto e_norm = norm(e).clamp_min(kLeastNorm), q_norm = norm(q);
  const auto from = e / e_norm, to = q / q_norm.clamp_min(kLeastNorm);
  const auto w = from + to;
  const auto along_w = 2 * (w * g).sum(-1, true) / w.square().sum(-1, true).clamp_min(kLeastNorm * kLeastNorm);
  const auto along_e = 2 * (to * g).sum(-1, true);
  return (q_norm / e_norm).clamp_max(kLargestScale) * (g - w * along_w + from * along_e);
}

Tensor rotation_backward(const Tensor& e, const Tensor& q, const Tensor& upstream) {
  const auto g = upstream.to(e.scalar_type());
  if (!e.is_cpu() || (e.scalar_type() != at::kFloat && e.scalar_type() != at::kDouble)) return rotate_by_operations(e, q, g);
  auto out = torch::empty(e.sizes(), e.options());
  if (e.scalar_type() == at::kFloat) {
    rotate_rows_back<float>(e.contiguous(), q.contiguous(), g.contiguous(), out);
  } else {
    rotate_rows_back<double>(e.contiguous(), q.contiguous(), g.contiguous(), out);
  }
  return out;
}

// z + (code - z).detach() would round: both functions return the code itself.

struct StraightThrough : public torch::autograd::Function<StraightThrough> {
  static Tensor forward(AutogradContext* context, const Tensor& z, const Tensor& code) {
    context->saved_data["type"] = static_cast<int64_t>(z.scalar_type());
    return code.clone();
  }
  static variable_list backward(AutogradContext* context, variable_list upstream) {
    return {upstream[0].to(static_cast<at::ScalarType>(context->saved_data["type"].toInt())), Tensor()};
  }
};

struct Rotation : public torch::autograd::Function<Rotation> {
  static Tensor forward(AutogradContext* context, const Tensor& z, const Tensor& code) {
    context->saved_data["type"] = static_cast<int64_t>(z.scalar_type());
    context->save_for_backward({full_precision(z), code});
    return code.clone();
  }
  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const auto saved = context->get_saved_variables();
    const auto& e = saved[0];
    const auto gradient = rotation_backward(e, saved[1].to(e.scalar_type()), upstream[0]);
    return {gradient.to(static_cast<at::ScalarType>(context->saved_data["type"].toInt())), Tensor()};
  }
};

}  // namespace

Tensor pass_gradient(const Tensor& z, const Tensor& code, GradientEstimator estimator) {
  check_shape(code, z.sizes(), "code of pass_gradient");
  const auto constant = code.detach();
  switch (estimator) {
    case GradientEstimator::straight_through:
      return StraightThrough::apply(z, constant);
    case GradientEstimator::rotation:
      return Rotation::apply(z, constant);
    case GradientEstimator::none:
      return constant;
  }
  return constant;
}

RotationScales rotation_scales(const Tensor& z, const Tensor& code) {
  const torch::NoGradGuard no_grad;
  const auto e_norm = full_precision(z.detach()).square().sum(-1).sqrt().clamp_min(kLeastNorm);
  const auto scale = code.detach().square().sum(-1).sqrt() / e_norm;
  return {.mean = scale.clamp_max(kLargestScale).mean(), .clamped = scale.gt(kLargestScale).to(torch::kFloat).mean()};
}

}  // namespace elbo
