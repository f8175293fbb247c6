#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "elbo/math/arithmetic.h"

// Only operations that IEEE 754 rounds in one way, one at a time: sums, products and quotients of tensors, floor, round,
// comparisons. LibTorch's exp, tanh, pow and sqrt come from vector libraries that differ from machine to machine, addcmul may
// round once or twice, and a quotient by a plain number is a product with its reciprocal on some devices: none of them here.

namespace elbo {
namespace {

constexpr int64_t kExponentMask = 0x7ff0000000000000;
constexpr double kTiny = 0x1p-100;       // rows below are zeros: their powers of two would leave float64's range
constexpr double kUnitsOfRow = 0x1p-19;  // units of a row, in the power of two below its largest element: 20 bits and a sign
constexpr int64_t kLongestSum = 8192;    // 2^13 products of 2^20 times 2^20

/// integers * unit.
struct Gridded {
  Tensor integers;
  Tensor unit;  // of each row, [..., 1], a power of two
};

/// Each row (the last dimension) on the grid of its own largest element.
Gridded by_row(const Tensor& x) {
  const auto largest = x.abs().amax(-1, /*keepdim=*/true).clamp_min(kTiny);
  const auto unit = largest.view(at::kLong).bitwise_and(kExponentMask).view(at::kDouble) * kUnitsOfRow;
  return {at::div(x, unit).round_(), unit};
}

/// x weight^T for at most kLongestSum columns, without rounding after by_row.
Tensor product(const Gridded& x, const Gridded& weight) {
  return at::matmul(x.integers, weight.integers.transpose(-2, -1)).mul_(x.unit).mul_(weight.unit.transpose(-2, -1));
}

/// sums x_unit weight_unit^T + bias, rounded once: the units are powers of two. Shapes: sums [..., out], which is written over,
/// x_unit [..., 1], weight_unit [out, 1], bias [out] or undefined.
Tensor scaled(Tensor sums, const Tensor& x_unit, const Tensor& weight_unit, const Tensor& bias) {
  if (!sums.is_cpu() || !sums.is_contiguous() || !x_unit.is_contiguous() || !weight_unit.is_contiguous()) {
    sums.mul_(x_unit).mul_(weight_unit.transpose(-2, -1));
    return bias.defined() ? sums.add_(bias) : sums;
  }
  // In one pass: what a layer of many thousand outputs gives is more than the caches hold.
  const auto shift = bias.defined() ? bias.contiguous() : at::full({sums.size(-1)}, -0.0, sums.options());  // -0 changes nothing
  const auto columns = sums.size(-1);
  auto* sum = sums.mutable_data_ptr<double>();
  const auto *row_unit = x_unit.const_data_ptr<double>(), *unit = weight_unit.const_data_ptr<double>();
  const auto* added = shift.const_data_ptr<double>();
  for (int64_t row = 0; row < x_unit.numel(); ++row, sum += columns) {
    for (int64_t i = 0; i < columns; ++i) sum[i] = sum[i] * row_unit[row] * unit[i] + added[i];
  }
  return sums;
}

/// 2^k of integers within float64's exponents.
Tensor power_of_two(const Tensor& k) { return ((k.to(at::kLong) + 1023) * (int64_t{1} << 52)).view(at::kDouble); }

/// exp within 1e-12 of its value; beyond +-100 that of +-100.
Tensor exact_exp(const Tensor& x) {
  constexpr int kDegree = 10;
  constexpr double kLog2E = 0x1.71547652b82fep+0;
  constexpr double kLn2High = 0x1.62e42feep-1;  // 20 zeros at its end: its products with k are exact
  constexpr double kLn2Low = 0x1.a39ef35793c76p-33;
  const auto bounded = x.clamp(-100, 100);
  const auto k = (bounded * kLog2E).round_();
  const auto r = (bounded - k * kLn2High).sub_(k * kLn2Low);
  double factorial = 1;
  for (int n = 2; n <= kDegree; ++n) factorial *= n;
  auto sum = at::full_like(r, 1 / factorial);
  for (int n = kDegree; n > 0; --n) {
    factorial /= n;
    sum.mul_(r).add_(1 / factorial);
  }
  return sum.mul_(power_of_two(k));
}

/// The square root, which is a row's and not an element's here, so that a loop is quick enough.
Tensor square_root(const Tensor& x) {
  if (!x.is_cpu()) return x.sqrt();  // CUDA's is correctly rounded, the vector library's on the host need not be
  auto root = x.contiguous().clone();
  auto* values = root.mutable_data_ptr<double>();
  std::transform(values, values + root.numel(), values, [](double value) { return std::sqrt(value); });
  return root;
}

/// A weight's rows, a part of the columns at a time.
std::vector<Gridded> rounded_weight(const Tensor& weight) {
  const auto rows = weight.to(at::kDouble);
  std::vector<Gridded> parts;
  for (int64_t from = 0; from < rows.size(-1); from += kLongestSum) {
    parts.push_back(by_row(rows.narrow(-1, from, std::min(kLongestSum, rows.size(-1) - from))));
  }
  return parts;
}

/// Rounded weights by the memory that they lie in, which is kept so that no other tensor comes to lie there. Weights that are
/// made anew at each call would only fill it, so the oldest leave.
class RoundedWeights {
 public:
  std::vector<Gridded> of(const Tensor& weight) {
    const std::lock_guard lock(mutex_);
    constexpr size_t kWeights = 1024;
    const auto same = [&](const Known& known) {
      return known.weight.const_data_ptr() == weight.const_data_ptr() && known.weight.sizes() == weight.sizes() &&
             known.weight.strides() == weight.strides() && known.weight.scalar_type() == weight.scalar_type();
    };
    auto& found = known_[weight.const_data_ptr()];
    if (const auto at = std::find_if(found.begin(), found.end(), same); at != found.end()) return at->parts;
    if (order_.size() == kWeights) {
      known_.erase(order_.front());
      order_.pop_front();
    }
    order_.push_back(weight.const_data_ptr());
    return known_[weight.const_data_ptr()].emplace_back(Known{weight.detach(), rounded_weight(weight)}).parts;
  }

