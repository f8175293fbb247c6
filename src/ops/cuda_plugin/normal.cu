#include "launch.h"

// The formulas of src/ops/normal_cpu.cpp. Row r of the values is sample r / parameter_rows of parameter row r % parameter_rows,
// so a value lies a whole set of parameters behind its predecessor of the same parameter.
namespace elbo::cuda_plugin {
namespace normal_kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kLanes = 8;             // threads that share one parameter's samples in a backward
constexpr int64_t kShortEvent = 256;  // up to here a warp a row, beyond a block
constexpr double kLogTwoPi = 1.8378770664093454836;

/// log(1 + exp(x)).
template <class T>
__device__ T softplus(T x) {
  return (x > 0 ? x : T(0)) + log1p_(exp_(x > 0 ? -x : x));
}
template <class T>
__device__ T logistic(T x) {
  const T u = exp_(x > 0 ? -x : x);
  return (x > 0 ? T(1) : u) / (1 + u);
}

struct LogProbTerm {
  template <class T>
  __device__ T operator()(T value, T mean, T log_var) const {
    const T d = value - mean;
    return T(-0.5) * (T(kLogTwoPi) + log_var + d * d * exp_(-log_var));
  }
};
struct KlTerm {  // the value is not looked at
  template <class T>
  __device__ T operator()(T, T mean, T log_var) const {
    return T(0.5) * (mean * mean + exp_(log_var) - log_var - 1);
  }
};

/// out[r] = the sum of the term over row r; value may be null.
template <class Term, int kGroup, class T>
__global__ void normal_sum_kernel(const T* value, const T* mean, const T* log_var, int64_t rows, int64_t parameter_rows,
                                  int64_t event, T* out) {
  constexpr int64_t kRows = kThreads / kGroup;
  const int64_t lane = threadIdx.x % kGroup;
  // Whole blocks go round together: group_sum needs all their threads.
  for (int64_t first = blockIdx.x * kRows; first < rows; first += gridDim.x * kRows) {
    const int64_t row = first + threadIdx.x / kGroup;
    T sum = 0;
    if (row < rows) {
      const int64_t at = row * event, parameters = row % parameter_rows * event;
      for (int64_t e = lane; e < event; e += kGroup) {
        sum += Term()(value ? value[at + e] : T(0), mean[parameters + e], log_var[parameters + e]);
      }
    }
    sum = group_sum<kGroup, kThreads>(sum);
    if (lane == 0 && row < rows) out[row] = sum;
  }
}

template <class Term, class T>
void normal_sum(const NormalRows& in, void* out, StreamHandle stream) {
  const bool is_short = in.event <= kShortEvent;
  launch(is_short ? normal_sum_kernel<Term, kWarp, T> : normal_sum_kernel<Term, kThreads, T>,
         blocks_for(in.rows, is_short ? kThreads / kWarp : 1), kThreads, stream, static_cast<const T*>(in.value),
         static_cast<const T*>(in.mean), static_cast<const T*>(in.log_var), in.rows, in.parameter_rows, in.event,
         static_cast<T*>(out));
}

/// What a backward adds up over the samples of a parameter, and the gradients made of that.
template <class T>
struct LogProbSlopes {
  __device__ LogProbSlopes(T m, T lv) : mean(m), inverse(exp_(-lv)) {}
  /// The gradient of the value.
  __device__ T add(T value, T g) {
    const T d = value - mean, slope = g * d * inverse;
    of_mean += slope;
    of_log_var += T(0.5) * (slope * d - g);
    return -slope;
  }
  T mean, inverse, of_mean = 0, of_log_var = 0;
};
template <class T>
struct RsampleSlopes {
  __device__ RsampleSlopes(T, T lv) : half_deviation(T(0.5) * exp_(T(0.5) * lv)) {}
  __device__ T add(T noise, T g) {
    of_mean += g;
    of_log_var += g * half_deviation * noise;
    return 0;
  }
  T half_deviation, of_mean = 0, of_log_var = 0;
};

/// A column of kSplit threads an element of the parameters; thread y takes the samples y, y + kSplit, ... and the column adds up
/// in order. Of grad_out there is one an element (kPerElement) or one a row.
template <class Slopes, int kSplit, bool kPerElement, class T>
__global__ void normal_backward_kernel(const T* value, const T* mean, const T* log_var, const T* grad_out, int64_t samples,
                                       int64_t parameter_rows, int64_t event, T* grad_value, T* grad_mean, T* grad_log_var) {
  constexpr int kColumns = kThreads / kSplit;
  __shared__ T partial_mean[kThreads], partial_log_var[kThreads];
  const int64_t size = parameter_rows * event;
  for (int64_t first = blockIdx.x * int64_t{kColumns}; first < size; first += gridDim.x * int64_t{kColumns}) {
    const int64_t i = first + threadIdx.x;
    T of_mean = 0, of_log_var = 0;
    if (i < size) {
      Slopes slopes(mean[i], log_var[i]);
      const int64_t row = i / event;
      for (int64_t s = threadIdx.y; s < samples; s += kSplit) {
        const T g = kPerElement ? grad_out[s * size + i] : grad_out[s * parameter_rows + row];
        const T of_value = slopes.add(value[s * size + i], g);
        if (grad_value) grad_value[s * size + i] = of_value;
      }
      of_mean = slopes.of_mean;
      of_log_var = slopes.of_log_var;
    }
    if constexpr (kSplit > 1) {
      partial_mean[threadIdx.y * kColumns + threadIdx.x] = of_mean;
      partial_log_var[threadIdx.y * kColumns + threadIdx.x] = of_log_var;
      __syncthreads();
      if (threadIdx.y == 0) {
        for (int y = 1; y < kSplit; ++y) {
          of_mean += partial_mean[y * kColumns + threadIdx.x];
          of_log_var += partial_log_var[y * kColumns + threadIdx.x];
        }
      }
      __syncthreads();  // before the next elements are written there
    }
    if (threadIdx.y == 0 && i < size) {
      if (grad_mean) grad_mean[i] = of_mean;
      if (grad_log_var) grad_log_var[i] = of_log_var;
    }
  }
}

template <class Slopes, bool kPerElement, class T>
void normal_backward(const NormalRows& in, const void* grad_out, const NormalGradients& grads, StreamHandle stream) {
  const int64_t samples = in.rows / in.parameter_rows;
  const bool splits = samples >= kLanes;
  const unsigned split = splits ? kLanes : 1, columns = kThreads / split;
  launch(splits ? normal_backward_kernel<Slopes, kLanes, kPerElement, T> : normal_backward_kernel<Slopes, 1, kPerElement, T>,
         blocks_for(in.parameter_rows * in.event, columns), dim3(columns, split), stream, static_cast<const T*>(in.value),
         static_cast<const T*>(in.mean), static_cast<const T*>(in.log_var), static_cast<const T*>(grad_out), samples,
         in.parameter_rows, in.event, static_cast<T*>(grads.value), static_cast<T*>(grads.mean), static_cast<T*>(grads.log_var));
}

template <class T>
__global__ void rsample_kernel(const T* noise, const T* mean, const T* log_var, int64_t samples, int64_t size, T* out) {
  const int64_t stride = gridDim.x * int64_t{kThreads};
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < size; i += stride) {
    const T m = mean[i], deviation = exp_(T(0.5) * log_var[i]);
    for (int64_t s = blockIdx.y; s < samples; s += gridDim.y) out[s * size + i] = m + deviation * noise[s * size + i];
  }
}

