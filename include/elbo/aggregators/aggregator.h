#pragma once
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"
#include "elbo/distributions/stratified_mixture.h"

namespace elbo {

/// Some of a model's modalities, by name, in the model's order.
using Subset = std::vector<std::string>;

/// The expert that has seen all modalities together: of aggregations with a joint encoder.
inline constexpr std::string_view kJointExpert = "joint";

enum class ExpertFamily { normal, laplace };

/// What one encoder says of a batch. Absent rows hold finite numbers that carry no gradient.
struct Expert {
  std::string name = {};
  Tensor mean = {};     // [B, D]; undefined where the encoder is for private latents alone
  Tensor log_var = {};  // [B, D]: of the variance, in either family
  Tensor present = {};  // [B] bool; undefined = everywhere
  ExpertFamily family = ExpertFamily::normal;
  DistributionPtr own = nullptr;  // q(w_m | x_m) of private latents, batch [B]; where absent their prior

  /// q(z | x_m). Shapes: batch [B], event [D].
  DistributionPtr distribution() const;
};

/// Reads the expert out of a posterior; where it is absent it is `absent`, by default N(0, I). Throws: ConfigError for another
/// family.
Expert expert_of(std::string name, const Distribution& posterior, const Tensor& present, const Distribution* absent = nullptr);

/// The mean and variance of this family. Shapes: [..., B, D].
DistributionPtr make_distribution(ExpertFamily family, Tensor mean, Tensor log_var);

/// Where N(0, I) is a further expert of a product.
enum class PriorExpert {
  none,
  always,
  full_only  // only where all modalities take part
};
constexpr auto enum_names(PriorExpert) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"none"sv, PriorExpert::none}, std::pair{"always"sv, PriorExpert::always},
                    std::pair{"full_only"sv, PriorExpert::full_only}};
}

/// What training draws of a mixture. One a row is unbiased too, and costs as much as a posterior that is none.
enum class MixtureDraw {
  every,  // a sample of each component
  one     // a component a row, by its weight, and a sample of it
};
constexpr auto enum_names(MixtureDraw) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"every"sv, MixtureDraw::every}, std::pair{"one"sv, MixtureDraw::one}};
}

/// Precision-weighted product of normal experts, in log space: log_var = -logsumexp(-log_var_m), mean by the softmax of
/// -log_var_m. Absent experts leave through their logits; where nothing is left the product is N(0, I).
/// Source: Hinton 2002 (products of experts); Wu & Goodman 2018 (arXiv:1802.05335), section 2.2.
/// `prior` [B] bool: rows with N(0, I) as one more expert; undefined = none.
Expert product(const std::vector<Expert>& experts, const Tensor& prior = {});

/// How q(z | x_A) is made of experts: a uniform mixture of products of experts, one for each subset that counts. Product of
/// experts (one subset), mixture of experts (singles) and all between are settings of this one type.
class Aggregator {
 public:
  virtual ~Aggregator() = default;

  /// Modalities with an encoder of their own.
  virtual Subset sources() const = 0;
  /// Whether one encoder sees all modalities together.
  virtual bool has_joint() const { return false; }
  /// "poe", "moe", …
  virtual std::string_view name() const = 0;

  /// q(z | experts): a mixture by draw(), or one component itself where there is but one. A component whose members are not all
  /// there has log-weight -inf, the rest are weighted equally; a row without any gets N(0, I). Shapes: batch [B], event [D].
  /// Throws: UsageError where nothing is made of these experts.
  DistributionPtr posterior(const std::vector<Expert>& experts) const;

  /// The products that are mixed when these experts are given.
  virtual std::vector<Subset> components(const Subset& given) const = 0;
  virtual PriorExpert prior_expert() const { return PriorExpert::none; }
  /// Whether a product may lack members in a row (PoE drops them), or is then unavailable (MoE, MoPoE).
  virtual bool drops_absent() const { return false; }
  /// Whether a mixture draws a sample of every component, or of one a row.
  virtual MixtureDraw draw() const { return MixtureDraw::every; }

  explicit Aggregator(Subset modalities) : modalities_(std::move(modalities)) {}
  const Subset& modalities() const { return modalities_; }

 private:
  Subset modalities_;
};

struct AggregatorContext {
  Subset modalities = {};
};

/// The axis `aggregator`: joint, moe, mopoe, poe, unimodal.
Catalog<Aggregator, const AggregatorContext&>& aggregators();
using AggregatorChoice = Choice<Aggregator, const AggregatorContext&>;

}  // namespace elbo
