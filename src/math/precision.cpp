#include "elbo/math/precision.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <torch/types.h>

namespace elbo {

Tensor full_precision(const Tensor& tensor) {
  const auto type = tensor.scalar_type();
  return type == torch::kBFloat16 || type == torch::kHalf ? tensor.to(torch::kFloat) : tensor;
}

Bfloat16Scope::Bfloat16Scope(at::Device device)
    : type_(device.type()),
      was_enabled_(at::autocast::is_autocast_enabled(type_)),
      previous_(at::autocast::get_autocast_dtype(type_)) {
  at::autocast::set_autocast_dtype(type_, at::kBFloat16);
  at::autocast::set_autocast_enabled(type_, true);
  at::autocast::increment_nesting();
}

Bfloat16Scope::~Bfloat16Scope() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(type_, was_enabled_);
  at::autocast::set_autocast_dtype(type_, previous_);
}

Tf32Scope::Tf32Scope(at::Device device, Rounding rounding) : is_accelerator_(!device.is_cpu()) {
  if (!is_accelerator_) return;
  auto& context = at::globalContext();
  products_before_ = context.allowTF32CuBLAS();
  convolutions_before_ = context.allowTF32CuDNN();
  context.setAllowTF32CuBLAS(rounding == Rounding::allowed);
  context.setAllowTF32CuDNN(rounding == Rounding::allowed);
}

Tf32Scope::~Tf32Scope() {
  if (!is_accelerator_) return;
  at::globalContext().setAllowTF32CuBLAS(products_before_);
  at::globalContext().setAllowTF32CuDNN(convolutions_before_);
}

FullPrecisionScope::FullPrecisionScope(at::Device device)
    : no_autocast_(c10::autocast_dispatch_keyset), no_tf32_(device, Tf32Scope::Rounding::forbidden) {}

}  // namespace elbo
