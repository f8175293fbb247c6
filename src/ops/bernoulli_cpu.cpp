// No torch header here: this file is compiled with OpenMP, with which LibTorch's precompiled header would not match.
#include "bernoulli_cpu.h"

#include <algorithm>
#include <cmath>

#include "lanes.h"

namespace elbo::detail {
namespace {

constexpr int64_t kSerialBelow = int64_t{1} << 15;  // elements; less isn't worth waking threads
constexpr int64_t kBlock = 32;                      // vectors added in float32 before they go into the float64 sum

// ---- float64 ----

double row_forward(const double* l, const double* x, int64_t event) {
  double sum = 0;
  for (int64_t e = 0; e < event; ++e) sum += l[e] * x[e] - std::fmax(l[e], 0.0) - std::log1p(std::exp(-std::fabs(l[e])));
  return sum;
}

void row_backward(const double* l, const double* x, double g, int64_t event, double* out) {
  for (int64_t e = 0; e < event; ++e) {
    const double u = std::exp(-std::fabs(l[e]));
    const double tail = u / (1 + u);
    out[e] = g * (l[e] >= 0 ? (x[e] - 1) + tail : x[e] - tail);  // x - sigmoid(l) without cancellation
  }
}

// ---- float32, eight lanes ----

[[gnu::always_inline]] inline void terms(const Lanes& l, const Lanes& x, Lanes& result) {
  Lanes u, log1p_u;
  exp_of_minus_abs(l, u);
  log1p_of_unit(u, log1p_u);
  const Lanes positive = l > 0.f ? l : Lanes{};
  result = l * x - positive - log1p_u;
}

[[gnu::always_inline]] inline double add_lanes(const Lanes& lanes, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(lanes[i]);
  return sum;
}

[[gnu::always_inline]] inline float row_forward_lanes(const float* l, const float* x, int64_t event) {
  const int64_t vectors = event / kLanes;
  double sum = 0;
  Lanes lanes_l{}, lanes_x{}, term;
  for (int64_t begin = 0; begin < vectors; begin += kBlock) {
    Lanes block{};
    for (int64_t v = begin; v < std::min(begin + kBlock, vectors); ++v) {
      load(l + v * kLanes, lanes_l);
      load(x + v * kLanes, lanes_x);
      terms(lanes_l, lanes_x, term);
      block += term;
    }
    sum += add_lanes(block, kLanes);
  }
  if (const int64_t rest = event - vectors * kLanes; rest > 0) {
    lanes_l = lanes_x = Lanes{};
    std::memcpy(&lanes_l, l + vectors * kLanes, rest * sizeof(float));
    std::memcpy(&lanes_x, x + vectors * kLanes, rest * sizeof(float));
    terms(lanes_l, lanes_x, term);
    sum += add_lanes(term, rest);
  }
  return static_cast<float>(sum);
}

[[gnu::always_inline]] inline void slopes(const Lanes& l, const Lanes& x, float g, Lanes& result) {
  Lanes u;
  exp_of_minus_abs(l, u);
  const Lanes tail = u / (u + 1.f);
  const auto positive = l >= 0.f;
  result = g * ((positive ? x - 1.f : x) + (positive ? tail : -tail));
}

[[gnu::always_inline]] inline void row_backward_lanes(const float* l, const float* x, float g, int64_t event, float* out) {
  const int64_t vectors = event / kLanes;
  Lanes lanes_l{}, lanes_x{}, slope;
  for (int64_t v = 0; v < vectors; ++v) {
    load(l + v * kLanes, lanes_l);
    load(x + v * kLanes, lanes_x);
    slopes(lanes_l, lanes_x, g, slope);
    store(slope, out + v * kLanes);
  }
  if (const int64_t rest = event - vectors * kLanes; rest > 0) {
    lanes_l = lanes_x = Lanes{};
    std::memcpy(&lanes_l, l + vectors * kLanes, rest * sizeof(float));
    std::memcpy(&lanes_x, x + vectors * kLanes, rest * sizeof(float));
    slopes(lanes_l, lanes_x, g, slope);
    std::memcpy(out + vectors * kLanes, &slope, rest * sizeof(float));
  }
}

using ForwardRow = float (*)(const float*, const float*, int64_t);
using BackwardRow = void (*)(const float*, const float*, float, int64_t, float*);

float forward_plain(const float* l, const float* x, int64_t event) { return row_forward_lanes(l, x, event); }
void backward_plain(const float* l, const float* x, float g, int64_t event, float* out) {
  row_backward_lanes(l, x, g, event, out);
}

#if defined(__x86_64__)
[[gnu::target("avx2,fma")]] float forward_avx2(const float* l, const float* x, int64_t event) {
  return row_forward_lanes(l, x, event);
}
[[gnu::target("avx2,fma")]] void backward_avx2(const float* l, const float* x, float g, int64_t event, float* out) {
  row_backward_lanes(l, x, g, event, out);
}
const ForwardRow forward_row = has_avx2() ? forward_avx2 : forward_plain;
const BackwardRow backward_row = has_avx2() ? backward_avx2 : backward_plain;
#else
const ForwardRow forward_row = forward_plain;
const BackwardRow backward_row = backward_plain;
#endif

float row_forward(const float* l, const float* x, int64_t event) { return forward_row(l, x, event); }
void row_backward(const float* l, const float* x, float g, int64_t event, float* out) { backward_row(l, x, g, event, out); }

}  // namespace

template <class T>
void bernoulli_forward(const BernoulliRows<T>& in, T* out) {
#pragma omp parallel for schedule(static) if (in.rows > 1 && in.rows * in.event > kSerialBelow)
  for (int64_t r = 0; r < in.rows; ++r) {
    out[r] = row_forward(in.logits + r * in.event, in.target + r % in.target_rows * in.event, in.event);
  }
}

template <class T>
void bernoulli_backward(const BernoulliRows<T>& in, const T* grad_out, T* grad_logits) {
#pragma omp parallel for schedule(static) if (in.rows > 1 && in.rows * in.event > kSerialBelow)
  for (int64_t r = 0; r < in.rows; ++r) {
    row_backward(in.logits + r * in.event, in.target + r % in.target_rows * in.event, grad_out[r], in.event,
                 grad_logits + r * in.event);
  }
}

template void bernoulli_forward<float>(const BernoulliRows<float>&, float*);
template void bernoulli_forward<double>(const BernoulliRows<double>&, double*);
template void bernoulli_backward<float>(const BernoulliRows<float>&, const float*, float*);
template void bernoulli_backward<double>(const BernoulliRows<double>&, const double*, double*);

}  // namespace elbo::detail
