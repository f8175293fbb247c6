#pragma once
#include "elbo/aggregators/subsets.h"

namespace elbo {

/// Of which subsets q(z | x_A) is made where not all modalities are asked for.
enum class GivenSubset {
  mixture,  // of the subsets within A: what a row that lacks the others gets in training
  product   // of A alone
};
constexpr auto enum_names(GivenSubset) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"mixture"sv, GivenSubset::mixture}, std::pair{"product"sv, GivenSubset::product}};
}

/// Mixture of the products of experts of many subsets. `full` with prior_expert full_only is the product of experts, `singles`
/// the mixture of experts.
/// Source: Sutter et al. 2021 (arXiv:2105.02470), eq. 3; their code has the prior as an expert of the full product only.
struct MopoeConfig {
  PriorExpert prior_expert = PriorExpert::full_only;
  SubsetChoice subsets = Subsets::all;
  GivenSubset given = GivenSubset::mixture;
  MixtureDraw draw = MixtureDraw::every;

  template <class F>
  void fields(F& field) {
    field("prior_expert", prior_expert,
          "N(0, I) as one more expert of the products: none, always, or full_only (of all modalities)");
    field("subsets", subsets, "which subsets: all, singles, full, or a list such as [[image], [image, label]]");
    field("given", given, "q(z | x_A) of some modalities A: the mixture over subsets of A, or the product of A alone");
    field("draw", draw,
          "samples of every component (31 of five modalities, each decoded) or of one a row, as the authors' code has");
  }
};
/// Throws: ConfigError for `all` of more than 10 modalities, or a list that is empty, repeats or names what is no modality.
std::shared_ptr<Aggregator> make_mopoe(const MopoeConfig& config, const AggregatorContext& context);

}  // namespace elbo
