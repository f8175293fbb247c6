#pragma once
#include "elbo/distributions/likelihood.h"

namespace elbo {

/// What turns a decoder's output into a normal's mean.
enum class MeanActivation { identity, sigmoid };
constexpr auto enum_names(MeanActivation) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"identity"sv, MeanActivation::identity}, std::pair{"sigmoid"sv, MeanActivation::sigmoid}};
}

/// Independent normal variables of one fixed standard deviation: N(activation(output), scale^2).
/// Source: Kingma & Welling 2014 (arXiv:1312.6114), appendix C.2, with sigmoid for data in [0, 1].
struct NormalLikelihoodConfig {
  double scale = 1;
  MeanActivation mean = MeanActivation::identity;

  template <class F>
  void fields(F& field) {
    field("scale", scale, "fixed standard deviation; half of 1/scale^2 weighs the squared error", more_than(0));
    field("mean", mean, "how the decoder's output becomes the mean; sigmoid keeps it in [0, 1]");
  }
};

std::shared_ptr<Likelihood> make_normal_likelihood(const NormalLikelihoodConfig& config, const LikelihoodContext& context);

}  // namespace elbo
