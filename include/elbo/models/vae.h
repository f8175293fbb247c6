#pragma once
#include <optional>

#include "elbo/distributions/likelihood.h"
#include "elbo/distributions/posterior.h"
#include "elbo/distributions/prior.h"
#include "elbo/models/abilities.h"
#include "elbo/models/model.h"
#include "elbo/nn/network.h"
#include "elbo/nn/table_features.h"

namespace elbo {

/// Where the bias of the decoder's last layer starts.
enum class OutputBias {
  init,      // as the network initialises it
  data_mean  // where the likelihood's mean is the training data's: Burda et al. 2016, section 5
};
constexpr auto enum_names(OutputBias) {
  return std::array{std::pair{std::string_view("init"), OutputBias::init},
                    std::pair{std::string_view("data_mean"), OutputBias::data_mean}};
}

/// Variational autoencoder: p(z), p(x | z) by a decoder, q(z | x) by an encoder.
/// Source: Kingma & Welling 2014 (arXiv:1312.6114), section 3; Rezende et al. 2014 (arXiv:1401.4082).
struct VaeConfig {
  int64_t latent_size = 20;
  EncoderChoice encoder{encoders, "mlp"};
  DecoderChoice decoder{decoders, "mlp"};
  PosteriorChoice posterior{posteriors, "normal"};
  PriorChoice prior{priors, "standard_normal"};
  LikelihoodChoice likelihood{likelihoods, "bernoulli"};
  OutputBias output_bias = OutputBias::init;

  template <class F>
  void fields(F& field) {
    field("latent_size", latent_size, "latent size D", between(1, 1 << 20));
    field("encoder", encoder, "network from x to features");
    field("decoder", decoder, "network from z to the likelihood's parameters");
    field("posterior", posterior, "q(z | x)");
    field("prior", prior, "p(z)");
    field("likelihood", likelihood, "p(x | z)");
    field("output_bias", output_bias, "start of the decoder's last bias: init, or data_mean (Burda et al. 2016)");
  }
};

/// Reads field `x`; a table's encoder gets its TableFeatures. Parameters: encoder.*, posterior.*, prior.*, decoder.*,
/// likelihood.*.
class Vae final : public Model, public Variational, public Samples, public Reconstructs, public Encodes, public Decodes {
 public:
  Vae(const VaeConfig& config, const ModelContext& context);

  std::string_view family() const override { return "variational"; }
  std::string summary() const override;

  Latents infer(const Batch& batch, int64_t K, Noise& noise) override;
  Latents prior(const Batch& batch, int64_t K, Noise& noise) override;
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override;
  std::vector<Tensor> inference_parameters() override;

  /// p(x | z). Shapes: z [..., D] -> batch [...], event of x.
  DistributionPtr decode(const Tensor& z);
  /// q(z | x), every element of x there. Shapes: x [B, event...] -> batch [B], event [D].
  DistributionPtr infer(const Tensor& x);

  Tensor sample(const Batch& given, double temperature, Noise& noise) override;
  Tensor reconstruct(const Batch& batch) override;
  Tensor encode(const Batch& batch) override;
  int64_t code_size() const override { return latent_size_; }
  Tensor decode_code(const Tensor& z, const Batch& given) override;

 private:
  DistributionPtr posterior_of(const Field& x);
  /// The likelihood's parameters. Shapes: [..., D] -> [..., parameter_shape...].
  Tensor decoded_parameters(const Tensor& z);

  int64_t latent_size_;
  std::optional<TableFeatures> table_ = {};
  std::shared_ptr<Encoder> encoder_;
  std::shared_ptr<Posterior> posterior_;
  std::shared_ptr<Prior> prior_;
  std::shared_ptr<Likelihood> likelihood_;
  std::shared_ptr<Decoder> decoder_;
};

std::shared_ptr<Model> make_vae(const VaeConfig& config, const ModelContext& context);

}  // namespace elbo
