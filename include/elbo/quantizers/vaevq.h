#pragma once
#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// Codes for a variational latent. The encoder gives a mean and a log-variance (2 D numbers a token); the code is the one nearest
/// to the mean, treated as the point that the posterior drew: its gradient goes to the mean, to the standard deviation and to the
/// code. In training the posterior's own draw is decoded too. Codes are a learnt linear map of learnt vectors.
/// Terms: `rcs` aligns codes and posterior in units of its standard deviation, `kl` is KL(q || N(0, I)), `dcr` the squared
/// 2-Wasserstein distance between the codes' normal distribution and N(0, I), a number of the codebook alone that every example
/// carries.
/// Source: Yang et al. 2025 (arXiv:2511.06863). Their weights 1, 1e-6, 1e-6 stand beside a mean over pixels and `rcs` averaged
/// over tokens and dimensions: beside nats they are C*H*W/(T*D), 0.2 and 0.2 for 256 x 256 colour pictures.
/// Differs: `kl` and `dcr` are trained, as the paper has it; kl_weight and dcr_weight 0 are the authors' released code.
struct VaevqConfig {
  int64_t codes = 512;
  int64_t code_size = 64;
  ScheduledNumber rcs_weight = scheduled_number(1);
  ScheduledNumber kl_weight = scheduled_number(0.2);
  ScheduledNumber dcr_weight = scheduled_number(0.2);

  template <class F>
  void fields(F& field) {
    field("codes", codes, "codes V", between(2, 1 << 24));
    field("code_size", code_size, "numbers D of a code; the encoder gives twice as many", between(1, 1 << 16));
    field("rcs_weight", rcs_weight, "weight of the alignment of codes and posterior", at_least(0));
    field("kl_weight", kl_weight, "weight of the KL to N(0, I)", at_least(0));
    field("dcr_weight", dcr_weight, "weight of the codebook's distance from N(0, I)", at_least(0));
  }
};

/// Readings: mean_scale, exp of the mean log standard deviation: the alignment alone would let it grow without end.
/// Parameters: codes [V, D], projection.{weight,bias}.
std::shared_ptr<Quantizer> make_vaevq(const VaevqConfig& config, const QuantizerContext& context);

/// |m|^2 + tr S - 2 tr S^(1/2) + D of the rows' mean m and covariance S (divided by V - 1): the squared 2-Wasserstein distance
/// between N(m, S) and N(0, I). S's eigenvalues count as 1e-6 at least. Shapes: codes [V, D] -> 0-dim.
Tensor distance_from_standard_normal(const Tensor& codes);

}  // namespace elbo
