#include "elbo/quantizers/ema.h"

#include "elbo/quantizers/kmeans.h"
#include "elbo/quantizers/pending_tokens.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

class Ema final : public Quantizer {
 public:
  Ema(const EmaConfig& config, const QuantizerContext& context)
      : config_(config), commitment_("commitment", config.commitment, context.device) {
    check_codebook(config.codes, config.code_size, "ema");
    codes_ = register_buffer("codes", initial_codes(config.init, config.codes, config.code_size, context.init));
    counts_ = register_buffer("counts", torch::ones({config.codes}));
    sums_ = register_buffer("sums", codes_.clone());
  }

  Quantization forward(const Tensor& z, Step& step, const Tensor& mask) override {
    check_tokens(z, mask, config_.code_size, "ema");
    const auto indices = nearest_indices(config_.metric, z, codes_, mask);
    if (step.training) pending_.add(z, indices, mask, step);
    auto quantized = quantized_by(z, codes_, indices, mask, {.commitment = commitment_.tensor(), .gradient = config_.gradient});
    if (config_.revival > 0) quantized.readings.push_back({"dead", dead().to(torch::kFloat).mean()});
    return quantized;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, config_.code_size, "ema");
    return nearest_indices(config_.metric, z, codes_);
  }
  Tensor decode(const Tensor& indices) override { return look_up(codes_, indices); }
  CodeSpace code_space() const override { return {config_.code_size, config_.code_size, {config_.codes}}; }
  Tensor codebook(int64_t) override { return codes_; }
  std::vector<Scheduled> scheduled() override { return {commitment_}; }

  void initialise(const Tensor& z, Step& step) override {
    if (config_.init != CodebookInit::kmeans) return;
    const torch::NoGradGuard no_grad;
    const auto clusters = kmeans(to_rows(z), config_.codes, config_.kmeans_iterations, step.streams.model);
    codes_.copy_(of_first_process(clusters.centres, step.collective));
    counts_.copy_(of_first_process(clusters.counts, step.collective));
    sums_.copy_(counts_.unsqueeze(1) * codes_);
  }

  void after_step(const Step& step) override {
    const auto rows = pending_.take();
    if (!rows.tokens.defined()) return;
    const torch::NoGradGuard no_grad;
    const auto now = code_statistics(rows, config_.codes, step.collective);
    counts_.mul_(config_.decay).add_(now.count, 1 - config_.decay);
    sums_.mul_(config_.decay).add_(now.sum, 1 - config_.decay);
    const auto total = counts_.sum();
    const auto smoothed = total * (counts_ + config_.epsilon) / (total + config_.epsilon * static_cast<double>(config_.codes));
    // Where nothing is left of a count there is nothing to average.
    codes_.copy_(torch::where(counts_.unsqueeze(1) > 0, sums_ / smoothed.unsqueeze(1), codes_));
    if (config_.revival > 0 && rows.tokens.size(0) > 0) revive(rows.tokens, step);
  }

 private:
  /// What evenly used codes would count, 0-dim.
  Tensor even_count() const { return counts_.mean(); }
  Tensor dead() const { return counts_ < config_.revival * even_count(); }

  void revive(const Tensor& tokens, const Step& step) {
    const auto gone = dead();
    if (gone.is_cpu() && !gone.any().item<bool>()) return;
    const auto drawn = of_first_process(drawn_rows(tokens, config_.codes, step.streams.model), step.collective);
    const auto even = even_count();
    counts_.copy_(torch::where(gone, even, counts_));
    codes_.copy_(torch::where(gone.unsqueeze(1), drawn, codes_));
    sums_.copy_(torch::where(gone.unsqueeze(1), even * drawn, sums_));
  }

  EmaConfig config_;
  Scheduled commitment_;
  Tensor codes_, counts_, sums_;
  PendingTokens pending_;
};

}  // namespace

std::shared_ptr<Quantizer> make_ema(const EmaConfig& config, const QuantizerContext& context) {
  return std::make_shared<Ema>(config, context);
}

}  // namespace elbo
