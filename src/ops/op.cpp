#include "elbo/ops/op.h"

#include <torch/csrc/autograd/custom_function.h>

#include "bernoulli_cpu.h"
#include "cuda_table.h"
#include "elbo/base/error.h"
#include "over_event.h"

namespace elbo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <class T>
detail::BernoulliRows<T> rows_of(const Tensor& logits, const Tensor& target, int64_t rows) {
  const int64_t event = rows == 0 ? 0 : logits.numel() / rows;
  return {.logits = logits.const_data_ptr<T>(),
          .target = target.const_data_ptr<T>(),
          .rows = rows,
          .target_rows = event == 0 ? 1 : target.numel() / event,
          .event = event};
}

cuda_plugin::BernoulliRows cuda_rows_of(const Tensor& logits, const Tensor& target, int64_t rows) {
  const int64_t event = logits.numel() / rows;
  return {.logits = logits.const_data_ptr(),
          .target = target.const_data_ptr(),
          .rows = rows,
          .target_rows = target.numel() / event,
          .event = event,
          .scalar = logits.scalar_type() == at::kFloat ? cuda_plugin::Scalar::float32 : cuda_plugin::Scalar::float64,
          .device = logits.get_device()};
}

/// Both contiguous, the same type, and the target's leading extents the trailing part of the logits' (a target row serves every
/// rows / target_rows rows).
Tensor fused_forward(const Tensor& logits, const Tensor& target, int64_t event_dims) {
  auto out = torch::zeros(logits.sizes().slice(0, logits.dim() - event_dims), logits.options());
  if (logits.numel() == 0) return out;
  if (logits.is_cuda()) {
    detail::cuda_table()->bernoulli_forward(cuda_rows_of(logits, target, out.numel()), out.mutable_data_ptr());
  } else if (logits.scalar_type() == at::kFloat) {
    detail::bernoulli_forward(rows_of<float>(logits, target, out.numel()), out.mutable_data_ptr<float>());
  } else {
    detail::bernoulli_forward(rows_of<double>(logits, target, out.numel()), out.mutable_data_ptr<double>());
  }
  return out;
}

Tensor fused_backward(const Tensor& logits, const Tensor& target, const Tensor& grad_out) {
  auto grad = torch::empty_like(logits);
  if (logits.numel() == 0) return grad;
  const auto g = grad_out.contiguous();
  if (logits.is_cuda()) {
    detail::cuda_table()->bernoulli_backward(cuda_rows_of(logits, target, g.numel()), g.const_data_ptr(),
                                             grad.mutable_data_ptr());
  } else if (logits.scalar_type() == at::kFloat) {
    detail::bernoulli_backward(rows_of<float>(logits, target, g.numel()), g.const_data_ptr<float>(),
                               grad.mutable_data_ptr<float>());
  } else {
    detail::bernoulli_backward(rows_of<double>(logits, target, g.numel()), g.const_data_ptr<double>(),
                               grad.mutable_data_ptr<double>());
  }
  return grad;
}

struct FusedBernoulli : public torch::autograd::Function<FusedBernoulli> {
  static Tensor forward(AutogradContext* context, const Tensor& logits, const Tensor& target, int64_t event_dims) {
    context->save_for_backward({logits, target});
    context->saved_data["event_dims"] = event_dims;
    return fused_forward(logits, target, event_dims);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto &logits = saved[0], &target = saved[1];
    const auto event_dims = context->saved_data["event_dims"].toInt();
    Tensor grad_logits, grad_target;
    if (context->needs_input_grad(0)) {
      // With gradients on (create_graph) the same formula from differentiable operations gives second derivatives.
      grad_logits = at::GradMode::is_enabled() ? detail::over_event(grads[0], event_dims) * (target - logits.sigmoid())
                                               : fused_backward(logits, target, grads[0]);
    }
    if (context->needs_input_grad(1)) grad_target = (detail::over_event(grads[0], event_dims) * logits).sum_to_size(target.sizes());
    return {grad_logits, grad_target, Tensor()};
  }
};

bool has_fused_kernel(const Tensor& logits) {
  const bool type = logits.scalar_type() == at::kFloat || logits.scalar_type() == at::kDouble;
  return type && (logits.is_cpu() || (logits.is_cuda() && detail::cuda_table() != nullptr));
}

/// The leading extents broadcast together; throws ShapeError.
Shape broadcast_leading(const Tensor& logits, const Tensor& target, int64_t event_dims) {
  const auto fail = [&](const std::string& why) {
    throw ShapeError("bernoulli_log_prob: logits " + shape_text(logits.sizes()) + " and target " + shape_text(target.sizes()) +
                     " " + why);
  };
  if (logits.dim() < event_dims || target.dim() < event_dims)
    fail("need at least " + std::to_string(event_dims) + " event extents");
  auto a = logits.sizes().slice(0, logits.dim() - event_dims), b = target.sizes().slice(0, target.dim() - event_dims);
  if (logits.sizes().slice(a.size()) != target.sizes().slice(b.size())) {
    fail("differ in their last " + std::to_string(event_dims) + " extents, the event");
  }
  if (a.size() < b.size()) std::swap(a, b);
  auto shape = a.vec();
  for (size_t i = 0; i < b.size(); ++i) {
    auto& extent = shape[a.size() - b.size() + i];
    if (extent != b[i] && extent != 1 && b[i] != 1) fail("don't broadcast");
    if (extent == 1) extent = b[i];
  }
  return shape;
}

/// The target as rows that the logits' rows run through in order: leading ones dropped, an inner extent of 1 expanded.
Tensor as_trailing(const Tensor& target, at::IntArrayRef leading, int64_t event_dims) {
  auto result = target;
  while (result.dim() > event_dims && (result.size(0) == 1 && leading.size() > 0)) result = result.squeeze(0);
  const auto own = result.sizes().slice(0, result.dim() - event_dims);
  if (own == leading.slice(leading.size() - own.size())) return result;
  return target.expand(joined(leading, target.sizes().slice(target.dim() - event_dims)));
}

}  // namespace

Tensor bernoulli_log_prob(const Tensor& logits, const Tensor& target, int64_t event_dims) {
  const auto leading = broadcast_leading(logits, target, event_dims);
  if (logits.device() != target.device()) {
    throw ShapeError("bernoulli_log_prob: logits are on " + logits.device().str() + ", the target is on " +
                     target.device().str());
  }
  const auto type = logits.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const auto l = logits.to(type);
  const auto x = target.to(type);
  if (!has_fused_kernel(l)) return sum_last(l * x + torch::log_sigmoid(-l), event_dims);
  const auto full = l.expand(joined(leading, l.sizes().slice(l.dim() - event_dims)));
  return FusedBernoulli::apply(full.contiguous(), as_trailing(x, leading, event_dims).contiguous(), event_dims);
}

}  // namespace elbo