 private:
  struct Known {
    Tensor weight;
    std::vector<Gridded> parts;
  };
  std::mutex mutex_ = {};
  std::map<const void*, std::vector<Known>> known_ = {};
  std::deque<const void*> order_ = {};
};

class ExactArithmetic final : public Arithmetic {
 public:
  enum class Weights { may_change, fixed };
  explicit ExactArithmetic(Weights weights) : weights_(weights) {}

  Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) override {
    const at::NoGradGuard no_grad;
    const auto rows = x.to(at::kDouble);
    const auto parts = weights_ == Weights::fixed ? rounded_.of(weight) : rounded_weight(weight);
    const auto shift = bias.defined() ? bias.to(at::kDouble) : Tensor();
    if (parts.size() == 1) {
      const auto gridded = by_row(rows);
      return scaled(at::matmul(gridded.integers, parts[0].integers.t()), gridded.unit, parts[0].unit, shift);
    }
    Tensor total;
    int64_t from = 0;
    for (const auto& part : parts) {
      const auto count = part.integers.size(-1);
      const auto added = product(by_row(rows.narrow(-1, from, count)), part);
      total = total.defined() ? total.add_(added) : added;
      from += count;
    }
    return shift.defined() ? total.add_(shift) : total;
  }

  Tensor conv(const Tensor& x, const Tensor& weight, const Tensor& bias) override {
    const at::NoGradGuard no_grad;
    const auto kernel = weight.sizes().slice(2);
    const auto patches = at::im2col(x.to(at::kDouble), kernel, {1, 1}, {0, 0}, {1, 1}).transpose(1, 2);  // [B, places, in h w]
    return linear(patches, weight.flatten(1), bias)
        .transpose(1, 2)
        .reshape({x.size(0), weight.size(0), x.size(2) - kernel[0] + 1, x.size(3) - kernel[1] + 1});
  }

