#pragma once
#include <cstdint>

namespace elbo::detail {

/// `rows` rows of `event` logits; row r goes with row r % target_rows of the target.
template <class T>
struct BernoulliRows {
  const T* logits = nullptr;
  const T* target = nullptr;
  int64_t rows = 0;
  int64_t target_rows = 0;
  int64_t event = 0;
};

/// out[r] = sum over the row of l x - max(l, 0) - log1p(exp(-|l|)), summed in float64.
template <class T>
void bernoulli_forward(const BernoulliRows<T>& in, T* out);

/// grad_logits[r, e] = grad_out[r] (x - sigmoid(l)).
template <class T>
void bernoulli_backward(const BernoulliRows<T>& in, const T* grad_out, T* grad_logits);

}  // namespace elbo::detail
