#include "elbo/ops/normal.h"

#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <numbers>

#include "cuda_table.h"
#include "normal_cpu.h"
#include "over_event.h"

namespace elbo {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Table = cuda_plugin::Table;

const double kLogTwoPi = std::log(2 * std::numbers::pi);

bool has_kernel(const Tensor& tensor) {
  return (tensor.is_cpu() || (tensor.is_cuda() && detail::cuda_table() != nullptr)) &&
         (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble);
}

/// Whether the parameters' shape ends the value's and all have a kernel's type.
bool fits(const Tensor& value, const Tensor& mean, const Tensor& log_var) {
  const auto v = value.sizes(), m = mean.sizes();
  return has_kernel(mean) && value.device() == mean.device() && log_var.device() == mean.device() &&
         value.scalar_type() == mean.scalar_type() && log_var.scalar_type() == mean.scalar_type() && log_var.sizes() == m &&
         v.size() >= m.size() && v.slice(v.size() - m.size()) == m && value.numel() > 0;
}

template <class T>
const T* pointer(const Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}
template <class T>
T* writable(const Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<T>() : nullptr;
}

const void* address(const Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr() : nullptr; }
void* writable_address(const Tensor& tensor) { return tensor.defined() ? tensor.mutable_data_ptr() : nullptr; }

/// `value` may be undefined. `event` elements a row.
template <class T>
detail::NormalRows<T> rows_of(const Tensor& value, const Tensor& mean, const Tensor& log_var, int64_t event) {
  const int64_t parameter_rows = mean.numel() / event;
  return {.value = pointer<T>(value),
          .mean = mean.const_data_ptr<T>(),
          .log_var = log_var.const_data_ptr<T>(),
          .rows = value.defined() ? value.numel() / event : parameter_rows,
          .parameter_rows = parameter_rows,
          .event = event};
}

struct Gradients {
  Tensor value = {}, mean = {}, log_var = {};
  template <class T>
  detail::NormalGradients<T> pointers() const {
    return {writable<T>(value), writable<T>(mean), writable<T>(log_var)};
  }
  cuda_plugin::NormalGradients addresses() const {
    return {writable_address(value), writable_address(mean), writable_address(log_var)};
  }
};

cuda_plugin::Scalar cuda_scalar(const Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat ? cuda_plugin::Scalar::float32 : cuda_plugin::Scalar::float64;
}

cuda_plugin::NormalRows cuda_rows_of(const Tensor& value, const Tensor& mean, const Tensor& log_var, int64_t event) {
  const int64_t parameter_rows = mean.numel() / event;
  return {.value = address(value),
          .mean = address(mean),
          .log_var = address(log_var),
          .rows = value.defined() ? value.numel() / event : parameter_rows,
          .parameter_rows = parameter_rows,
          .event = event,
          .scalar = cuda_scalar(mean),
          .device = mean.get_device()};
}

cuda_plugin::ClippedValues cuda_values_of(const Tensor& x, double lo, double hi) {
  return {.x = address(x), .count = x.numel(), .lo = lo, .hi = hi, .scalar = cuda_scalar(x), .device = x.get_device()};
}

/// on_cuda(table) for a tensor on CUDA, else on_cpu(T()) for its type.
template <class OnCuda, class OnCpu>
void where_it_is(const Tensor& tensor, const OnCuda& on_cuda, const OnCpu& on_cpu) {
  if (tensor.is_cuda()) {
    on_cuda(*detail::cuda_table());
  } else if (tensor.scalar_type() == at::kFloat) {
    on_cpu(float{});
  } else {
    on_cpu(double{});
  }
}

int64_t event_size(const Tensor& tensor, int64_t event_dims) {
  return c10::multiply_integers(tensor.sizes().slice(static_cast<size_t>(tensor.dim() - event_dims)));
}

struct LogProb : public torch::autograd::Function<LogProb> {
  static Tensor forward(AutogradContext* context, const Tensor& value, const Tensor& mean, const Tensor& log_var,
                        int64_t event_dims) {
    context->save_for_backward({value, mean, log_var});
    context->saved_data["event_dims"] = event_dims;
    auto out = torch::empty(value.sizes().slice(0, static_cast<size_t>(value.dim() - event_dims)), mean.options());
    where_it_is(
        mean,
        [&](const Table& cuda) {
          cuda.normal_log_prob_forward(cuda_rows_of(value, mean, log_var, event_size(mean, event_dims)), writable_address(out));
        },
        [&]<class T>(T) {
          detail::normal_log_prob_forward(rows_of<T>(value, mean, log_var, event_size(mean, event_dims)), writable<T>(out));
        });
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto &value = saved[0], &mean = saved[1], &log_var = saved[2];
    const auto event_dims = context->saved_data["event_dims"].toInt();
    const auto wants = [&](size_t i) { return context->needs_input_grad(i); };
    Gradients grads;
    if (at::GradMode::is_enabled()) {  // create_graph: from operations that have second derivatives
      const auto g = detail::over_event(upstream[0], event_dims);
      const auto d = value - mean;
      const auto slope = g * d * (-log_var).exp();
      if (wants(0)) grads.value = -slope;
      if (wants(1)) grads.mean = slope.sum_to_size(mean.sizes());
      if (wants(2)) grads.log_var = (0.5 * (slope * d - g)).sum_to_size(mean.sizes());
    } else {
      if (wants(0)) grads.value = torch::empty_like(value);
      if (wants(1)) grads.mean = torch::empty_like(mean);
      if (wants(2)) grads.log_var = torch::empty_like(mean);
      const auto g = upstream[0].contiguous();
      where_it_is(
          mean,
          [&](const Table& cuda) {
            cuda.normal_log_prob_backward(cuda_rows_of(value, mean, log_var, event_size(mean, event_dims)), address(g),
                                          grads.addresses());
          },
          [&]<class T>(T) {
            detail::normal_log_prob_backward(rows_of<T>(value, mean, log_var, event_size(mean, event_dims)), pointer<T>(g),
                                             grads.pointers<T>());
          });
    }
    return {grads.value, grads.mean, grads.log_var, Tensor()};
  }
};

struct Rsample : public torch::autograd::Function<Rsample> {
  static Tensor forward(AutogradContext* context, const Tensor& mean, const Tensor& log_var, const Tensor& noise) {
    context->save_for_backward({mean, log_var, noise});
    auto out = torch::empty_like(noise);
    where_it_is(
        mean,
        [&](const Table& cuda) {
          cuda.normal_rsample_forward(cuda_rows_of(noise, mean, log_var, row_size(mean)), writable_address(out));
        },
        [&]<class T>(T) { detail::normal_rsample_forward(rows_of<T>(noise, mean, log_var, row_size(mean)), writable<T>(out)); });
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto &mean = saved[0], &log_var = saved[1], &noise = saved[2];
    Gradients grads;
    if (at::GradMode::is_enabled()) {
      const auto slope = upstream[0] * (0.5 * (0.5 * log_var).exp() * noise);
      if (context->needs_input_grad(0)) grads.mean = upstream[0].sum_to_size(mean.sizes());
      if (context->needs_input_grad(1)) grads.log_var = slope.sum_to_size(mean.sizes());
    } else {
      if (context->needs_input_grad(0)) grads.mean = torch::empty_like(mean);
      if (context->needs_input_grad(1)) grads.log_var = torch::empty_like(mean);
      const auto g = upstream[0].contiguous();
      where_it_is(
          mean,
          [&](const Table& cuda) {
            cuda.normal_rsample_backward(cuda_rows_of(noise, mean, log_var, row_size(mean)), address(g), grads.addresses());
          },
          [&]<class T>(T) {
            detail::normal_rsample_backward(rows_of<T>(noise, mean, log_var, row_size(mean)), pointer<T>(g), grads.pointers<T>());
          });
    }
    return {grads.mean, grads.log_var, Tensor()};
  }

