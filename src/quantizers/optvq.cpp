#include "elbo/quantizers/optvq.h"

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/math/couples_batch.h"
#include "elbo/math/precision.h"
#include "elbo/nn/layer.h"
#include "elbo/quantizers/kmeans.h"
#include "elbo/quantizers/sinkhorn.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

std::string optvq_heads_problem(const OptvqConfig& config) {
  if (config.code_size % config.heads == 0) return {};
  return "must divide code_size " + std::to_string(config.code_size) + ", got " + std::to_string(config.heads);
}

class Optvq final : public Quantizer, public CouplesBatch {
 public:
  Optvq(const OptvqConfig& config, const QuantizerContext& context)
      : config_(config),
        commitment_("commitment", config.commitment, context.device),
        codebook_weight_("codebook_weight", config.codebook_weight, context.device) {
    if (const auto problem = optvq_heads_problem(config); !problem.empty()) throw ConfigError("optvq: heads " + problem);
    check_codebook(config.codes, head_size(), "optvq");
    vectors_ = register_parameter("vectors", initial_codes(config.init, config.codes, head_size(), context.init));
    if (!config.projection) return;
    const auto D = head_size();
    projection_ = register_module("projection", std::make_shared<Layer>(LayerOptions{.in = D, .out = D}, context.init));
    const torch::NoGradGuard no_grad;
    projection_->weight().copy_(context.init.normal({D}, {D}) / std::sqrt(static_cast<double>(D)));
  }

  Quantization forward(const Tensor& z, Step& step, const Tensor& mask) override {
    check_tokens(z, mask, config_.code_size, "optvq");
    const auto codes = codebook(0);
    const auto parts = parts_of(z);
    const auto part_mask = mask.defined() ? mask.unsqueeze(-1).expand(parts.sizes().slice(0, parts.dim() - 1)) : mask;
    const auto indices =
        step.training ? assign(config_.pick, parts, codes, part_mask, &step.noise) : evaluated(parts, codes, part_mask);
    auto quantized =
        quantized_by(parts, codes, indices, part_mask,
                     {.codebook = codebook_weight_.tensor(), .commitment = commitment_.tensor(), .gradient = config_.gradient});
    quantized.value = quantized.value.flatten(-2);
    quantized.indices = indices.squeeze(-1);
    return quantized;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, config_.code_size, "optvq");
    return evaluated(parts_of(z), codebook(0), {}).squeeze(-1);
  }
  Tensor decode(const Tensor& indices) override { return look_up(codebook(0), indices.unsqueeze(-1)).flatten(-2); }
  CodeSpace code_space() const override {
    return {config_.code_size, config_.code_size, std::vector<int64_t>(static_cast<size_t>(config_.heads), config_.codes)};
  }
  Tensor codebook(int64_t) override {
    if (!projection_) return vectors_;
    const FullPrecisionScope precise(vectors_.device());
    return projection_->forward(vectors_);
  }
  std::vector<Scheduled> scheduled() override { return {commitment_, codebook_weight_}; }
  std::string_view couples_batch_by() const override { return "optvq's transport plan"; }

  void initialise(const Tensor& z, Step& step) override {
    if (config_.init != CodebookInit::kmeans) return;
    const auto rows = to_rows(z).reshape({-1, head_size()});
    vectors_.data().copy_(kmeans(rows, config_.codes, config_.kmeans_iterations, step.streams.model).centres);
    if (!projection_) return;
    projection_->weight().data().copy_(torch::eye(head_size()));
    projection_->bias().data().zero_();
  }

 private:
  int64_t head_size() const { return config_.code_size / config_.heads; }
  /// Shapes: [B, ..., D] -> [B, ..., heads, D / heads].
  Tensor parts_of(const Tensor& z) const { return z.unflatten(-1, {config_.heads, head_size()}); }

  Tensor evaluated(const Tensor& parts, const Tensor& codes, const Tensor& mask) const {
    if (config_.evaluation == OptvqAssignment::nearest) return nearest_indices(CodeMetric::euclidean, parts, codes, mask);
    return assign(OptvqPick::largest, parts, codes, mask, nullptr);
  }

  /// By the plan over all parts that count. Shapes: parts [B, ..., D], mask [B, ...] -> int64 [B, ..., 1].
  Tensor assign(OptvqPick pick, const Tensor& parts, const Tensor& codes, const Tensor& mask, Noise* noise) const {
    const CodeTransport transport{.sharpness = config_.sharpness,
                                  .normalize = config_.normalize,
                                  .stop = {.iterations = config_.iterations},
                                  .bytes = config_.sinkhorn_bytes};
    const auto shape = parts.sizes().slice(0, parts.dim() - 1);
    Tensor uniform;
    if (pick == OptvqPick::drawn)
      uniform = counted_rows(noise->uniform({1, shape[0]}, shape.slice(1)).view(shape).unsqueeze(-1), mask);
    const auto chosen =
        transported_codes(counted_rows(parts.detach(), mask), codes, transport, uniform.defined() ? uniform.squeeze(1) : uniform);
    if (!mask.defined()) return chosen.view(shape).unsqueeze(-1);
    auto indices = torch::full(shape, -1, chosen.options());
    indices.view(-1).index_copy_(0, mask.reshape(-1).nonzero().squeeze(1), chosen);
    return indices.unsqueeze(-1);
  }

  OptvqConfig config_;
  Scheduled commitment_, codebook_weight_;
  Tensor vectors_;
  std::shared_ptr<Layer> projection_;
};

}  // namespace

void OptvqConfig::check(Relations& relations) const {
  if (const auto problem = optvq_heads_problem(*this); !problem.empty()) relations.problem("heads", problem);
}

std::shared_ptr<Quantizer> make_optvq(const OptvqConfig& config, const QuantizerContext& context) {
  return std::make_shared<Optvq>(config, context);
}

}  // namespace elbo