template <class T>
void rsample(const NormalRows& in, void* out, StreamHandle stream) {
  const int64_t samples = in.rows / in.parameter_rows, size = in.parameter_rows * in.event;
  constexpr int64_t kMaxRows = 1024;
  launch(rsample_kernel<T>, dim3(blocks_for(size, kThreads), static_cast<unsigned>(std::min(samples, kMaxRows))), kThreads,
         stream, static_cast<const T*>(in.value), static_cast<const T*>(in.mean), static_cast<const T*>(in.log_var), samples,
         size, static_cast<T*>(out));
}

template <class T>
__global__ void kl_backward_kernel(const T* mean, const T* log_var, const T* grad_out, int64_t size, int64_t event, T* grad_mean,
                                   T* grad_log_var) {
  const int64_t stride = gridDim.x * int64_t{kThreads};
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < size; i += stride) {
    const T g = grad_out[i / event];
    if (grad_mean) grad_mean[i] = g * mean[i];
    if (grad_log_var) grad_log_var[i] = g * (T(0.5) * (exp_(log_var[i]) - 1));
  }
}

template <class T>
void kl_backward(const NormalRows& in, const void* grad_out, const NormalGradients& grads, StreamHandle stream) {
  const int64_t size = in.parameter_rows * in.event;
  launch(kl_backward_kernel<T>, blocks_for(size, kThreads), kThreads, stream, static_cast<const T*>(in.mean),
         static_cast<const T*>(in.log_var), static_cast<const T*>(grad_out), size, in.event, static_cast<T*>(grads.mean),
         static_cast<T*>(grads.log_var));
}

