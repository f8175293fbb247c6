#include "elbo/quantizers/cvq.h"

#include <algorithm>
#include <vector>

#include "elbo/math/couples_batch.h"
#include "elbo/math/precision.h"
#include "elbo/quantizers/kmeans.h"
#include "elbo/quantizers/pending_tokens.h"
#include "elbo/quantizers/tokens.h"

namespace elbo {
namespace {

/// Minus the squared distance or the cosine. Shapes: [N, D], [V, D] -> [V, N].
Tensor cvq_similarity(const Tensor& tokens, const Tensor& codes, CodeMetric metric) {
  const FullPrecisionScope precise(tokens.device());
  if (metric == CodeMetric::cosine) return torch::mm(unit_rows(codes), unit_rows(tokens).t());
  const auto squares = codes.square().sum(1, true) + tokens.square().sum(1).unsqueeze(0);
  return 2 * torch::mm(codes, tokens.t()) - squares;
}

/// One token for each code, drawn with probability softmax_n of the similarity by inverting its distribution function at
/// `uniform`. Shapes: [N, D], [V, D], [V] -> int64 [V].
Tensor cvq_probable_tokens(const Tensor& tokens, const Tensor& codes, CodeMetric metric, const Tensor& uniform) {
  constexpr int64_t kSimilaritiesAtOnce = int64_t{1} << 22;
  const int64_t N = tokens.size(0), chunk = std::max<int64_t>(1, kSimilaritiesAtOnce / N);
  std::vector<Tensor> drawn;
  for (int64_t begin = 0; begin < codes.size(0); begin += chunk) {
    const int64_t count = std::min(chunk, codes.size(0) - begin);
    const auto similarity = cvq_similarity(tokens, codes.narrow(0, begin, count), metric);
    constexpr double kUnits = 0x1p48;  // the running sum of whole numbers is the same on every device and run
    const auto cumulative = similarity.to(torch::kDouble).softmax(1).mul(kUnits).to(torch::kLong).cumsum(1);
    const auto at =
        (uniform.narrow(0, begin, count).to(torch::kDouble).unsqueeze(1) * cumulative.narrow(1, N - 1, 1)).to(torch::kLong);
    drawn.push_back(torch::searchsorted(cumulative, at, false, /*right=*/true).squeeze(1).clamp_max(N - 1));
  }
  return torch::cat(drawn);
}

class Cvq final : public Quantizer, public CouplesBatch {
 public:
  Cvq(const CvqConfig& config, const QuantizerContext& context)
      : config_(config),
        commitment_("commitment", config.commitment, context.device),
        codebook_weight_("codebook_weight", config.codebook_weight, context.device),
        contrastive_weight_("contrastive_weight", config.contrastive_weight, context.device) {
    check_codebook(config.codes, config.code_size, "cvq");
    codes_ = register_parameter("codes", initial_codes(config.init, config.codes, config.code_size, context.init));
    use_ = register_buffer("use", torch::zeros({config.codes}));
    updates_ = register_buffer("updates", torch::zeros({}, torch::kLong));
    if (config.anchor == CvqAnchor::random) pool_ = register_buffer("pool", torch::zeros({config.codes, config.code_size}));
  }

  Quantization forward(const Tensor& z, Step& step, const Tensor& mask) override {
    check_tokens(z, mask, config_.code_size, "cvq");
    const auto indices = nearest_indices(config_.metric, z, codes_, mask);
    if (step.training) pending_.add(z, indices, mask, step);
    auto quantized =
        quantized_by(z, codes_, indices, mask,
                     {.codebook = codebook_weight_.tensor(), .commitment = commitment_.tensor(), .gradient = config_.gradient});
    if (config_.contrastive) {
      quantized.terms.push_back(
          {.name = "contrastive",
           .value = cvq_contrast(counted_rows(z.detach(), mask), codes_, config_.metric, config_.temperature),
           .weight = contrastive_weight_.tensor()});
    }
    quantized.readings.push_back({"drawn", cvq_pull(use_, config_.decay).mean()});
    return quantized;
  }

  Tensor encode(const Tensor& z) override {
    check_tokens(z, {}, config_.code_size, "cvq");
    return nearest_indices(config_.metric, z, codes_);
  }
  Tensor decode(const Tensor& indices) override { return look_up(codes_, indices); }
  CodeSpace code_space() const override { return {config_.code_size, config_.code_size, {config_.codes}}; }
  Tensor codebook(int64_t) override { return codes_; }
  std::vector<Scheduled> scheduled() override {
    std::vector<Scheduled> all{commitment_, codebook_weight_};
    if (config_.contrastive) all.push_back(contrastive_weight_);
    return all;
  }
  std::string_view couples_batch_by() const override { return config_.contrastive ? "the contrastive term of cvq" : ""; }

