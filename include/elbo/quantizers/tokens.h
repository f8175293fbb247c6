#pragma once
#include <string_view>

#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// A map's places as tokens, channels last. Shapes: [B, C, H, W] -> [B, H, W, C].
Tensor to_tokens(const Tensor& map);
/// And back. Shapes: [B, H, W, C] -> [B, C, H, W].
Tensor to_map(const Tensor& tokens);

/// Tokens as rows in at least float32. Shapes: [B, ..., D] -> [N, D].
Tensor to_rows(const Tensor& z);

/// Sums of an example's tokens, those left out by the mask not counted. Shapes: per_token [B, ...], mask like it or undefined ->
/// [B].
Tensor sum_tokens(const Tensor& per_token, const Tensor& mask);

/// Numbers of an example: tokens times `size`. Shapes: z [B, ..., D].
double elements_of(const Tensor& z);

/// |z - code|^2 of each example, summed over its tokens: the term `commitment` with the code detached, `codebook` with z
/// detached. Shapes: [B, ..., D] both, mask [B, ...] or undefined -> [B].
Tensor squared_error(const Tensor& z, const Tensor& code, const Tensor& mask);

/// Writes `fill` at the tokens that the mask leaves out. Shapes: [B, ..., D], mask [B, ...] or undefined.
Tensor fill_left_out(const Tensor& tokens, const Tensor& mask, double fill);

/// The rows where the mask (or everything) counts. Shapes: [B, ..., D], [B, ...] -> [n, D].
Tensor counted_rows(const Tensor& z, const Tensor& mask);

/// Codes of which each is as likely as any other; where there is no bound, rounded normal numbers. Shapes: int64
/// [count, places..., groups].
inline constexpr std::string_view kRandomCodes =
    "codes drawn at random, each as likely as any other: this run has not learnt which go together";
Tensor random_codes(const CodeSpace& space, int64_t count, at::IntArrayRef places, Noise& noise);

}  // namespace elbo
