// The CUDA kernels' arithmetic, indexing and barriers, on the CPU (cuda_on_host.h). On a GPU cuda_ops_test.cpp runs them for
// real.
#include <gtest/gtest.h>

#include <limits>

#include "ops/cuda_on_host.h"

// clang-format off: after what stands in for CUDA
#include "../../src/ops/cuda_plugin/bernoulli.cu"
#include "../../src/ops/cuda_plugin/code_sums.cu"
#include "../../src/ops/cuda_plugin/nearest_code.cu"
#include "../../src/ops/cuda_plugin/normal.cu"
// clang-format on

#include "elbo/ops/code_sums.h"
#include "elbo/ops/nearest_code.h"
#include "elbo/ops/normal.h"
#include "elbo/ops/op.h"
#include "support/gradients.h"

using namespace elbo;

namespace cuda_kernels {
namespace {

using cuda_plugin::Scalar;

/// Runs the kernels with ascending and with descending threads, which must not matter.
template <class Run>
std::vector<Tensor> in_both_orders(const Run& run) {
  cuda_on_host::reversed = false;
  const auto up = run();
  cuda_on_host::reversed = true;
  const auto down = run();
  cuda_on_host::reversed = false;
  for (size_t i = 0; i < up.size(); ++i) expect_equal(down[i].nan_to_num(), up[i].nan_to_num());
  return up;
}

/// Results that nobody wrote stay NaN.
Tensor unwritten(at::IntArrayRef shape, at::ScalarType type = at::kDouble) {
  return torch::full(shape, std::numeric_limits<double>::quiet_NaN(), type);
}

struct Case {
  int64_t samples, batch, event;
};
// Warp-wide and block-wide rows, tails, one sample, as many samples as threads share, more.
const std::vector<Case> kCases = {{1, 1, 1}, {1, 9, 20}, {3, 5, 33}, {8, 3, 40}, {21, 2, 7}, {2, 3, 600}, {9, 2, 300}};

struct NormalCase {
  explicit NormalCase(const Case& c)
      : value(wavy({c.samples, c.batch, c.event}, 1)),
        mean(wavy({c.batch, c.event}, 2).requires_grad_()),
        log_var(wavy({c.batch, c.event}, 3).requires_grad_()) {
    value.requires_grad_();
  }
  cuda_plugin::NormalRows rows(bool with_value) const {
    return {.value = with_value ? value.const_data_ptr() : nullptr,
            .mean = mean.const_data_ptr(),
            .log_var = log_var.const_data_ptr(),
            .rows = with_value ? value.size(0) * value.size(1) : mean.size(0),
            .parameter_rows = mean.size(0),
            .event = mean.size(1),
            .scalar = Scalar::float64};
  }
  Tensor value, mean, log_var;
};

using Backward = void (*)(const cuda_plugin::NormalRows&, const void*, const cuda_plugin::NormalGradients&,
                          cuda_plugin::StreamHandle);

/// Of (value, mean, log_var), those that the kernel writes.
std::vector<Tensor> gradients(Backward backward, const NormalCase& in, const cuda_plugin::NormalRows& rows, const Tensor& g,
                              bool of_value) {
  return in_both_orders([&] {
    const auto grad_value = unwritten(in.value.sizes()), grad_mean = unwritten(in.mean.sizes()),
               grad_log_var = unwritten(in.mean.sizes());
    backward(rows, g.const_data_ptr(),
             {.value = of_value ? grad_value.mutable_data_ptr() : nullptr,
              .mean = grad_mean.mutable_data_ptr(),
              .log_var = grad_log_var.mutable_data_ptr()},
             nullptr);
    return of_value ? std::vector{grad_value, grad_mean, grad_log_var} : std::vector{grad_mean, grad_log_var};
  });
}

TEST(CudaKernels, NormalLogProbIsTheCpus) {
  for (const auto& c : kCases) {
    SCOPED_TRACE(shape_text({c.samples, c.batch, c.event}));
    const NormalCase in(c);
    const auto expected = normal_log_prob(in.value, in.mean, in.log_var, 1);
    const auto got = in_both_orders([&] {
      const auto out = unwritten(expected.sizes());
      cuda_plugin::launch_normal_log_prob_forward(in.rows(true), out.mutable_data_ptr(), nullptr);
      return std::vector{out};
    });
    expect_close(got[0], expected, 1e-12);
    const auto g = wavy(expected.sizes(), 4) + 1.5;
    const auto grads = gradients(cuda_plugin::launch_normal_log_prob_backward, in, in.rows(true), g, true);
    (expected * g).sum().backward();
    expect_close(grads[0], in.value.grad(), 1e-12, 1e-14);
    expect_close(grads[1], in.mean.grad(), 1e-12, 1e-12);
    expect_close(grads[2], in.log_var.grad(), 1e-12, 1e-12);
  }
}

TEST(CudaKernels, NormalDrawIsTheCpus) {
  for (const auto& c : kCases) {
    SCOPED_TRACE(shape_text({c.samples, c.batch, c.event}));
    const NormalCase in(c);
    const auto expected = normal_rsample(in.mean, in.log_var, in.value.detach());
    const auto got = in_both_orders([&] {
      const auto out = unwritten(expected.sizes());
      cuda_plugin::launch_normal_rsample_forward(in.rows(true), out.mutable_data_ptr(), nullptr);
      return std::vector{out};
    });
    expect_close(got[0], expected, 1e-12);
    const auto g = wavy(expected.sizes(), 4) + 1.5;
    const auto grads = gradients(cuda_plugin::launch_normal_rsample_backward, in, in.rows(true), g, false);
    (expected * g).sum().backward();
    expect_close(grads[0], in.mean.grad(), 1e-12, 1e-12);
    expect_close(grads[1], in.log_var.grad(), 1e-12, 1e-12);
  }
}

TEST(CudaKernels, NormalKlIsTheCpus) {
  for (const auto& c : kCases) {
    SCOPED_TRACE(shape_text({c.batch, c.event}));
    const NormalCase in(c);
    const auto expected = normal_kl_to_standard(in.mean, in.log_var, 1);
    const auto got = in_both_orders([&] {
      const auto out = unwritten(expected.sizes());
      cuda_plugin::launch_normal_kl_forward(in.rows(false), out.mutable_data_ptr(), nullptr);
      return std::vector{out};
    });
    expect_close(got[0], expected, 1e-12);
    const auto g = wavy(expected.sizes(), 4) + 1.5;
    const auto grads = gradients(cuda_plugin::launch_normal_kl_backward, in, in.rows(false), g, false);
    (expected * g).sum().backward();
    expect_close(grads[0], in.mean.grad(), 1e-12, 1e-14);
    expect_close(grads[1], in.log_var.grad(), 1e-12, 1e-14);
  }
}

TEST(CudaKernels, SoftClipIsTheCpus) {
  auto x = (wavy({700}) * 40).requires_grad_();
  const auto expected = soft_clip(x, -7, 5);
  const auto g = wavy({700}, 1) + 1.5;
  const auto got = in_both_orders([&] {
    const cuda_plugin::ClippedValues in{.x = x.const_data_ptr(), .count = 700, .lo = -7, .hi = 5, .scalar = Scalar::float64};
    const auto out = unwritten({700}), grad = unwritten({700});
    cuda_plugin::launch_soft_clip_forward(in, out.mutable_data_ptr(), nullptr);
    cuda_plugin::launch_soft_clip_backward(in, g.const_data_ptr(), grad.mutable_data_ptr(), nullptr);
    return std::vector{out, grad};
  });
  expect_close(got[0], expected, 1e-12, 1e-12);
  (expected * g).sum().backward();
  expect_close(got[1], x.grad(), 1e-12, 1e-15);
}

TEST(CudaKernels, BernoulliIsTheCpus) {
  for (const auto& c : kCases) {
    SCOPED_TRACE(shape_text({c.samples, c.batch, c.event}));
    auto logits = (wavy({c.samples, c.batch, c.event}) * 9).requires_grad_();
    const auto target = (wavy({c.batch, c.event}, 1) > 0).to(at::kDouble);
    const auto expected = bernoulli_log_prob(logits, target, 1);
    const auto g = wavy(expected.sizes(), 4) + 1.5;
    const auto got = in_both_orders([&] {
      const cuda_plugin::BernoulliRows in{.logits = logits.const_data_ptr(),
                                          .target = target.const_data_ptr(),
                                          .rows = c.samples * c.batch,
                                          .target_rows = c.batch,
                                          .event = c.event,
                                          .scalar = Scalar::float64};
      const auto out = unwritten(expected.sizes()), grad = unwritten(logits.sizes());
      cuda_plugin::launch_bernoulli_forward(in, out.mutable_data_ptr(), nullptr);
      cuda_plugin::launch_bernoulli_backward(in, g.const_data_ptr(), grad.mutable_data_ptr(), nullptr);
      return std::vector{out, grad};
    });
    expect_close(got[0], expected, 1e-12);
    (expected * g).sum().backward();
    expect_close(got[1], logits.grad(), 1e-12, 1e-15);
  }
}

// ---- codes

struct Found {
  Tensor index, distance;
};

Found search(const Tensor& z, const Tensor& codes, int multiprocessors) {
  const auto centre = codes.mean(0);
  const Tensor centred_z = z - centre, centred_codes = codes - centre;
  const auto half_squares = 0.5 * centred_codes.square().sum(1);
  const auto got = in_both_orders([&] {
    const auto best = torch::zeros({z.size(0)}, at::kLong), index = torch::full({z.size(0)}, -1, at::kLong);
    const auto distance = unwritten({z.size(0)}, at::kFloat);
    cuda_plugin::launch_nearest_code({.z = z.const_data_ptr<float>(),
                                      .codes = codes.const_data_ptr<float>(),
                                      .centred_z = centred_z.const_data_ptr<float>(),
                                      .centred_codes = centred_codes.const_data_ptr<float>(),
                                      .half_squares = half_squares.const_data_ptr<float>(),
                                      .rows = z.size(0),
                                      .num_codes = codes.size(0),
                                      .size = z.size(1),
                                      .best = reinterpret_cast<uint64_t*>(best.mutable_data_ptr<int64_t>()),
                                      .index = index.mutable_data_ptr<int64_t>(),
                                      .distance = distance.mutable_data_ptr<float>()},
                                     multiprocessors, nullptr);
    return std::vector{index, distance};
  });
  return {got[0], got[1]};
}

TEST(CudaKernels, NearestCodeIsTheNearest) {
  struct Sizes {
    int64_t rows, codes, size;
    int multiprocessors;
  };
  // One tile and many, tails of each extent, sizes that are read one by one and four by four, one share of the codes and several.
  for (const auto& [rows, count, size, multiprocessors] : {Sizes{1, 1, 1, 1}, Sizes{5, 7, 3, 4}, Sizes{130, 129, 8, 1},
                                                           Sizes{60, 400, 12, 8}, Sizes{200, 300, 17, 2}, Sizes{64, 260, 4, 1}}) {
    SCOPED_TRACE(shape_text({rows, count, size}));
    const auto z = wavy({rows, size}, 0.3).to(at::kFloat), codes = wavy({count, size}, 2).to(at::kFloat);
    const auto found = search(z, codes, multiprocessors);
    const auto distances = torch::cdist(z.to(at::kDouble), codes.to(at::kDouble), 2, /*compute_mode=*/2).square();
    const auto least = std::get<0>(distances.min(1));
    const auto of_found = distances.gather(1, found.index.unsqueeze(1)).squeeze(1);
    expect_close(of_found, least, 1e-5, 1e-6);
    expect_close(found.distance, of_found, 1e-5, 1e-10);
  }
}

TEST(CudaKernels, OfEqualCodesTheLowestIndexWinsAndNotANumberIsZero) {
  auto codes = wavy({300, 6}, 2).to(at::kFloat);
  codes.narrow(0, 128, 128).copy_(codes.narrow(0, 0, 128).clone());  // a tile later: the same thread's
  auto z = codes.index_select(0, torch::arange(118, 138)).clone();
  z[3][2] = std::numeric_limits<float>::quiet_NaN();
  auto expected = torch::arange(118, 138).remainder(128);
  expected[3] = 0;
  for (const int multiprocessors : {1, 64}) {  // both in one share, each in one of its own
    const auto found = search(z, codes, multiprocessors);
    expect_equal(found.index, expected);
    EXPECT_TRUE(found.distance[3].isnan().item<bool>());
  }
}

TEST(CudaKernels, CodeSumsAreTheCpus) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    const auto z = wavy({90, 37}).to(type);
    const auto index = (torch::arange(90) * 7).remainder(11);
    const auto order = index.argsort(/*stable=*/true, 0, false);
    const auto begin = torch::searchsorted(index.index_select(0, order), torch::arange(14));
    const auto got = in_both_orders([&] {
      const auto sum = unwritten({13, 37}, type);
      cuda_plugin::launch_code_sums({.z = z.const_data_ptr(),
                                     .order = order.const_data_ptr<int64_t>(),
                                     .begin = begin.const_data_ptr<int64_t>(),
                                     .num_codes = 13,
                                     .size = 37,
                                     .scalar = type == at::kFloat ? Scalar::float32 : Scalar::float64},
                                    sum.mutable_data_ptr(), nullptr);
      return std::vector{sum};
    });
    expect_close(got[0], code_sums(z, index, 13).sum, type == at::kFloat ? 1e-6 : 1e-13, 1e-14);
  }
}

}  // namespace
}  // namespace cuda_kernels
