#pragma once
#include "elbo/models/family.h"
#include "elbo/objectives/objective.h"

namespace elbo {

/// Negative ELBOs of several subsets A of the modalities, added: all, each alone, and random ones of 2 to M - 1 (drawn for each
/// row by itself); each reconstructs its own members and no others. For model.aggregation {type: poe}.
/// Source: Wu & Goodman 2018 (arXiv:1802.05335), eq. 5 and section 2.2 (sub-sampled training); their sum over subsets isn't
/// divided either. Rows without any member of A add nothing for it. Units: nats per example. Terms: bound (the ELBO of all
/// modalities, weights 1), reconstruction, kl.
/// Throws: ConfigError for another aggregation.
struct SubsetElboConfig {
  bool singles = true;
  int64_t random_subsets = 1;
  ScheduledNumber beta = scheduled_number(1);
  int64_t samples = 1;

  template <class F>
  void fields(F& field) {
    field("singles", singles, "an ELBO of each modality alone");
    field("random_subsets", random_subsets, "ELBOs of random subsets of 2 to M - 1 modalities; none are made for M = 2",
          between(0, 1000));
    field("beta", beta, "weight of the divergences", at_least(0));
    field("samples", samples, "posterior samples K an example and subset", between(1, 100'000));
  }
};

std::shared_ptr<Objective> make_subset_elbo(const SubsetElboConfig& config, Multimodal& model, const ObjectiveContext& context);

}  // namespace elbo
