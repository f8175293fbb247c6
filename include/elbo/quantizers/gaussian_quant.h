#pragma once
#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// What the decoder reads in training.
enum class GaussianQuantSample {
  posterior,        // a draw of the posterior: a Gaussian VAE
  straight_through  // the code, with the gradient of the draw
};
constexpr auto enum_names(GaussianQuantSample) {
  return std::array{std::pair{std::string_view("posterior"), GaussianQuantSample::posterior},
                    std::pair{std::string_view("straight_through"), GaussianQuantSample::straight_through}};
}

/// Gaussian Quant: trained as a Gaussian VAE, whose KL of each group of channels is held at log2 V bits; in evaluation the
/// posterior of a group is replaced by the code, of a fixed codebook that lies like N(0, I), which is the likeliest draw of it.
/// Nothing is trained after the VAE. The encoder gives means, then log-variances (2 D numbers a token); groups are contiguous
/// channels. Training holds the rates R of a group by three multipliers (target divergence constraint): `rate` is lambda
/// sum_{tokens, groups} w R with w = lambda_above where R > log2 V + 0.5, lambda_below where R < log2 V - 0.5, else 1; after each
/// step lambda goes up by a hundredth where the mean R was above its target, else down, lambda_above (1 to 1,000) and
/// lambda_below (0.001 to 1) likewise by the largest and the smallest R.
/// Source: Xu et al. 2025 (arXiv:2512.06609); 65,536 codes, 16 channels a token in 1, 2 or 4 groups.
/// Differs: lambda_above also goes down; groups are contiguous.
struct GaussianQuantConfig {
  int64_t codes = 65'536;
  int64_t code_size = 16;
  int64_t groups = 1;
  double beta = 1;
  int64_t seed = 42;
  GaussianQuantSample sample = GaussianQuantSample::posterior;
  ScheduledNumber kl_weight = scheduled_number(0.1);

  template <class F>
  void fields(F& field) {
    field("codes", codes, "codes V of a group", between(2, 1 << 24));
    field("code_size", code_size, "channels D of a token, all groups together; the encoder gives twice as many",
          between(1, 1 << 16));
    field("groups", groups, "groups of channels, each with a code of its own", between(1, 1 << 16));
    field("beta", beta, "weight of the prior in choosing a code: 1 the importance ratio, 0 the code nearest to the mean",
          between(0, 1));
    field("seed", seed, "seed of the fixed codebook", between(0, 4294967295.0));
    field("sample", sample, "what the decoder reads in training: a draw of the posterior, or the code by straight_through");
    field("kl_weight", kl_weight, "weight of the rate in bits", at_least(0));
  }
  void check(Relations& relations) const {
    if (code_size % groups != 0) relations.problem("groups", "must divide code_size");
  }
};

/// Terms: rate (bits, with the multipliers in it) and, to be watched, kl (nats, weight 0). Readings: rate_bits, the mean R;
/// multiplier. Indices are undefined in training by `posterior`. Buffers: codes [V, D / G], lambda, lambda_above,
/// lambda_below.
std::shared_ptr<Quantizer> make_gaussian_quant(const GaussianQuantConfig& config, const QuantizerContext& context);

}  // namespace elbo
