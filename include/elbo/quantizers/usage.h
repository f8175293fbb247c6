#pragma once
#include <vector>

#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// How evenly some tokens use one group's codes. 0-dim, float32, on the device of the codes.
struct BatchUsage {
  Tensor perplexity = {};  // exp of the entropy of the codes' shares, between 1 and min(V, tokens)
  Tensor used = {};        // how many different codes
};

/// Of one batch: by counts where V is small, else by sorting, so that memory never grows with V and the device is not waited for.
/// Shapes: int64, any. `size` = V: negative codes don't count; 0 without bound: all do.
BatchUsage batch_usage(const Tensor& codes, int64_t size);

/// The same of each group; of codes without bound one, whose codes are whole rows. Shapes: int64 [B, ..., G].
std::vector<BatchUsage> batch_usages(const Tensor& indices, const CodeSpace& space);

/// What a quantiser lost: sums of |z - value|^2 and of |z|^2 over the tokens that have a code. 0-dim, float64 on the CPU and
/// float32 elsewhere; both undefined where tokens and values are of different spaces.
struct QuantizationError {
  Tensor squared = {};
  Tensor norm = {};
};
QuantizationError quantization_error(const Tensor& tokens, const Quantization& quantization, const CodeSpace& space);

}  // namespace elbo
