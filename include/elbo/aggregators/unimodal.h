#pragma once
#include "elbo/aggregators/aggregator.h"

namespace elbo {

/// One modality encodes, all are decoded: the baseline that shows what the others add. Only that one has an encoder.
/// Source: Daunhawer et al. 2022 (arXiv:2110.04121), section 3, S = {{m}}.
struct UnimodalConfig {
  std::string modality = {};

  template <class F>
  void fields(F& field) {
    field("modality", modality, "the one that is encoded; empty = the first by name");
  }
};
/// Throws: ConfigError for what is no modality.
std::shared_ptr<Aggregator> make_unimodal(const UnimodalConfig& config, const AggregatorContext& context);

}  // namespace elbo
