#include "elbo/quantizers/product.h"

#include <ATen/ops/linalg_qr.h>

#include "elbo/base/error.h"
#include "elbo/math/precision.h"
#include "elbo/quantizers/codebook.h"
#include "elbo/quantizers/tokens.h"
#include "nested.h"

namespace elbo {
namespace {

/// Uniformly distributed over the orthogonal group: Mezzadri 2007 (arXiv:math-ph/0609050), section 5.
Tensor random_orthogonal(int64_t size, Stream& stream) {
  const auto [q, r] = at::linalg_qr(stream.normal({size}, {size}).to(torch::kDouble));
  return (q * r.diagonal().sign()).to(torch::kFloat);
}

Tensor cat_if_defined(const std::vector<Tensor>& parts, int64_t dim) {
  return parts.empty() || !parts[0].defined() ? Tensor() : torch::cat(parts, dim);
}

class Product final : public Quantizer {
 public:
  Product(const ProductConfig& config, const QuantizerContext& context)
      : parts_(*this, config.quantizer, config.groups, config.shared, "group", context) {
    if (config.rotation == ProductRotation::none) return;
    const auto space = code_space();
    if (space.input_size != space.output_size) {
      throw ConfigError("quantizer product: rotation needs codes as large as tokens, " + config.quantizer.str() + " has " +
                        std::to_string(parts_.space().output_size) + " numbers for " + std::to_string(parts_.space().input_size));
    }
    check_codebook(space.input_size, space.input_size, "product's rotation");
    rotation_ = register_buffer("rotation", random_orthogonal(space.input_size, context.init));
  }

  Quantization forward(const Tensor& z, Step& step, const Tensor& mask) override {
    check_tokens(z, mask, code_space().input_size, "product");
    const auto tokens = rotated(fill_left_out(full_precision(z), mask, 0));
    auto result = parts_.shared() ? forward_shared(tokens, step, mask) : forward_each(tokens, step, mask);
    result.value = rotated_back(result.value);
    if (result.continuous.defined()) result.continuous = rotated_back(result.continuous);
    if (result.target.defined()) result.target = rotated_back(result.target);
    return result;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, code_space().input_size, "product");
    const auto tokens = rotated(full_precision(z));
    if (parts_.shared()) return parts_.of(0).encode(grouped(tokens)).flatten(-2);
    std::vector<Tensor> indices;
    for (int64_t g = 0; g < parts_.parts(); ++g) indices.push_back(parts_.of(g).encode(part_of(tokens, g)));
    return torch::cat(indices, -1);
  }

  Tensor decode(const Tensor& indices) override {
    if (parts_.shared()) {
      return rotated_back(parts_.of(0).decode(indices.unflatten(-1, Shape{parts_.parts(), parts_.space().groups()})).flatten(-2));
    }
    std::vector<Tensor> codes;
    for (int64_t g = 0; g < parts_.parts(); ++g) codes.push_back(parts_.of(g).decode(parts_.indices_of(indices, g)));
    return rotated_back(torch::cat(codes, -1));
  }

  CodeSpace code_space() const override {
    const auto& part = parts_.space();
    return {.input_size = part.input_size * parts_.parts(),
            .output_size = part.output_size * parts_.parts(),
            .sizes = parts_.sizes()};
  }
  Tensor codebook(int64_t group) override { return parts_.codebook(group); }
  std::vector<Scheduled> scheduled() override { return parts_.scheduled(); }
  Tensor code_length(const Tensor& indices) const override { return parts_.code_length(indices); }

  void initialise(const Tensor& z, Step& step) override {
    const auto tokens = rotated(full_precision(z));
    if (parts_.shared()) return parts_.of(0).initialise(grouped(tokens), step);
    for (int64_t g = 0; g < parts_.parts(); ++g) parts_.of(g).initialise(part_of(tokens, g), step);
  }

 private:
  Tensor part_of(const Tensor& tokens, int64_t g) const {
    return tokens.narrow(-1, g * parts_.space().input_size, parts_.space().input_size);
  }
  /// Shapes: [..., G D] -> [..., G, D].
  Tensor grouped(const Tensor& tokens) const { return tokens.unflatten(-1, Shape{parts_.parts(), parts_.space().input_size}); }

  Tensor rotated(const Tensor& tokens) const {
    if (!rotation_.defined()) return tokens;
    const FullPrecisionScope precise(tokens.device());
    return torch::matmul(tokens, rotation_.to(tokens.scalar_type()));
  }
  Tensor rotated_back(const Tensor& codes) const {
    if (!rotation_.defined()) return codes;
    const FullPrecisionScope precise(codes.device());
    return torch::matmul(codes, rotation_.to(codes.scalar_type()).t());
  }

  /// The groups as one more axis of tokens.
  Quantization forward_shared(const Tensor& tokens, Step& step, const Tensor& mask) {
    const auto z = grouped(tokens);
    const auto group_mask = mask.defined() ? mask.unsqueeze(-1).expand(z.sizes().slice(0, z.dim() - 1)).contiguous() : mask;
    auto result = parts_.of(0).forward(z, step, group_mask);
    result.value = result.value.flatten(-2);
    if (result.indices.defined()) result.indices = result.indices.flatten(-2);
    if (result.continuous.defined()) result.continuous = result.continuous.flatten(-2);
    if (result.target.defined()) result.target = result.target.flatten(-2);
    if (result.log_probs.defined()) result.log_probs = result.log_probs.flatten(-3, -2);
    return result;
  }

  Quantization forward_each(const Tensor& tokens, Step& step, const Tensor& mask) {
    Quantization result;
    std::vector<Tensor> value, indices, continuous, target, log_probs;
    for (int64_t g = 0; g < parts_.parts(); ++g) {
      auto part = parts_.of(g).forward(part_of(tokens, g), step, mask);
      value.push_back(part.value);
      indices.push_back(part.indices);
      continuous.push_back(part.continuous);
      target.push_back(part.target);
      log_probs.push_back(part.log_probs);
      for (auto& term : part.terms) {
        term.name = parts_.prefix(g) + term.name;
        term.elements *= static_cast<double>(parts_.parts());  // a mean is over all numbers of the token
        result.terms.push_back(std::move(term));
      }
      for (auto& reading : part.readings) result.readings.push_back({parts_.prefix(g) + reading.name, reading.value});
    }
    result.value = torch::cat(value, -1);
    result.indices = cat_if_defined(indices, -1);
    result.continuous = cat_if_defined(continuous, -1);
    result.target = cat_if_defined(target, -1);
    result.log_probs = cat_if_defined(log_probs, -2);
    return result;
  }

  detail::NestedQuantizers parts_;
  Tensor rotation_ = {};
};

}  // namespace

std::shared_ptr<Quantizer> make_product(const ProductConfig& config, const QuantizerContext& context) {
  return std::make_shared<Product>(config, context);
}

}  // namespace elbo
