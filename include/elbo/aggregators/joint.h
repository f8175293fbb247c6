#pragma once
#include "elbo/aggregators/aggregator.h"

namespace elbo {

/// One encoder of all modalities together: their features side by side, one posterior head. With unimodal encoders, any subset
/// has a posterior: the product of theirs.
/// Source: Suzuki et al. 2016 (arXiv:1611.01891), sections 2.2 and 2.4.
struct JointConfig {
  bool unimodal_encoders = true;

  template <class F>
  void fields(F& field) {
    field("unimodal_encoders", unimodal_encoders,
          "encoders of each modality alone beside the joint one: what jmvae and telbo train, and what a subset is encoded by");
  }
};
std::shared_ptr<Aggregator> make_joint(const JointConfig& config, const AggregatorContext& context);

}  // namespace elbo
