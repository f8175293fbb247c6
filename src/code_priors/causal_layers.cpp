#include "causal_layers.h"

#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>

#include <cmath>

#include "elbo/math/init.h"

namespace elbo::detail {
namespace {

/// Rounded as IEEE 754 says where no gradient is asked for, which the host's vector library need not do.
Tensor square_root(const Tensor& x) {
  if (x.requires_grad() || !x.is_cpu()) return x.sqrt();
  auto root = x.to(at::kDouble, /*non_blocking=*/false, /*copy=*/true);
  auto* values = root.mutable_data_ptr<double>();
  for (int64_t i = 0; i < root.numel(); ++i) values[i] = std::sqrt(values[i]);
  return root.to(x.scalar_type());
}

}  // namespace

ScanConv::ScanConv(const ScanConvOptions& options, Stream& init) {
  auto weight = at::empty({options.out, options.in, options.rows, options.columns});
  auto bias = options.bias == Bias::yes ? at::empty({options.out}) : Tensor();
  init_weight(weight, bias, Init::pytorch, init);
  if (options.parametrization == Parametrization::weight_norm) {
    length_ = register_parameter("weight_g", weight.flatten(1).norm(2, 1).view({-1, 1, 1, 1}));
    weight_ = register_parameter("weight_v", weight);
  } else {
    weight_ = register_parameter("weight", weight);
  }
  if (bias.defined()) bias_ = register_parameter("bias", bias);
}

Tensor ScanConv::made_weight(Arithmetic& arithmetic) const {
  if (!length_.defined()) return weight_;
  // The sum of squares as a product of matrices: its order must not matter either.
  const auto rows = weight_.flatten(1);
  const auto squares = arithmetic.linear(rows.square(), at::ones({1, rows.size(1)}, rows.options()), {});
  return weight_ * (length_ / square_root(squares).view({-1, 1, 1, 1}));
}

Tensor ScanConv::forward(Scan& scan, const Tensor& x) {
  const auto& weight = scan.once(this, [&] { return made_weight(scan.arithmetic()); });
  return scan.arithmetic().conv(x, weight, bias_);
}

CausalConv::CausalConv(const Options& options, Stream& init)
    : kind_(options.kind),
      above_(Window::above(options.kernel)),
      row_window_(options.kind == Kind::entry ? Window::before(options.kernel) : Window::to_own(options.kernel)) {
  rows_ = register_module("rows", std::make_shared<ScanConv>(ScanConvOptions{.in = options.in,
                                                                             .out = options.out,
                                                                             .rows = above_.rows,
                                                                             .columns = above_.columns,
                                                                             .bias = Bias::no,
                                                                             .parametrization = options.parametrization},
                                                             init));
  row_ = register_module("row", std::make_shared<ScanConv>(ScanConvOptions{.in = options.in,
                                                                           .out = options.out,
                                                                           .rows = row_window_.rows,
                                                                           .columns = row_window_.columns,
                                                                           .parametrization = options.parametrization},
                                                           init));
}

Tensor CausalConv::forward(Scan& scan, const Tensor& x) {
  if (kind_ == Kind::entry) return rows_->forward(scan, scan.codes(above_)) + row_->forward(scan, scan.codes(row_window_));
  const auto rows = scan.window(x, above_), row = scan.window(x, row_window_);
  return rows_->forward(scan, rows) + row_->forward(scan, row);
}

ConditionTerm::ConditionTerm(int64_t channels, const PlaceNetworkContext& context) {
  constexpr double kSpread = 0.1;
  if (context.num_classes > 0) {
    classes_ = register_parameter("classes", normal_table(context.num_classes + 1, channels, kSpread, context.init));
  }
  if (context.above_channels > 0) {
    above_ = register_module(
        "above", std::make_shared<ScanConv>(ScanConvOptions{.in = context.above_channels, .out = channels, .bias = Bias::no},
                                            context.init));
  }
}

Tensor ConditionTerm::whole(Scan& scan) {
  const auto& given = scan.condition();
  Tensor term;
  if (classes_.defined()) term = at::embedding(classes_, given.label).unsqueeze(2).unsqueeze(3);
  if (!above_) return term;
  const auto map = above_->forward(scan, given.above).index_select(2, given.above_row).index_select(3, given.above_column);
  return term.defined() ? term + map : map;
}

Tensor ConditionTerm::added(Scan& scan, const Tensor& x) {
  if (!classes_.defined() && !above_) return x;
  return x + scan.here(scan.once(this, [&] { return whole(scan); }));
}

Tensor dropped(Scan& scan, const Tensor& x, double dropout) {
  const auto* step = scan.step();
  if (!step || !step->training || dropout == 0) return x;
  const auto kept = step->streams.model.uniform(x.sizes(), {}) >= dropout;
  return x * (kept.to(x.scalar_type()) / (1 - dropout));
}

Tensor normal_table(int64_t rows, int64_t columns, double scale, Stream& init) {
  return (scale * init.normal({rows}, {columns})).to(at::kFloat);
}

}  // namespace elbo::detail
