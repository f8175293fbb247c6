#pragma once
#include <c10/core/impl/LocalDispatchKeySet.h>

#include "elbo/math/shapes.h"

namespace elbo {

/// float32 of bfloat16 and float16 numbers, anything else as it is: for what leaves a network, since likelihoods, divergences and
/// log-weights need all digits while training in lower precision.
Tensor full_precision(const Tensor& tensor);

/// While it lives, matrix products and convolutions run in bfloat16 on this device (LibTorch's autocast), everything else in the
/// type of its inputs. For a forward pass: the backward one follows its types and stays outside. Weights that were cast are
/// forgotten at the end, since the next step changes them.
class Bfloat16Scope {
 public:
  explicit Bfloat16Scope(at::Device device);
  ~Bfloat16Scope();
  Bfloat16Scope(const Bfloat16Scope&) = delete;
  Bfloat16Scope& operator=(const Bfloat16Scope&) = delete;

 private:
  at::DeviceType type_;
  bool was_enabled_;
  at::ScalarType previous_;
};

/// While it lives, matrix products and convolutions of float32 numbers on a CUDA device may round their factors to TF32 (10 bits
/// of mantissa, sums in float32), forward and backward, or may not; on the CPU nothing changes. LibTorch by itself lets
/// convolutions round and products not. Settings of the process.
class Tf32Scope {
 public:
  enum class Rounding { allowed, forbidden };
  Tf32Scope(at::Device device, Rounding rounding);
  ~Tf32Scope();
  Tf32Scope(const Tf32Scope&) = delete;
  Tf32Scope& operator=(const Tf32Scope&) = delete;

 private:
  bool is_accelerator_;
  bool products_before_ = false;
  bool convolutions_before_ = false;
};

/// While it lives, matrix products and convolutions keep all digits of their factors: no autocast, and on a CUDA device no TF32.
/// For a forward pass: the backward one follows its types, which are full ones here, but rounds to TF32 where the step may.
class FullPrecisionScope {
 public:
  explicit FullPrecisionScope(at::Device device);
  FullPrecisionScope(const FullPrecisionScope&) = delete;
  FullPrecisionScope& operator=(const FullPrecisionScope&) = delete;

 private:
  c10::impl::ExcludeDispatchKeyGuard no_autocast_;
  Tf32Scope no_tf32_;
};

}  // namespace elbo