  /// Nothing is summed over an event: the last extent serves as one.
  static int64_t row_size(const Tensor& mean) { return mean.dim() == 0 ? 1 : mean.size(-1); }
};

struct KlToStandard : public torch::autograd::Function<KlToStandard> {
  static Tensor forward(AutogradContext* context, const Tensor& mean, const Tensor& log_var, int64_t event_dims) {
    context->save_for_backward({mean, log_var});
    context->saved_data["event_dims"] = event_dims;
    auto out = torch::empty(mean.sizes().slice(0, static_cast<size_t>(mean.dim() - event_dims)), mean.options());
    where_it_is(
        mean,
        [&](const Table& cuda) {
          cuda.normal_kl_forward(cuda_rows_of({}, mean, log_var, event_size(mean, event_dims)), writable_address(out));
        },
        [&]<class T>(T) {
          detail::normal_kl_forward(rows_of<T>({}, mean, log_var, event_size(mean, event_dims)), writable<T>(out));
        });
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto saved = context->get_saved_variables();
    const auto &mean = saved[0], &log_var = saved[1];
    const auto event_dims = context->saved_data["event_dims"].toInt();
    Gradients grads;
    if (at::GradMode::is_enabled()) {
      const auto g = detail::over_event(upstream[0], event_dims);
      if (context->needs_input_grad(0)) grads.mean = g * mean;
      if (context->needs_input_grad(1)) grads.log_var = g * (0.5 * (log_var.exp() - 1));
    } else {
      if (context->needs_input_grad(0)) grads.mean = torch::empty_like(mean);
      if (context->needs_input_grad(1)) grads.log_var = torch::empty_like(mean);
      const auto g = upstream[0].contiguous();
      where_it_is(
          mean,
          [&](const Table& cuda) {
            cuda.normal_kl_backward(cuda_rows_of({}, mean, log_var, event_size(mean, event_dims)), address(g), grads.addresses());
          },
          [&]<class T>(T) {
            detail::normal_kl_backward(rows_of<T>({}, mean, log_var, event_size(mean, event_dims)), pointer<T>(g),
                                       grads.pointers<T>());
          });
    }
    return {grads.mean, grads.log_var, Tensor()};
  }
};

Tensor soft_clip_by_operations(const Tensor& x, double lo, double hi) {
  return hi - torch::softplus(hi - (lo + torch::softplus(x - lo)));
}

struct SoftClip : public torch::autograd::Function<SoftClip> {
  static Tensor forward(AutogradContext* context, const Tensor& x, double lo, double hi) {
    context->save_for_backward({x});
    context->saved_data["lo"] = lo;
    context->saved_data["hi"] = hi;
    auto out = torch::empty_like(x);
    where_it_is(
        x, [&](const Table& cuda) { cuda.soft_clip_forward(cuda_values_of(x, lo, hi), writable_address(out)); },
        [&]<class T>(T) {
          detail::soft_clip_forward(pointer<T>(x), x.numel(), static_cast<T>(lo), static_cast<T>(hi), writable<T>(out));
        });
    return out;
  }

