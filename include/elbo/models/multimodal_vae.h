#pragma once
#include <map>
#include <optional>
#include <variant>

#include "elbo/distributions/likelihood.h"
#include "elbo/distributions/posterior.h"
#include "elbo/distributions/prior.h"
#include "elbo/models/abilities.h"
#include "elbo/models/field_input.h"
#include "elbo/models/model.h"
#include "elbo/nn/network.h"

namespace elbo {

/// A weight that is reckoned, not given.
enum class Automatic { automatic };
constexpr auto enum_names(Automatic) { return std::array{std::pair{std::string_view("auto"), Automatic::automatic}}; }

/// One modality of a multimodal model.
struct ModalityConfig {
  std::string field = {};
  EncoderChoice encoder{encoders, "mlp"};
  DecoderChoice decoder{decoders, "mlp"};
  LikelihoodChoice likelihood{likelihoods, "bernoulli"};
  std::variant<Automatic, double> weight = 1.0;
  std::optional<int64_t> private_size = {};

  template <class F>
  void fields(F& field_of) {
    field_of("field", field, "field of the data set that holds it; empty = of its own name");
    field_of("encoder", encoder, "network from x_m to features; classes enter as indicators");
    field_of("decoder", decoder, "network from z (and the private latents) to the likelihood's parameters");
    field_of("likelihood", likelihood, "p(x_m | z)");
    field_of("weight", weight,
             "factor of log p(x_m | z) in training, never in a reported bound; auto = the largest modality's size over its own",
             at_least(0));
    field_of("private_size", private_size, "latents that this modality alone has; null = the model's private_size", at_least(0));
  }
};

/// Variational autoencoder of several modalities with a shared latent z and, where asked for, private ones: p(z) prod_m
/// p(w_m) p(x_m | z, w_m), and q(z | x_A) for every subset A by the aggregation of the modalities' encoders.
/// Source: Suzuki et al. 2016 (arXiv:1611.01891), Wu & Goodman 2018 (arXiv:1802.05335), Shi et al. 2019 (arXiv:1911.03393),
/// Sutter et al. 2021 (arXiv:2105.02470): each an aggregation and an objective.
struct MultimodalVaeConfig {
  int64_t latent_size = 20;
  int64_t private_size = 0;
  std::map<std::string, ModalityConfig> modalities = {};
  AggregatorChoice aggregation{aggregators, "mopoe"};
  PosteriorChoice posterior{posteriors, "normal"};
  PriorChoice prior{priors, "standard_normal"};

  template <class F>
  void fields(F& field) {
    field("latent_size", latent_size, "size D of the shared latent", between(1, 1 << 20));
    field("private_size", private_size, "latents of each modality alone", between(0, 1 << 20));
    field("modalities", modalities, "the modalities by name", required);
    field("aggregation", aggregation, "how q(z | x_A) is made of the encoders' posteriors");
    field("posterior", posterior, "q(z | x_m), of private latents too: normal or laplace");
    field("prior", prior, "p(z), of private latents too");
  }
  void check(Relations& relations) const;
};

/// Parameters: encoder.NAME.*, posterior.NAME.*, private_posterior.NAME.*, decoder.NAME.*, likelihood.NAME.*, prior.*,
/// private_prior.NAME.*, and of an aggregation with a joint encoder joint_encoder.NAME.*, joint_posterior.*.
/// The abilities are those of one modality, the one that reads field x, or the first; sample() is given what else is known.
class MultimodalVae final : public Model,
                            public Variational,
                            public Multimodal,
                            public Samples,
                            public Reconstructs,
                            public Encodes,
                            public Decodes {
 public:
  MultimodalVae(const MultimodalVaeConfig& config, const ModelContext& context);

  std::string_view family() const override { return "variational"; }
  std::string summary() const override;

  Latents infer(const Batch& batch, int64_t K, Noise& noise) override;
  Latents prior(const Batch& batch, int64_t K, Noise& noise) override;
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override;
  std::vector<Tensor> inference_parameters() override;

  const Subset& modalities() const override { return names_; }
  const Aggregator& aggregator() const override { return *aggregator_; }
  std::string field_of(const std::string& modality) const override;
  std::vector<Expert> experts(const Batch& batch, const Subset& given) override;
  Latents posterior(const Batch& batch, const std::vector<Expert>& experts) override;
  std::vector<Tensor> encoder_parameters(const std::string& expert) override;
  DistributionPtr prior_of(const std::string& layer, int64_t B) override;
  Latents condition(const Batch& batch, const Subset& given, int64_t K, Noise& noise) override;
  std::vector<Observation> decode(const Latents& latents, const Batch& batch, const Subset& targets) override;

  Tensor sample(const Batch& given, double temperature, Noise& noise) override;
  Tensor reconstruct(const Batch& batch) override;
  Tensor encode(const Batch& batch) override;
  int64_t code_size() const override { return latent_size_; }
  Tensor decode_code(const Tensor& z, const Batch& given) override;

 private:
  struct Modality;
  Modality& modality(const std::string& name) const;
  /// Where all are present.
  Expert joint_expert(const Batch& batch);
  /// Of the submodules at these paths, those that there are.
  std::vector<Tensor> parameters_at(const std::vector<std::string>& paths);
  /// The likelihood's parameters. Shapes: z [..., D], own [..., W] -> [..., parameter_shape...].
  Tensor decoded_parameters(Modality& part, const Tensor& z, const Tensor& own);
  /// The modality that the abilities are about.
  Modality& shown() const;
  Tensor shown_mean(const Latents& latents);

  int64_t latent_size_;
  Subset names_ = {};
  std::map<std::string, std::shared_ptr<Modality>> parts_ = {};  // by name
  std::shared_ptr<Aggregator> aggregator_;
  std::shared_ptr<Posterior> joint_posterior_ = nullptr;
  std::shared_ptr<Prior> prior_;
};

std::shared_ptr<Model> make_multimodal_vae(const MultimodalVaeConfig& config, const ModelContext& context);

}  // namespace elbo
