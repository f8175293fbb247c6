// No torch header here: this file is compiled with OpenMP, with which LibTorch's precompiled header would not match.
#include "normal_cpu.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "lanes.h"

// One source for both types: eight floats at a time, or one double.
namespace elbo::detail {
namespace {

constexpr int64_t kSerialBelow = int64_t{1} << 14;  // elements; less isn't worth waking threads
constexpr int64_t kBlock = 256;                     // elements whose exp(-log_var) is kept while the samples go by
const double kLogTwoPi = std::log(2 * std::numbers::pi);

template <class T>
struct VectorOf {
  using type = Lanes;
  static constexpr int64_t width = kLanes;
};
template <>
struct VectorOf<double> {
  using type = double;
  static constexpr int64_t width = 1;
};
template <class T>
using Vector = typename VectorOf<T>::type;

[[gnu::always_inline]] inline void exponential(const double& x, double& result) { result = std::exp(x); }
[[gnu::always_inline]] inline void exponential(const Lanes& x, Lanes& result) {
  Lanes u;
  exp_of_minus_abs(x, u);
  result = x > 0.f ? 1.f / u : u;
}

/// log(1 + exp(x)) and its slope, the logistic of x.
[[gnu::always_inline]] inline void softplus(const double& x, double& result, double& slope) {
  const double u = std::exp(-std::fabs(x));
  result = std::fmax(x, 0.0) + std::log1p(u);
  slope = x >= 0 ? 1 / (1 + u) : u / (1 + u);
}
[[gnu::always_inline]] inline void softplus(const Lanes& x, Lanes& result, Lanes& slope) {
  Lanes u, log1p_u;
  exp_of_minus_abs(x, u);
  log1p_of_unit(u, log1p_u);
  result = (x > 0.f ? x : Lanes{}) + log1p_u;
  slope = (x >= 0.f ? Lanes{} + 1.f : u) / (u + 1.f);
}

/// Up to a vector's width of elements; the rest of it is zero.
template <class T>
[[gnu::always_inline]] inline void load_part(const T* from, int64_t count, Vector<T>& to) {
  to = Vector<T>{};
  std::memcpy(&to, from, static_cast<size_t>(std::min(count, VectorOf<T>::width)) * sizeof(T));
}
template <class T>
[[gnu::always_inline]] inline void store_part(const Vector<T>& from, int64_t count, T* to) {
  std::memcpy(to, &from, static_cast<size_t>(std::min(count, VectorOf<T>::width)) * sizeof(T));
}
[[gnu::always_inline]] inline double total(const Lanes& lanes) {
  double sum = 0;
  for (int64_t i = 0; i < kLanes; ++i) sum += static_cast<double>(lanes[i]);
  return sum;
}
[[gnu::always_inline]] inline double total(const double& value) { return value; }

/// Calls visit(offset, count) for each vector of a stretch, whole ones with the constant width so that they need no tail.
template <class T, class Visit>
[[gnu::always_inline]] inline void for_vectors(int64_t count, const Visit& visit) {
  constexpr int64_t width = VectorOf<T>::width;
  const int64_t whole = count / width * width;
  for (int64_t e = 0; e < whole; e += width) visit(e, width);
  if (whole < count) visit(whole, count - whole);
}

// ---- one stretch of at most kBlock elements ----

/// exp(scale * log_var) of the stretch; returns the sum of log_var.
template <class T>
[[gnu::always_inline]] inline double powers(const T* log_var, int64_t count, T scale, T* out) {
  Vector<T> sum{};
  for_vectors<T>(
      count, [&](int64_t e, int64_t n) __attribute__((always_inline)) {
        Vector<T> lv, result;
        load_part(log_var + e, n, lv);
        exponential(lv * scale, result);
        store_part(result, n, out + e);
        sum += lv;
      });
  return total(sum);
}

template <class T>
[[gnu::always_inline]] inline double distance(const T* value, const T* mean, const T* inverse, int64_t count) {
  Vector<T> sum{};
  for_vectors<T>(
      count, [&](int64_t e, int64_t n) __attribute__((always_inline)) {
        Vector<T> v, m, i;
        load_part(value + e, n, v);
        load_part(mean + e, n, m);
        load_part(inverse + e, n, i);
        sum += (v - m) * (v - m) * i;
      });
  return total(sum);
}

template <class T>
struct Stretch {
  T* value;
  T* mean;
  T* log_var;
};

template <class T>
[[gnu::always_inline]] inline void log_prob_slopes(const T* value, const T* mean, const T* inverse, T g, int64_t count,
                                                   const Stretch<T>& grads) {
  for_vectors<T>(
      count, [&](int64_t e, int64_t n) __attribute__((always_inline)) {
        Vector<T> v, m, i, old;
        load_part(value + e, n, v);
        load_part(mean + e, n, m);
        load_part(inverse + e, n, i);
        const Vector<T> scaled = (v - m) * i * g;
        if (grads.value) store_part<T>(-scaled, n, grads.value + e);
        if (grads.mean) {
          load_part(grads.mean + e, n, old);
          store_part<T>(old + scaled, n, grads.mean + e);
        }
        if (grads.log_var) {
          load_part(grads.log_var + e, n, old);
          store_part<T>(old + (scaled * (v - m) - g) * T(0.5), n, grads.log_var + e);
        }
      });
}

template <class T>
[[gnu::always_inline]] inline void shifted(const T* noise, const T* mean, const T* scale, int64_t count, T* out) {
  for_vectors<T>(
      count, [&](int64_t e, int64_t n) __attribute__((always_inline)) {
        Vector<T> x, m, s;
        load_part(noise + e, n, x);
        load_part(mean + e, n, m);
        load_part(scale + e, n, s);
        store_part<T>(m + s * x, n, out + e);
      });
}

template <class T>
[[gnu::always_inline]] inline void shifted_slopes(const T* noise, const T* scale, const T* g, int64_t count,
                                                  const Stretch<T>& grads) {
  for_vectors<T>(
      count, [&](int64_t e, int64_t n) __attribute__((always_inline)) {
        Vector<T> x, s, slope, old;
        load_part(noise + e, n, x);
        load_part(scale + e, n, s);
        load_part(g + e, n, slope);
        if (grads.mean) {
          load_part(grads.mean + e, n, old);
          store_part<T>(old + slope, n, grads.mean + e);
        }
        if (grads.log_var) {
          load_part(grads.log_var + e, n, old);
          store_part<T>(old + slope * s * x * T(0.5), n, grads.log_var + e);
        }
      });
}

// ---- all samples of one row of parameters ----

template <class T>
[[gnu::always_inline]] inline void log_prob_samples(const NormalRows<T>& in, int64_t p, T* out) {
  const int64_t samples = in.rows / in.parameter_rows;
  T inverse[kBlock];
  for (int64_t begin = 0; begin < in.event; begin += kBlock) {
    const int64_t count = std::min(kBlock, in.event - begin), at = p * in.event + begin;
    const double constant = powers<T>(in.log_var + at, count, T(-1), inverse) + static_cast<double>(count) * kLogTwoPi;
    for (int64_t s = 0; s < samples; ++s) {
      const int64_t r = s * in.parameter_rows + p;
      const double sum = constant + distance<T>(in.value + r * in.event + begin, in.mean + at, inverse, count);
      out[r] = static_cast<T>((begin == 0 ? 0 : static_cast<double>(out[r])) - 0.5 * sum);
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void log_prob_slopes_of_samples(const NormalRows<T>& in, int64_t p, const T* grad_out,
                                                              const NormalGradients<T>& grads) {
  const int64_t samples = in.rows / in.parameter_rows;
  T inverse[kBlock];
  for (int64_t begin = 0; begin < in.event; begin += kBlock) {
    const int64_t count = std::min(kBlock, in.event - begin), at = p * in.event + begin;
    powers<T>(in.log_var + at, count, T(-1), inverse);
    if (grads.mean) std::fill_n(grads.mean + at, count, T(0));
    if (grads.log_var) std::fill_n(grads.log_var + at, count, T(0));
    for (int64_t s = 0; s < samples; ++s) {
      const int64_t r = s * in.parameter_rows + p, row = r * in.event + begin;
      const Stretch<T> here{grads.value ? grads.value + row : nullptr, grads.mean ? grads.mean + at : nullptr,
                            grads.log_var ? grads.log_var + at : nullptr};
      log_prob_slopes<T>(in.value + row, in.mean + at, inverse, grad_out[r], count, here);
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void rsample_samples(const NormalRows<T>& in, int64_t p, T* out) {
  const int64_t samples = in.rows / in.parameter_rows;
  T scale[kBlock];
  for (int64_t begin = 0; begin < in.event; begin += kBlock) {
    const int64_t count = std::min(kBlock, in.event - begin), at = p * in.event + begin;
    powers<T>(in.log_var + at, count, T(0.5), scale);
    for (int64_t s = 0; s < samples; ++s) {
      const int64_t row = (s * in.parameter_rows + p) * in.event + begin;
      shifted<T>(in.value + row, in.mean + at, scale, count, out + row);
    }
  }
}

template <class T>
[[gnu::always_inline]] inline void rsample_slopes_of_samples(const NormalRows<T>& in, int64_t p, const T* grad_out,
                                                             const NormalGradients<T>& grads) {
  const int64_t samples = in.rows / in.parameter_rows;
  T scale[kBlock];
  for (int64_t begin = 0; begin < in.event; begin += kBlock) {
    const int64_t count = std::min(kBlock, in.event - begin), at = p * in.event + begin;
    powers<T>(in.log_var + at, count, T(0.5), scale);
    if (grads.mean) std::fill_n(grads.mean + at, count, T(0));
    if (grads.log_var) std::fill_n(grads.log_var + at, count, T(0));
    for (int64_t s = 0; s < samples; ++s) {
      const int64_t row = (s * in.parameter_rows + p) * in.event + begin;
      shifted_slopes<T>(in.value + row, scale, grad_out + row, count,
                        {nullptr, grads.mean ? grads.mean + at : nullptr, grads.log_var ? grads.log_var + at : nullptr});
    }
  }
}

template <class T>
[[gnu::always_inline]] inline T kl_of_row(const T* mean, const T* log_var, int64_t event) {
  Vector<T> sum{};
  for_vectors<T>(
      event, [&](int64_t e, int64_t n) __attribute__((always_inline)) {
        Vector<T> m, lv, variance;
        load_part(mean + e, n, m);
        load_part(log_var + e, n, lv);
        exponential(lv, variance);
        sum += m * m + (variance - T(1) - lv);  // zero in the lanes beyond the tail, where both are zero
      });
  return static_cast<T>(0.5 * total(sum));
}

template <class T>
[[gnu::always_inline]] inline void kl_slopes_of_row(const NormalRows<T>& in, int64_t r, T g, const NormalGradients<T>& grads) {
  for_vectors<T>(
      in.event, [&](int64_t e, int64_t n) __attribute__((always_inline)) {
        const int64_t at = r * in.event + e;
        Vector<T> m, lv, variance;
        load_part(in.mean + at, n, m);
        load_part(in.log_var + at, n, lv);
        exponential(lv, variance);
        if (grads.mean) store_part<T>(m * g, n, grads.mean + at);
        if (grads.log_var) store_part<T>((variance - T(1)) * (g * T(0.5)), n, grads.log_var + at);
      });
}

template <class T>
[[gnu::always_inline]] inline void clip(const T* x, int64_t count, T lo, T hi, T* out) {
  for_vectors<T>(
      count, [&](int64_t e, int64_t n) __attribute__((always_inline)) {
        Vector<T> v, above, below, slope;
        load_part(x + e, n, v);
        softplus(v - lo, above, slope);
        softplus(hi - (above + lo), below, slope);
        store_part<T>(hi - below, n, out + e);
      });
}

template <class T>
[[gnu::always_inline]] inline void clip_slopes(const T* x, const T* g, int64_t count, T lo, T hi, T* grad) {
  for_vectors<T>(
      count, [&](int64_t e, int64_t n) __attribute__((always_inline)) {
        Vector<T> v, up, above, below, first, second;
        load_part(x + e, n, v);
        load_part(g + e, n, up);
        softplus(v - lo, above, first);
        softplus(hi - (above + lo), below, second);
        store_part<T>(up * first * second, n, grad + e);
      });
}

}  // namespace

// Every row of parameters is one thread's: the number of threads doesn't change a bit.

template <class T>
void normal_log_prob_forward(const NormalRows<T>& in, T* out) {
#pragma omp parallel for schedule(static) if (in.parameter_rows > 1 && in.rows * in.event > kSerialBelow)
  for (int64_t p = 0; p < in.parameter_rows; ++p)
    with_best_instructions([&]() __attribute__((always_inline)) { log_prob_samples(in, p, out); });
}

template <class T>
void normal_log_prob_backward(const NormalRows<T>& in, const T* grad_out, const NormalGradients<T>& grads) {
#pragma omp parallel for schedule(static) if (in.parameter_rows > 1 && in.rows * in.event > kSerialBelow)
  for (int64_t p = 0; p < in.parameter_rows; ++p)
    with_best_instructions([&]() __attribute__((always_inline)) { log_prob_slopes_of_samples(in, p, grad_out, grads); });
}

template <class T>
void normal_rsample_forward(const NormalRows<T>& in, T* out) {
#pragma omp parallel for schedule(static) if (in.parameter_rows > 1 && in.rows * in.event > kSerialBelow)
  for (int64_t p = 0; p < in.parameter_rows; ++p)
    with_best_instructions([&]() __attribute__((always_inline)) { rsample_samples(in, p, out); });
}

template <class T>
void normal_rsample_backward(const NormalRows<T>& in, const T* grad_out, const NormalGradients<T>& grads) {
#pragma omp parallel for schedule(static) if (in.parameter_rows > 1 && in.rows * in.event > kSerialBelow)
  for (int64_t p = 0; p < in.parameter_rows; ++p)
    with_best_instructions([&]() __attribute__((always_inline)) { rsample_slopes_of_samples(in, p, grad_out, grads); });
}

template <class T>
void normal_kl_forward(const NormalRows<T>& in, T* out) {
#pragma omp parallel for schedule(static) if (in.rows > 1 && in.rows * in.event > kSerialBelow)
  for (int64_t r = 0; r < in.rows; ++r)
    with_best_instructions([&]() __attribute__((always_inline)) {
      out[r] = kl_of_row(in.mean + r * in.event, in.log_var + r * in.event, in.event);
    });
}

template <class T>
void normal_kl_backward(const NormalRows<T>& in, const T* grad_out, const NormalGradients<T>& grads) {
#pragma omp parallel for schedule(static) if (in.rows > 1 && in.rows * in.event > kSerialBelow)
  for (int64_t r = 0; r < in.rows; ++r)
    with_best_instructions([&]() __attribute__((always_inline)) { kl_slopes_of_row(in, r, grad_out[r], grads); });
}

template <class T>
void soft_clip_forward(const T* x, int64_t count, T lo, T hi, T* out) {
  with_best_instructions([&]() __attribute__((always_inline)) { clip(x, count, lo, hi, out); });
}

template <class T>
void soft_clip_backward(const T* x, const T* grad_out, int64_t count, T lo, T hi, T* grad) {
  with_best_instructions([&]() __attribute__((always_inline)) { clip_slopes(x, grad_out, count, lo, hi, grad); });
}

template void normal_log_prob_forward<float>(const NormalRows<float>&, float*);
template void normal_log_prob_forward<double>(const NormalRows<double>&, double*);
template void normal_log_prob_backward<float>(const NormalRows<float>&, const float*, const NormalGradients<float>&);
template void normal_log_prob_backward<double>(const NormalRows<double>&, const double*, const NormalGradients<double>&);
template void normal_rsample_forward<float>(const NormalRows<float>&, float*);
template void normal_rsample_forward<double>(const NormalRows<double>&, double*);
template void normal_rsample_backward<float>(const NormalRows<float>&, const float*, const NormalGradients<float>&);
template void normal_rsample_backward<double>(const NormalRows<double>&, const double*, const NormalGradients<double>&);
template void normal_kl_forward<float>(const NormalRows<float>&, float*);
template void normal_kl_forward<double>(const NormalRows<double>&, double*);
template void normal_kl_backward<float>(const NormalRows<float>&, const float*, const NormalGradients<float>&);
template void normal_kl_backward<double>(const NormalRows<double>&, const double*, const NormalGradients<double>&);
template void soft_clip_forward<float>(const float*, int64_t, float, float, float*);
template void soft_clip_forward<double>(const double*, int64_t, double, double, double*);
template void soft_clip_backward<float>(const float*, const float*, int64_t, float, float, float*);
template void soft_clip_backward<double>(const double*, const double*, int64_t, double, double, double*);

}  // namespace elbo::detail
