#pragma once
#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// What the decoder reads in training.
enum class GumbelSample {
  soft,  // the mean of the codes under the relaxed draw
  hard   // the drawn code, with the gradient of the soft one to the logits
};
constexpr auto enum_names(GumbelSample) {
  return std::array{std::pair{std::string_view("soft"), GumbelSample::soft},
                    std::pair{std::string_view("hard"), GumbelSample::hard}};
}

/// Codes drawn from softmax(logits) by the Gumbel trick, relaxed by a temperature so that they have a gradient; in evaluation the
/// most likely code. A token is projected to V logits here; the term `kl` is KL(softmax(logits) || uniform), of the clean logits.
/// Source: Jang et al. 2017 (arXiv:1611.01144), Maddison et al. 2017 (arXiv:1611.00712); the discrete VAE of Ramesh et al. 2021
/// (arXiv:2102.12092), section 2.1: 8,192 codes, the temperature from 1 to 1/16 by a cosine over 150,000 steps, the KL's weight
/// from 0 to 6.6 over 5,000.
struct GumbelConfig {
  int64_t codes = 512;
  int64_t code_size = 64;
  int64_t input_size = 0;
  GumbelSample sample = GumbelSample::soft;
  ScheduledNumber temperature = scheduled_number(1);
  ScheduledNumber kl_weight = scheduled_number(1);

  template <class F>
  void fields(F& field) {
    field("codes", codes, "codes V", between(1, 1 << 24));
    field("code_size", code_size, "numbers D of a code", between(1, 1 << 20));
    field("input_size", input_size, "numbers of a token before its projection to V logits; 0: code_size", between(0, 1 << 24));
    field("sample", sample, "what the decoder reads in training: soft, the relaxed draw's mean code, or hard, the drawn code");
    field("temperature", temperature, "temperature of the relaxed draw", more_than(0));
    field("kl_weight", kl_weight, "weight of the KL to uniform codes", at_least(0));
  }
};

/// Terms: kl (nats). Readings: temperature. Parameters: projection.{weight,bias}, codes [V, D].
std::shared_ptr<Quantizer> make_gumbel(const GumbelConfig& config, const QuantizerContext& context);

/// logits plus standard Gumbel numbers, -log(-log u). Their largest is a draw from softmax(logits).
/// Shapes: alike; `uniform` in [0, 1), kept off both ends.
Tensor add_gumbel(const Tensor& logits, const Tensor& uniform);

/// KL(softmax(logits) || uniform). Shapes: [..., V] -> [...]. Units: nats.
Tensor kl_to_uniform(const Tensor& logits);

}  // namespace elbo
