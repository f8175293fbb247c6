#pragma once
#include "elbo/data/spec.h"
#include "elbo/models/family.h"
#include "elbo/objectives/vq.h"

namespace elbo::detail {

/// One pass of a quantised model: what its objectives add to.
struct VqPass {
  Tensor distortion = {};                      // weighted -log p(x | codes) as it is optimised, reduced, [B]; its gradient lives
  double elements = 1;                         // numbers of x in an example
  std::vector<Observation> observations = {};  // p(x | codes)
  std::vector<Observation> continuous = {};    // p(x | what the quantisers give before they round), where they do
  LossTerms losses = {};                       // the objective `vq`
};
VqPass vq_pass(Quantized& model, const Batch& batch, Step& step, VqReduction reduction, double likelihood_weight = 1);

/// Pictures [C, H, W] with values in [0, 1].
bool holds_pictures(const FieldSpec& field);

/// The numbers of its quantisers that the trainer refills.
std::vector<Scheduled> scheduled_of(Quantized& model);

}  // namespace elbo::detail