/// The value where grad_out is null, else the gradient.
template <class T>
__global__ void soft_clip_kernel(const T* x, const T* grad_out, int64_t count, T lo, T hi, T* out) {
  const int64_t stride = gridDim.x * int64_t{kThreads};
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < count; i += stride) {
    const T above = lo + softplus(x[i] - lo);
    out[i] = grad_out ? grad_out[i] * logistic(x[i] - lo) * logistic(hi - above) : hi - softplus(hi - above);
  }
}

template <class T>
void soft_clip(const ClippedValues& in, const void* grad_out, void* out, StreamHandle stream) {
  launch(soft_clip_kernel<T>, blocks_for(in.count, kThreads), kThreads, stream, static_cast<const T*>(in.x),
         static_cast<const T*>(grad_out), in.count, static_cast<T>(in.lo), static_cast<T>(in.hi), static_cast<T*>(out));
}

}  // namespace
}  // namespace normal_kernels

void launch_normal_log_prob_forward(const NormalRows& in, void* out, StreamHandle stream) {
  (in.scalar == Scalar::float32 ? normal_kernels::normal_sum<normal_kernels::LogProbTerm, float>
                                : normal_kernels::normal_sum<normal_kernels::LogProbTerm, double>)(in, out, stream);
}

void launch_normal_log_prob_backward(const NormalRows& in, const void* grad_out, const NormalGradients& grads,
                                     StreamHandle stream) {
  (in.scalar == Scalar::float32
       ? normal_kernels::normal_backward<normal_kernels::LogProbSlopes<float>, false, float>
       : normal_kernels::normal_backward<normal_kernels::LogProbSlopes<double>, false, double>)(in, grad_out, grads, stream);
}

void launch_normal_rsample_forward(const NormalRows& in, void* out, StreamHandle stream) {
  (in.scalar == Scalar::float32 ? normal_kernels::rsample<float> : normal_kernels::rsample<double>)(in, out, stream);
}

void launch_normal_rsample_backward(const NormalRows& in, const void* grad_out, const NormalGradients& grads,
                                    StreamHandle stream) {
  (in.scalar == Scalar::float32
       ? normal_kernels::normal_backward<normal_kernels::RsampleSlopes<float>, true, float>
       : normal_kernels::normal_backward<normal_kernels::RsampleSlopes<double>, true, double>)(in, grad_out, grads, stream);
}

void launch_normal_kl_forward(const NormalRows& in, void* out, StreamHandle stream) {
  (in.scalar == Scalar::float32 ? normal_kernels::normal_sum<normal_kernels::KlTerm, float>
                                : normal_kernels::normal_sum<normal_kernels::KlTerm, double>)(in, out, stream);
}

void launch_normal_kl_backward(const NormalRows& in, const void* grad_out, const NormalGradients& grads, StreamHandle stream) {
  (in.scalar == Scalar::float32 ? normal_kernels::kl_backward<float> : normal_kernels::kl_backward<double>)(in, grad_out, grads,
                                                                                                            stream);
}

void launch_soft_clip_forward(const ClippedValues& in, void* out, StreamHandle stream) {
  (in.scalar == Scalar::float32 ? normal_kernels::soft_clip<float> : normal_kernels::soft_clip<double>)(in, nullptr, out, stream);
}

void launch_soft_clip_backward(const ClippedValues& in, const void* grad_out, void* grad, StreamHandle stream) {
  (in.scalar == Scalar::float32 ? normal_kernels::soft_clip<float> : normal_kernels::soft_clip<double>)(in, grad_out, grad,
                                                                                                        stream);
}

}  // namespace elbo::cuda_plugin
