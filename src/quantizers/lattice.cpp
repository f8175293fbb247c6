#include "elbo/quantizers/lattice.h"

#include <cmath>

#include "elbo/math/precision.h"
#include "elbo/quantizers/codebook.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

constexpr double kLeastCell = 1e-4;
constexpr double kLargestCoordinate = 1 << 30;  // its zigzag number fits 32 bits

class Lattice final : public Quantizer {
 public:
  Lattice(const LatticeConfig& config, const QuantizerContext& context)
      : config_(config),
        commitment_("commitment", config.commitment, context.device),
        codebook_weight_("codebook_weight", config.codebook_weight, context.device),
        size_("size", config.size, context.device) {
    const auto D = config.code_size;
    const double bound = config.init == LatticeInit::dense
                             ? 1
                             : 1 / std::expm1(std::log(static_cast<double>(config.codes)) / static_cast<double>(D));
    check_codebook(1, D, "lattice");
    cells_ = register_parameter("cells", (context.init.uniform({}, {D}) * 2 - 1) * bound);
  }

  Quantization forward(const Tensor& z, Step&, const Tensor& mask) override {
    check_tokens(z, mask, config_.code_size, "lattice");
    const auto tokens = fill_left_out(full_precision(z), mask, 0);
    const auto cell = cell_sizes();
    const auto coordinates = coordinates_of(tokens);
    const auto code = cell * coordinates;
    Quantization result{.value = pass_gradient(tokens, code.to(tokens.scalar_type()), config_.gradient),
                        .indices = coordinates.to(torch::kLong)};
    const auto elements = elements_of(z);
    result.terms = {{.name = "codebook",
                     .value = squared_error(tokens.detach(), code, mask),
                     .weight = codebook_weight_.tensor(),
                     .elements = elements},
                    {.name = "commitment",
                     .value = squared_error(tokens, code.detach(), mask),
                     .weight = commitment_.tensor(),
                     .elements = elements},
                    {.name = "size", .value = -cell.abs().sum().expand({z.size(0)}), .weight = size_.tensor()}};
    result.value = fill_left_out(result.value, mask, 0);
    return result;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, config_.code_size, "lattice");
    return coordinates_of(full_precision(z)).to(torch::kLong);
  }
  Tensor decode(const Tensor& indices) override { return cell_sizes() * indices.to(cells_.scalar_type()); }

  CodeSpace code_space() const override {
    const auto D = config_.code_size;
    return {.input_size = D, .output_size = D, .sizes = std::vector<int64_t>(static_cast<size_t>(D), 0)};
  }
  std::vector<Scheduled> scheduled() override { return {commitment_, codebook_weight_, size_}; }

  Tensor code_length(const Tensor& indices) const override {
    const auto k = indices.to(torch::kDouble);
    const auto number = torch::where(k < 0, -2 * k, 2 * k + 1);
    const auto bits = 2 * number.log2().floor() + 1;
    return (sum_after(bits, 1) * std::log(2.0)).to(torch::kFloat);
  }

 private:
  /// Away from zero, with the gradient of the parameter.
  Tensor cell_sizes() const {
    const auto least = torch::where(cells_.detach() < 0, -kLeastCell, kLeastCell).to(cells_.scalar_type());
    return torch::where(cells_.detach().abs() < kLeastCell, cells_ - cells_.detach() + least, cells_);
  }

  Tensor coordinates_of(const Tensor& z) const {
    const torch::NoGradGuard no_grad;
    return (z.detach() / cell_sizes()).round().clamp(-kLargestCoordinate, kLargestCoordinate);
  }

  LatticeConfig config_;
  Scheduled commitment_, codebook_weight_, size_;
  Tensor cells_;
};

}  // namespace

std::shared_ptr<Quantizer> make_lattice(const LatticeConfig& config, const QuantizerContext& context) {
  return std::make_shared<Lattice>(config, context);
}

}  // namespace elbo
