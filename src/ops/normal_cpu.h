#pragma once
#include <cstdint>

namespace elbo::detail {

/// `rows` rows of `event` values; row r goes with row r % parameter_rows of mean and log_var.
template <class T>
struct NormalRows {
  const T* value = nullptr;
  const T* mean = nullptr;
  const T* log_var = nullptr;
  int64_t rows = 0;
  int64_t parameter_rows = 0;
  int64_t event = 0;
};

/// Where gradients go; a null pointer is one that nobody asks for. As value, mean and log_var.
template <class T>
struct NormalGradients {
  T* value = nullptr;
  T* mean = nullptr;
  T* log_var = nullptr;
};

/// out[r] = sum over the row of -(log 2 pi + log_var + (value - mean)^2 exp(-log_var)) / 2.
template <class T>
void normal_log_prob_forward(const NormalRows<T>& in, T* out);
template <class T>
void normal_log_prob_backward(const NormalRows<T>& in, const T* grad_out, const NormalGradients<T>& grads);

/// out = mean + exp(log_var / 2) noise; `value` is the noise.
template <class T>
void normal_rsample_forward(const NormalRows<T>& in, T* out);
/// grad_out is shaped as the noise; the gradient of the noise isn't wanted.
template <class T>
void normal_rsample_backward(const NormalRows<T>& in, const T* grad_out, const NormalGradients<T>& grads);

/// out[r] = sum over the row of (mean^2 + exp(log_var) - log_var - 1) / 2; no values.
template <class T>
void normal_kl_forward(const NormalRows<T>& in, T* out);
template <class T>
void normal_kl_backward(const NormalRows<T>& in, const T* grad_out, const NormalGradients<T>& grads);

/// lo + softplus(hi' - lo) with hi' = hi - softplus(hi - x), element by element.
template <class T>
void soft_clip_forward(const T* x, int64_t count, T lo, T hi, T* out);
template <class T>
void soft_clip_backward(const T* x, const T* grad_out, int64_t count, T lo, T hi, T* grad);

}  // namespace elbo::detail
