#pragma once
#include <cstdint>

namespace elbo::detail {

/// As Follow of linear.h, in its order; that header brings LibTorch's.
enum class Nonlinearity { none, relu, tanh };

/// y = activation(y).
void apply_nonlinearity(Nonlinearity how, float* y, int64_t count);

/// What the gradient of a layer's output becomes below its activation.
struct LinearBackward {
  const float* grad = nullptr;  // [rows, columns]
  const float* y = nullptr;     // [rows, columns], after the activation; unused of none
  float* below = nullptr;       // [rows, columns]; null of none
  float* bias = nullptr;        // [columns], the columns' sums; null where not wanted
  int64_t rows = 0;
  int64_t columns = 0;
};
/// Each column is one thread's, summed in blocks of rows in a fixed order.
void undo_nonlinearity(Nonlinearity how, const LinearBackward& in);

}  // namespace elbo::detail