  Tensor scores(const Tensor& q, const Tensor& k) override {
    const at::NoGradGuard no_grad;
    const double scale = 1 / std::sqrt(static_cast<double>(q.size(-1)));
    return product(by_row(q.to(at::kDouble)), by_row(k.to(at::kDouble))).mul_(scale);
  }

  Tensor softmax(const Tensor& scores) override {
    const at::NoGradGuard no_grad;
    constexpr double kUnits = 0x1p30;
    const auto x = scores.to(at::kDouble);
    const auto largest = x.amax(-1, /*keepdim=*/true);
    const auto empty = largest.eq(-INFINITY);
    const auto e = exact_exp(x - largest.masked_fill(empty, 0)).mul_(kUnits).round_();
    return e.div_(e.sum(-1, /*keepdim=*/true).masked_fill_(empty, 1));
  }

  Tensor attend(const Tensor& weights, const Tensor& v) override {
    const at::NoGradGuard no_grad;
    // Fixed grids, where a row's own would change with the keys: an absent key of weight 0 then adds 0. With weights that sum to
    // 1 all sums are below 2^52.
    constexpr double kWeightUnits = 0x1p24;
    constexpr double kUnits = 0x1p20;
    constexpr double kBound = 0x1p7;
    const auto w = (weights.to(at::kDouble) * kWeightUnits).round_();
    const auto values = v.to(at::kDouble).clamp(-kBound, kBound).mul_(kUnits).round_();
    return at::matmul(w, values).mul_(1 / (kWeightUnits * kUnits));
  }

  Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias) override {
    const at::NoGradGuard no_grad;
    const double share = 1 / static_cast<double>(x.size(-1));
    const auto rows = x.to(at::kDouble);
    const auto gridded = by_row(rows);
    const auto centred = rows - gridded.integers.sum(-1, /*keepdim=*/true).mul_(gridded.unit).mul_(share);
    const auto deviations = by_row(centred);
    const auto variance =
        deviations.integers.square().sum(-1, /*keepdim=*/true).mul_(deviations.unit).mul_(deviations.unit).mul_(share);
    return at::div(centred, square_root(variance + 1e-5)).mul_(weight.to(at::kDouble)).add_(bias.to(at::kDouble));
  }

  Tensor sigmoid(const Tensor& x) override {
    const at::NoGradGuard no_grad;
    return exact_exp(-x.to(at::kDouble)).add_(1).reciprocal_();
  }

  Tensor tanh(const Tensor& x) override {
    const at::NoGradGuard no_grad;
    return exact_exp(x.to(at::kDouble) * 2).add_(1).reciprocal_().mul_(-2).add_(1);
  }

  Tensor elu(const Tensor& x) override {
    const at::NoGradGuard no_grad;
    const auto in = x.to(at::kDouble);
    return at::where(in > 0, in, exact_exp(in).sub_(1));
  }

  Tensor gelu(const Tensor& x) override {
    const at::NoGradGuard no_grad;
    constexpr double kSlope = -1.5957691216057308;  // -2 sqrt(2 / pi): x (1 + tanh(a)) / 2 = x / (1 + exp(-2 a))
    const auto in = x.to(at::kDouble);
    const auto a = (in * in).mul_(in).mul_(0.044715).add_(in).mul_(kSlope);
    return in / exact_exp(a).add_(1);
  }

 private:
  Weights weights_;
  RoundedWeights rounded_ = {};
};

}  // namespace

Arithmetic& exact_arithmetic() {
  static ExactArithmetic arithmetic(ExactArithmetic::Weights::may_change);
  return arithmetic;
}

std::unique_ptr<Arithmetic> exact_arithmetic_of_fixed_weights() {
  return std::make_unique<ExactArithmetic>(ExactArithmetic::Weights::fixed);
}

}  // namespace elbo
