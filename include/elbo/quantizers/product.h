#pragma once
#include <array>
#include <string_view>
#include <utility>

#include "elbo/config/problems.h"
#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// What turns a token before it is cut into groups.
enum class ProductRotation {
  none,
  random  // by one orthogonal matrix, uniformly distributed and fixed, and back after decoding
};
constexpr auto enum_names(ProductRotation) {
  return std::array{std::pair{std::string_view("none"), ProductRotation::none},
                    std::pair{std::string_view("random"), ProductRotation::random}};
}

/// Product quantisation: a token is cut into groups of numbers, each quantised by itself; V codes a group make V^G codes.
/// Source: Jegou et al. 2011 (IEEE TPAMI 33(1)), section II-B; several heads on one codebook: Zhang et al. 2024
/// (arXiv:2412.15195); the rotation is a non-learnt form of Ge et al. 2013 (CVPR), section 3.
/// Terms: those of the groups, "group0/commitment"; they sum, since groups are parts of a token. With `shared` those of the one
/// quantiser. Modules: quantizers.N.
struct ProductConfig {
  int64_t groups = 4;
  QuantizerChoice quantizer{quantizers, "ema"};
  bool shared = false;
  ProductRotation rotation = ProductRotation::none;

  template <class F>
  void fields(F& field) {
    field("groups", groups, "groups G that a token is cut into", between(1, 4096));
    field("quantizer", quantizer, "quantiser of one group; its code size is a group's share of the token");
    field("shared", shared, "whether the groups have one quantiser in common");
    field("rotation", rotation, "of tokens before they are cut: none, or random (orthogonal, fixed)");
  }
};

std::shared_ptr<Quantizer> make_product(const ProductConfig& config, const QuantizerContext& context);

}  // namespace elbo
