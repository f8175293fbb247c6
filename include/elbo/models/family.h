#pragma once
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "elbo/aggregators/aggregator.h"
#include "elbo/data/batch.h"
#include "elbo/distributions/distribution.h"
#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// One layer of latent variables: the posterior it was drawn from, its prior, and the draw.
struct Latent {
  std::string name = "z";
  DistributionPtr q = nullptr;
  DistributionPtr p = nullptr;
  Tensor z = {};  // [K, B, D], or [R = S, K, B, D] drawn from the components of a mixture
};

/// A joint draw of all latent layers, top layer first.
struct Latents {
  std::vector<Latent> layers = {};
  /// Log-probability of each stratum, [S, 1, B]: -inf where a component is unavailable. Undefined = uniform over the strata.
  Tensor log_weight = {};
};

/// What the model says about one modality given the latents.
struct Observation {
  std::string name = "x";
  DistributionPtr likelihood = nullptr;
  Tensor target = {};  // [B, event...]
  double weight = 1;
  Tensor mask = {};   // [B] bool: where the modality is there; undefined = everywhere
  Tensor valid = {};  // [B, event...] bool: elements that were observed; undefined = all
  /// What bounds are reported with where `likelihood` is a surrogate that has seen the target; null = likelihood itself.
  DistributionPtr reported = nullptr;
};

/// Models with latent variables, a prior and an inference network: vae, hierarchical_vae, multimodal_vae.
class Variational {
 public:
  virtual ~Variational() = default;
  /// Draws K posterior samples an example; z is [K, B, D] and carries gradients.
  virtual Latents infer(const Batch& batch, int64_t K, Noise& noise) = 0;
  /// Draws from the prior; `batch` gives conditions and the number of rows.
  virtual Latents prior(const Batch& batch, int64_t K, Noise& noise) = 0;
  virtual std::vector<Observation> decode(const Latents& latents, const Batch& batch) = 0;
  /// Parameters of q: what STL, DReG and PIWAE treat differently.
  virtual std::vector<Tensor> inference_parameters() = 0;
};

/// Variational models of several modalities, any of which may be missing: multimodal_vae. An objective that combines encoders in
/// its own way is built on this; all others are on Variational and never see the aggregation.
class Multimodal {
 public:
  virtual ~Multimodal() = default;
  /// Sorted by name.
  virtual const Subset& modalities() const = 0;
  virtual const Aggregator& aggregator() const = 0;
  /// The field of a batch that holds the modality.
  virtual std::string field_of(const std::string& modality) const { return modality; }

  /// Runs the encoders of these modalities, and no others, once. With a joint encoder, that one too where all are given.
  virtual std::vector<Expert> experts(const Batch& batch, const Subset& given) = 0;
  /// q(z | experts), and where there are private latents a layer "private.NAME" of every modality: from its encoder where it is
  /// given and present, else from the prior. Nothing is drawn.
  virtual Latents posterior(const Batch& batch, const std::vector<Expert>& experts) = 0;
  /// The parameters of an expert's encoder and heads: of a modality, or kJointExpert.
  virtual std::vector<Tensor> encoder_parameters(const std::string& expert) = 0;
  /// p(z) or, by a layer's name, p of private latents.
  virtual DistributionPtr prior_of(const std::string& layer, int64_t B) = 0;
  /// As generation does it: a component of q(z | x_given) a row and sample. Shapes: z [K, B, D].
  virtual Latents condition(const Batch& batch, const Subset& given, int64_t K, Noise& noise) = 0;
  /// p(x_m | z, private.m) for each of the targets. Shapes: layers' z [..., B, D].
  virtual std::vector<Observation> decode(const Latents& latents, const Batch& batch, const Subset& targets) = 0;
};

/// One level of a quantised model: its codes may have a resolution of their own.
struct CodeLevel {
  std::string name = "codes";
  Tensor tokens = {};  // what was quantised, [B, ..., input_size], detached
  Quantization quantization = {};
};

/// Models whose latents are discrete codes: vq_vae, vq_vae_2.
class Quantized {
 public:
  virtual ~Quantized() = default;
  /// Top level first. In training the quantisers keep what after_step learns from.
  virtual std::vector<CodeLevel> quantize(const Batch& batch, Step& step) = 0;
  /// Codes of each level, int64 [B, ..., G]; deterministic, changes nothing.
  virtual std::vector<Tensor> codes(const Batch& batch) = 0;
  /// p(x | values); `values` holds each level's [B, ..., D].
  virtual std::vector<Observation> decode(const std::vector<Tensor>& values, const Batch& batch) = 0;
  /// One a level, in their order.
  virtual std::vector<Quantizer*> quantizers() = 0;
  /// What an example's codes cost: the quantisers' own lengths, T log V before a prior is learnt. A prior whose length is a bound
  /// draws from `noise`. Shapes: codes of each level int64 [B, ..., G] -> [B]. Units: nats.
  virtual Tensor code_length(const std::vector<Tensor>& codes, const Batch& batch, Noise& noise);
  /// The trained weight of the layer that gives p(x | values), as Decoder::output_weight().
  virtual Tensor output_weight() { return {}; }
};

/// Draws z of every layer, all layers in the strata of the one that is a mixture. Shapes: z [K, B, D]; with a StratifiedMixture
/// [S, K, B, D] and log_weight.
Latents drawn(Latents latents, int64_t B, int64_t K, Noise& noise);

// ---- how objectives combine samples: they never branch on the aggregation ----

/// log p(x | z) of all modalities, absent rows left out. Shapes: [K, B] or [S, K, B]. Units: nats.
Tensor log_likelihood(const std::vector<Observation>& observations);

/// The same by what is reported: a proper likelihood even where training optimises a surrogate. `optimised` is log_likelihood()
/// of the same observations, returned as it is where nothing differs.
Tensor reported_log_likelihood(const std::vector<Observation>& observations, const Tensor& optimised);

/// Which of the log-densities enter log_weights with their parameters cut off.
enum class PosteriorGradient { live, detached };

/// log p(x, z) - log q(z | x), Monte Carlo in every term. Shapes: [K, B] or [S, K, B]. Units: nats.
/// `detached` evaluates log q with q's parameters cut off and z live: the first half of STL and DReG.
Tensor log_weights(const Latents& latents, const Tensor& log_likelihood, PosteriorGradient gradient = PosteriorGradient::live);

/// Mean over samples (and strata, by log_weight) of t. Shapes: [K, B] or [S, K, B] -> [B]. Unavailable strata are skipped by
/// `where`, so that a missing row's NaN cannot leak into the others or into the gradient.
Tensor average(const Latents& latents, const Tensor& t);

/// What becomes of the strata of a mixture under the logarithm of an importance-weighted bound.
enum class Strata {
  together,  // one log-mean over samples and strata: tight
  apart      // the mean over strata of one log-mean each: looser (Shi et al. 2019)
};
constexpr auto enum_names(Strata) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"tight"sv, Strata::together}, std::pair{"looser"sv, Strata::apart}};
}

/// log of the mean over samples (and strata) of exp(log_w). Shapes: [K, B] or [S, K, B] -> [B].
Tensor log_mean_exp(const Latents& latents, const Tensor& log_w, Strata strata = Strata::together);

/// The share of each sample in the gradient of log_mean_exp: w / sum w, over all strata or within each. Detached. Shapes: as
/// log_w.
Tensor normalised_weights(const Latents& latents, const Tensor& log_w, Strata strata = Strata::together);

}  // namespace elbo
