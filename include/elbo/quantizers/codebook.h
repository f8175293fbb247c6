#pragma once
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "elbo/ops/nearest_code.h"
#include "elbo/quantizers/estimator.h"
#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// Where the codes of a learnt codebook start.
enum class CodebookInit {
  uniform,  // U(-1/V, 1/V): the start of many ports, from which most codes are never chosen
  normal,   // N(0, 1)
  kmeans    // Lloyd's algorithm on the first batch's tokens
};
constexpr auto enum_names(CodebookInit) {
  return std::array{std::pair{std::string_view("uniform"), CodebookInit::uniform},
                    std::pair{std::string_view("normal"), CodebookInit::normal},
                    std::pair{std::string_view("kmeans"), CodebookInit::kmeans}};
}

/// By what the nearest code is chosen. Values and losses are the codes as they are with both.
enum class CodeMetric { euclidean, cosine };
constexpr auto enum_names(CodeMetric) {
  return std::array{std::pair{std::string_view("euclidean"), CodeMetric::euclidean},
                    std::pair{std::string_view("cosine"), CodeMetric::cosine}};
}

/// Refuses a codebook that this machine could not train, before it is allocated. Throws: ConfigError.
void check_codebook(int64_t codes, int64_t code_size, std::string_view quantizer);

/// [codes, code_size] on the host; those of `kmeans` are normal until the first batch.
Tensor initial_codes(CodebookInit init, int64_t codes, int64_t code_size, Stream& stream);

/// Throws ShapeError unless z is [B, ..., size] and the mask [B, ...].
void check_tokens(const Tensor& z, const Tensor& mask, int64_t size, std::string_view quantizer);

/// Rows of length 1; zeros stay zeros.
Tensor unit_rows(const Tensor& rows);

/// nearest_code by either metric, in full precision whatever autocast says; the distances are the metric's own.
Nearest nearest_by(CodeMetric metric, const Tensor& rows, const Tensor& codes);

/// The nearest codes of tokens, -1 where the mask leaves one out. Shapes: z [B, ..., D], codes [V, D] -> int64 [B, ..., 1].
Tensor nearest_indices(CodeMetric metric, const Tensor& z, const Tensor& codes, const Tensor& mask = {});

/// Codes by their indices, zeros for -1. Shapes: codes [V, D], int64 [B, ..., 1] -> [B, ..., D]. Gradient: to the codes.
Tensor look_up(const Tensor& codes, const Tensor& indices);

/// How codes and tokens draw each other. An undefined codebook weight leaves its term out: the codes learn otherwise.
struct CodeLosses {
  Tensor codebook = {};    // 0-dim
  Tensor commitment = {};  // 0-dim
  GradientEstimator gradient = GradientEstimator::straight_through;
};

/// The value, both losses and readings of tokens whose codes have been chosen. Shapes: z [B, ..., D], codes [V, D], indices int64
/// [B, ..., 1], those that the mask leaves out -1.
Quantization quantized_by(const Tensor& z, const Tensor& codes, const Tensor& indices, const Tensor& mask,
                          const CodeLosses& losses);

}  // namespace elbo
