#pragma once
#include "elbo/distributions/posterior.h"
#include "elbo/math/init.h"

namespace elbo {

/// How log-variances are kept in their bounds.
enum class Clamp {
  soft,  // lo + softplus(x - lo), likewise at the top: the gradient never dies; off by 5e-5 in the middle of [-10, 10]
  hard,  // exact between the bounds, no gradient beyond them
  none
};
constexpr auto enum_names(Clamp) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"soft"sv, Clamp::soft}, std::pair{"hard"sv, Clamp::hard}, std::pair{"none"sv, Clamp::none}};
}
Tensor clamp(const Tensor& x, Clamp how, double lo, double hi);

/// Diagonal normal q(z | x) by two linear heads, `mean` and `log_var`.
/// Source: Kingma & Welling 2014 (arXiv:1312.6114), eq. 9.
struct NormalPosteriorConfig {
  Clamp log_var_clamp = Clamp::soft;
  double log_var_min = -10;
  double log_var_max = 10;
  Init init = Init::pytorch;

  template <class F>
  void fields(F& field) {
    field("log_var_clamp", log_var_clamp,
          "how log-variances are kept in bounds: soft keeps a gradient beyond them, hard is exact between them");
    field("log_var_min", log_var_min, "lower bound of log-variances", between(-80, 80));
    field("log_var_max", log_var_max, "upper bound of log-variances", between(-80, 80));
    field("init", init, "initial weights of the heads");
  }
  void check(Relations& relations) const {
    if (log_var_min >= log_var_max) relations.problem("log_var_max", "must be above log_var_min");
  }
};

std::shared_ptr<Posterior> make_normal_posterior(const NormalPosteriorConfig& config, const PosteriorContext& context);

}  // namespace elbo
