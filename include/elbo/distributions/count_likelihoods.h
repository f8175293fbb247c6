#pragma once
#include <array>

#include "elbo/config/traits.h"
#include "elbo/distributions/likelihood.h"

namespace elbo {

/// Independent Poisson counts by the logarithm of their rate, for real fields that hold whole numbers from 0.
std::shared_ptr<Likelihood> make_poisson_likelihood(const NoConfig& config, const LikelihoodContext& context);

/// Where the inverse dispersion of a negative binomial comes from.
enum class CountDispersion {
  element,  // a learned parameter for each element of x
  decoder   // the decoder says one for each element of each example
};
constexpr auto enum_names(CountDispersion) {
  return std::array{std::pair{std::string_view("element"), CountDispersion::element},
                    std::pair{std::string_view("decoder"), CountDispersion::decoder}};
}

/// Independent negative binomial counts by the logarithm of their mean: variance mean + mean^2 / total_count.
/// Source: the count model of Lopez et al. 2018 (scVI, Nature Methods 15), without its zero inflation and library size.
struct NegativeBinomialLikelihoodConfig {
  CountDispersion dispersion = CountDispersion::element;

  template <class F>
  void fields(F& field) {
    field("dispersion", dispersion, "inverse dispersion: element, a parameter each element of x; decoder, given by the decoder");
  }
};

std::shared_ptr<Likelihood> make_negative_binomial_likelihood(const NegativeBinomialLikelihoodConfig& config,
                                                              const LikelihoodContext& context);

namespace detail {
/// log of the inverse dispersion, softly kept in [-10, 10]: beyond 10 it is a Poisson, below -10 all zeros.
Tensor bounded_log_count(const Tensor& x);
/// log of a mean of counts, kept from -inf.
Tensor safe_log(const Tensor& mean);
}  // namespace detail

}  // namespace elbo