  static variable_list backward(AutogradContext* context, const variable_list& upstream) {
    const auto x = context->get_saved_variables()[0];
    const auto lo = context->saved_data["lo"].toDouble(), hi = context->saved_data["hi"].toDouble();
    if (at::GradMode::is_enabled()) {
      const auto above = torch::softplus(x - lo) + lo;
      return {upstream[0] * (x - lo).sigmoid() * (hi - above).sigmoid(), Tensor(), Tensor()};
    }
    const auto g = upstream[0].contiguous();
    auto grad = torch::empty_like(x);
    where_it_is(
        x, [&](const Table& cuda) { cuda.soft_clip_backward(cuda_values_of(x, lo, hi), address(g), writable_address(grad)); },
        [&]<class T>(T) {
          detail::soft_clip_backward(pointer<T>(x), pointer<T>(g), x.numel(), static_cast<T>(lo), static_cast<T>(hi),
                                     writable<T>(grad));
        });
    return {grad, Tensor(), Tensor()};
  }
};

}  // namespace

Tensor normal_log_prob(const Tensor& value, const Tensor& mean, const Tensor& log_var, int64_t event_dims) {
  if (fits(value, mean, log_var)) {
    return LogProb::apply(value.contiguous(), mean.contiguous(), log_var.contiguous(), event_dims);
  }
  const auto inverse_variance = (-log_var).exp();  // of the parameters' size, not K times it
  const auto size = static_cast<double>(event_size(mean, event_dims));
  const auto distance = sum_last((value - mean).square() * inverse_variance, event_dims);
  return -0.5 * (distance + (sum_last(log_var, event_dims) + size * kLogTwoPi));
}

Tensor normal_rsample(const Tensor& mean, const Tensor& log_var, const Tensor& noise) {
  if (fits(noise, mean, log_var)) return Rsample::apply(mean.contiguous(), log_var.contiguous(), noise.contiguous());
  return torch::addcmul(mean, (0.5 * log_var).exp(), noise);
}

Tensor normal_kl_to_standard(const Tensor& mean, const Tensor& log_var, int64_t event_dims) {
  if (fits(mean, mean, log_var)) return KlToStandard::apply(mean.contiguous(), log_var.contiguous(), event_dims);
  return sum_last(0.5 * (mean.square() + log_var.exp() - log_var - 1), event_dims);
}

Tensor soft_clip(const Tensor& x, double lo, double hi) {
  return has_kernel(x) && x.numel() > 0 ? SoftClip::apply(x.contiguous(), lo, hi) : soft_clip_by_operations(x, lo, hi);
}

}  // namespace elbo