  void initialise(const Tensor& z, Step& step) override {
    if (config_.init != CodebookInit::kmeans) return;
    const auto clusters = kmeans(to_rows(z), config_.codes, config_.kmeans_iterations, step.streams.model);
    codes_.data().copy_(of_first_process(clusters.centres, step.collective));
  }

  void after_step(const Step& step) override {
    const auto rows = pending_.take();
    if (!rows.tokens.defined() || rows.tokens.size(0) == 0) return;
    const torch::NoGradGuard no_grad;
    const auto count = code_statistics(rows, config_.codes, step.collective).count;
    use_.mul_(config_.decay).add_(count / count.sum(), 1 - config_.decay);
    auto pull = cvq_pull(use_, config_.decay);
    if (config_.update == CvqUpdate::first_step) pull = torch::where(updates_.eq(0), pull, torch::zeros_like(pull));
    const auto codes = codes_.detach();
    const auto anchors = of_first_process(anchors_of(codes, rows.tokens, pull, step), step.collective);
    const auto by = torch::where(anchors.isfinite().all(1), pull, torch::zeros_like(pull)).unsqueeze(1);
    codes_.data().copy_(torch::where(by > 0, (1 - by) * codes + by * anchors, codes));
    updates_.add_(1);
  }

 private:
  /// Shapes: [V, D], [N, D], [V] -> [V, D].
  Tensor anchors_of(const Tensor& codes, const Tensor& tokens, const Tensor& pull, const Step& step) {
    auto& stream = step.streams.model;
    if (config_.anchor == CvqAnchor::random) return random_anchors(tokens, stream);
    return cvq_anchors(config_.anchor, config_.metric, tokens, codes, pull, stream);
  }

  Tensor random_anchors(const Tensor& tokens, Stream& stream) {
    const auto drawn = drawn_rows(tokens, config_.codes, stream);
    const int64_t N = tokens.size(0);
    if (N >= config_.codes) {
      pool_.copy_(drawn);
    } else {
      pool_.copy_(torch::where(updates_.eq(0), drawn, pool_));
      pool_.index_copy_(0, stream.permutation(config_.codes).narrow(0, 0, N), tokens);
    }
    return pool_;
  }

  CvqConfig config_;
  Scheduled commitment_, codebook_weight_, contrastive_weight_;
  Tensor codes_, use_, updates_, pool_;
  PendingTokens pending_;
};

}  // namespace

Tensor cvq_pull(const Tensor& use, double decay) {
  constexpr double kSharpness = 10, kLeast = 1e-3;
  return (-kSharpness * static_cast<double>(use.size(0)) / (1 - decay) * use - kLeast).exp();
}

Tensor cvq_anchors(CvqAnchor anchor, CodeMetric metric, const Tensor& tokens, const Tensor& codes, const Tensor& pull,
                   Stream& stream) {
  if (anchor == CvqAnchor::random) return drawn_rows(tokens, codes.size(0), stream);
  const auto uniform = stream.uniform({codes.size(0)}, {});
  // Searching for codes that stay would cost as much as all of the forward pass.
  const auto moved = pull.gt(0).nonzero().squeeze(1);
  if (moved.size(0) == 0) return codes;
  const auto from = codes.index_select(0, moved);
  const auto chosen = anchor == CvqAnchor::closest ? nearest_by(metric, from, tokens).index
                                                   : cvq_probable_tokens(tokens, from, metric, uniform.index_select(0, moved));
  return codes.clone().index_copy_(0, moved, tokens.index_select(0, chosen));
}

Tensor cvq_contrast(const Tensor& tokens, const Tensor& codes, CodeMetric metric, double temperature) {
  const int64_t N = tokens.size(0), V = codes.size(0);
  if (N == 0) return torch::zeros({}, codes.options());
  const auto sorted = std::get<0>(cvq_similarity(tokens, codes, metric).sort(1));  // rising
  const int64_t near = std::max<int64_t>(1, N / V);
  const auto positive = sorted.narrow(1, N - near, near).mean(1, true);
  const auto logits = torch::cat({positive, sorted.narrow(1, 0, N / 2)}, 1) / temperature;
  return (logits.logsumexp(1) - logits.select(1, 0)).mean();
}

std::shared_ptr<Quantizer> make_cvq(const CvqConfig& config, const QuantizerContext& context) {
  return std::make_shared<Cvq>(config, context);
}

}  // namespace elbo
