#include "elbo/distributions/bijector.h"

#include <algorithm>
#include <limits>
#include <numbers>

namespace elbo {
namespace {

class Affine final : public Bijector {
 public:
  Affine(Tensor shift, Tensor log_scale) : shift_(std::move(shift)), log_scale_(std::move(log_scale)) {}
  Tensor forward(const Tensor& x) const override { return shift_ + log_scale_.exp() * x; }
  Tensor inverse(const Tensor& y) const override { return (y - shift_) * (-log_scale_).exp(); }
  Tensor log_abs_det_jacobian(const Tensor& x) const override {
    return log_scale_.expand(at::infer_size(log_scale_.sizes(), x.sizes()));
  }
  bool is_affine() const override { return true; }
  BijectorPtr detached() const override { return std::make_shared<Affine>(shift_.detach(), log_scale_.detach()); }
  std::string_view name() const override { return "affine"; }

 private:
  Tensor shift_;
  Tensor log_scale_;
};

/// Those without parameters: one object serves all, so that two of a kind are the same.
template <class Kind>
class Fixed : public Bijector {
 public:
  static BijectorPtr instance() {
    static const auto only = std::make_shared<Kind>();
    return only;
  }
  BijectorPtr detached() const override { return instance(); }
};

/// The open interval (low, high) in numbers of the tensor's type: rounding may have put a value of it on its edge.
Tensor inside(const Tensor& y, double low, double high) {
  const bool is_double = y.scalar_type() == torch::kDouble;
  const double tiny = is_double ? std::numeric_limits<double>::min() : std::numeric_limits<float>::min();
  const double step = is_double ? 0x1p-53 : 0x1p-24;
  return y.clamp(low == 0 ? tiny : low + step, high - step);
}

/// log(1 + e^x) to the last digit; ATen's takes x itself from 20 on.
Tensor smooth_max(const Tensor& x) { return -torch::log_sigmoid(-x); }

class Exp final : public Fixed<Exp> {
 public:
  Tensor forward(const Tensor& x) const override { return x.exp(); }
  Tensor inverse(const Tensor& y) const override { return inside(y, 0, std::numeric_limits<float>::max()).log(); }
  Tensor log_abs_det_jacobian(const Tensor& x) const override { return x; }
  std::string_view name() const override { return "exp"; }
};

class Sigmoid final : public Fixed<Sigmoid> {
 public:
  Tensor forward(const Tensor& x) const override { return x.sigmoid(); }
  Tensor inverse(const Tensor& y) const override {
    const auto within = inside(y, 0, 1);
    return within.log() - torch::log1p(-within);
  }
  Tensor log_abs_det_jacobian(const Tensor& x) const override { return torch::log_sigmoid(x) + torch::log_sigmoid(-x); }
  std::string_view name() const override { return "sigmoid"; }
};

class Softplus final : public Fixed<Softplus> {
 public:
  Tensor forward(const Tensor& x) const override { return smooth_max(x); }
  /// log(e^y - 1) = y + log(1 - e^-y).
  Tensor inverse(const Tensor& y) const override {
    const auto within = inside(y, 0, std::numeric_limits<float>::max());
    return within + (-torch::expm1(-within)).log();
  }
  Tensor log_abs_det_jacobian(const Tensor& x) const override { return torch::log_sigmoid(x); }
  std::string_view name() const override { return "softplus"; }
};

class Tanh final : public Fixed<Tanh> {
 public:
  Tensor forward(const Tensor& x) const override { return x.tanh(); }
  Tensor inverse(const Tensor& y) const override { return inside(y, -1, 1).atanh(); }
  /// log(1 - tanh^2 x), which would cancel, is 2 (log 2 - x - softplus(-2 x)).
  Tensor log_abs_det_jacobian(const Tensor& x) const override { return 2 * (std::numbers::ln2 - x - smooth_max(-2 * x)); }
  std::string_view name() const override { return "tanh"; }
};

class Composed final : public Bijector {
 public:
  explicit Composed(std::vector<BijectorPtr> bijectors) : bijectors_(std::move(bijectors)) {}
  Tensor forward(const Tensor& x) const override {
    auto y = x;
    for (const auto& bijector : bijectors_) y = bijector->forward(y);
    return y;
  }
  Tensor inverse(const Tensor& y) const override {
    auto x = y;
    for (auto bijector = bijectors_.rbegin(); bijector != bijectors_.rend(); ++bijector) x = (*bijector)->inverse(x);
    return x;
  }
  Tensor log_abs_det_jacobian(const Tensor& x) const override {
    auto at = x, sum = torch::zeros_like(x);
    for (const auto& bijector : bijectors_) {
      sum = sum + bijector->log_abs_det_jacobian(at);
      at = bijector->forward(at);
    }
    return sum;
  }
  bool is_affine() const override {
    return std::all_of(bijectors_.begin(), bijectors_.end(), [](const BijectorPtr& bijector) { return bijector->is_affine(); });
  }
  BijectorPtr detached() const override {
    std::vector<BijectorPtr> cut;
    for (const auto& bijector : bijectors_) cut.push_back(bijector->detached());
    return std::make_shared<Composed>(std::move(cut));
  }
  std::string_view name() const override { return "composed"; }

 private:
  std::vector<BijectorPtr> bijectors_;
};

}  // namespace

BijectorPtr affine_bijector(Tensor shift, Tensor log_scale) {
  return std::make_shared<Affine>(std::move(shift), std::move(log_scale));
}
BijectorPtr exp_bijector() { return Exp::instance(); }
BijectorPtr sigmoid_bijector() { return Sigmoid::instance(); }
BijectorPtr softplus_bijector() { return Softplus::instance(); }
BijectorPtr tanh_bijector() { return Tanh::instance(); }
BijectorPtr composed_bijector(std::vector<BijectorPtr> bijectors) { return std::make_shared<Composed>(std::move(bijectors)); }

}  // namespace elbo
