#include "elbo/evaluation/metric.h"

#include <algorithm>
#include <cmath>

#include "elbo/evaluation/active_units.h"
#include "elbo/evaluation/bits_per_dim.h"
#include "elbo/evaluation/code_rate.h"
#include "elbo/evaluation/codebook.h"
#include "elbo/evaluation/coherence.h"
#include "elbo/evaluation/conformal.h"
#include "elbo/evaluation/frechet.h"
#include "elbo/evaluation/latent_classification.h"
#include "elbo/evaluation/likelihood.h"
#include "elbo/evaluation/mutual_information.h"
#include "elbo/evaluation/objective_bound.h"
#include "elbo/evaluation/psnr.h"
#include "elbo/evaluation/reconstruction_error.h"
#include "elbo/evaluation/ssim.h"
#include "elbo/evaluation/variational_bound.h"
#include "elbo/math/numeric.h"
#include "elbo/models/abilities.h"
#include "elbo/models/code_prior.h"

namespace elbo {
namespace {

std::string with_unit(const std::string& name, const std::string& unit) { return unit.empty() ? name : name + "_" + unit; }

}  // namespace

std::string Measurement::key() const { return with_unit(name, unit); }
std::string Measurement::error_key() const { return with_unit(name + "_standard_error", unit); }

Measurement measure(std::string name, std::string unit, const Tensor& per_example) {
  const auto [mean, standard_error] = mean_and_error(per_example);
  return {.name = std::move(name),
          .unit = std::move(unit),
          .value = mean,
          .standard_error = std::isnan(standard_error) ? std::nullopt : std::optional(standard_error),
          .per_example = per_example};
}

Catalog<Metric>& metrics() {
  static auto catalog =
      Catalog<Metric>("metric")
          .add("active_units", "Burda et al. 2016, section 5.2", make_active_units_metric)
          .add("bits_per_dim", "Theis et al. 2016, section 3.1", make_bits_per_dim_metric)
          .add("bound", "the objective's own bound", make_bound_metric)
          .add("code_rate", "bits of an example's codes under the model's prior", make_code_rate_metric)
          .add("codebook", "use of the codes over a split, quantisation error, rates", make_codebook_metric)
          .add("coherence", "Shi et al. 2019, section 4.1, by our own classifiers", make_coherence_metric)
          .add("conformal", "Lei et al. 2018 (arXiv:1604.04173): intervals of blocks, their coverage and width",
               make_conformal_metric)
          .add("elbo", "Kingma & Welling 2014, eq. 7", make_elbo_metric)
          .add("frechet_classifier", "Heusel et al. 2017, eq. 6, in features of our own classifiers: no FID",
               make_frechet_classifier_metric)
          .add("latent_classification", "Shi et al. 2019, section 4.1: a linear classifier of codes",
               make_latent_classification_metric)
          .add("log_likelihood", "Burda et al. 2016, eq. 8 at large K", make_log_likelihood_metric)
          .add("ms_ssim", "Wang et al. 2003, eq. 7", make_ms_ssim_metric)
          .add("mutual_information", "Hoffman & Johnson 2016, of the aggregate posterior", make_mutual_information_metric)
          .add("psnr", "10 log10(1 / mean squared error) of reconstructions", make_psnr_metric)
          .add("reconstruction_error", "mean squared error of reconstructions", make_reconstruction_error_metric)
          .add("ssim", "Wang et al. 2004, eq. 13", make_ssim_metric);
  return catalog;
}

std::vector<std::string> default_metrics(const Model& model, const DataSpec& spec) {
  const auto* reconstructs = dynamic_cast<const Reconstructs*>(&model);
  const bool quantized = dynamic_cast<const Quantized*>(&model);
  if (!quantized && (!reconstructs || dynamic_cast<const Variational*>(&model))) return {"elbo"};
  std::vector<std::string> names = {"bound"};
  if (quantized) names.emplace_back("codebook");
  if (dynamic_cast<const CodePriorModel*>(&model)) names = {"bound", "code_rate", "codebook"};
  const auto found = spec.find(reconstructs ? reconstructs->reconstructed_field() : "x");
  if (found == spec.end()) return names;
  const auto& x = found->second;
  if (quantized && found->first == "x" && (x.levels >= 2 || x.kind == ValueKind::binary)) names.emplace_back("bits_per_dim");
  if (!reconstructs) return names;
  names.emplace_back("reconstruction_error");
  if (x.kind != ValueKind::binary && x.kind != ValueKind::unit) return names;
  names.emplace_back("psnr");
  constexpr int64_t kWindowOfSsim = 11;
  if (x.shape.size() == 3 && std::min(x.shape[1], x.shape[2]) >= kWindowOfSsim) names.emplace_back("ssim");
  return names;
}

}  // namespace elbo
