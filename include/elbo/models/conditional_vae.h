#pragma once
#include <torch/nn/modules/linear.h>

#include <optional>

#include "elbo/models/vae.h"
#include "elbo/nn/table_features.h"

namespace elbo {

/// Whether the prior knows the condition.
enum class ConditionalPrior {
  learned,         // p(z | y) = N(m(y), S(y))
  standard_normal  // N(0, I) whatever y is
};
constexpr auto enum_names(ConditionalPrior) {
  return std::array{std::pair{std::string_view("learned"), ConditionalPrior::learned},
                    std::pair{std::string_view("standard_normal"), ConditionalPrior::standard_normal}};
}

/// Variational autoencoder of x given a class y: p(z | y), p(x | z, y), q(z | x, y).
/// Source: Sohn et al. 2015 (NeurIPS, "Learning structured output representation using deep conditional generative models"),
/// eq. 4. Differs: y is a label and x what is generated; their hybrid objective (GSNN) is objective/hybrid.
struct ConditionalVaeConfig {
  int64_t latent_size = 20;
  EncoderChoice encoder{encoders, "mlp"};
  DecoderChoice decoder{decoders, "mlp"};
  PosteriorChoice posterior{posteriors, "normal"};
  ConditionalPrior prior = ConditionalPrior::learned;
  LikelihoodChoice likelihood{likelihoods, "bernoulli"};

  template <class F>
  void fields(F& field) {
    field("latent_size", latent_size, "latent size D", between(1, 1 << 20));
    field("encoder", encoder,
          "network from x (pictures: with a plane of y as one more channel; else: with y beside it) to features");
    field("decoder", decoder, "network from z and y to the likelihood's parameters");
    field("posterior", posterior, "q(z | x, y)");
    field("prior", prior, "p(z | y) is learned, a normal for each class, or standard_normal for all");
    field("likelihood", likelihood, "p(x | z, y)");
  }
};

/// Reads fields `x` and `label`. Parameters: encoder.*, posterior.*, decoder.*, likelihood.*, prior.{mean,log_var}.* where
/// learned, condition.* (y to a plane) for pictures.
class ConditionalVae final : public Model,
                             public Variational,
                             public Samples,
                             public Reconstructs,
                             public Encodes,
                             public Decodes {
 public:
  ConditionalVae(const ConditionalVaeConfig& config, const ModelContext& context);

  std::string_view family() const override { return "variational"; }
  std::string summary() const override;

  Latents infer(const Batch& batch, int64_t K, Noise& noise) override;
  Latents prior(const Batch& batch, int64_t K, Noise& noise) override;
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override;
  std::vector<Tensor> inference_parameters() override;

  Tensor sample(const Batch& given, double temperature, Noise& noise) override;
  std::vector<std::string> conditions() const override { return {"label"}; }
  Tensor reconstruct(const Batch& batch) override;
  Tensor encode(const Batch& batch) override;
  int64_t code_size() const override { return latent_size_; }
  Tensor decode_code(const Tensor& z, const Batch& given) override;

 private:
  /// y as indicators. Shapes: [B, V].
  Tensor condition(const Batch& batch) const;
  DistributionPtr posterior_of(const Batch& batch);
  DistributionPtr prior_of(const Tensor& y);
  /// Shapes: z [..., B, D], y [B, V] -> [..., B, parameter_shape...].
  Tensor decoded_parameters(const Tensor& z, const Tensor& y);

  int64_t latent_size_;
  int64_t num_classes_;
  std::optional<TableFeatures> table_ = {};
  torch::nn::Linear plane_ = nullptr;  // from y to one more channel of a picture
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Posterior> posterior_;
  std::shared_ptr<Posterior> prior_;  // null: standard normal
  std::shared_ptr<Likelihood> likelihood_;
  std::shared_ptr<Decoder> decoder_;
};

std::shared_ptr<Model> make_conditional_vae(const ConditionalVaeConfig& config, const ModelContext& context);

}  // namespace elbo
