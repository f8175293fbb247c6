#include "elbo/optim/average.h"

#include <torch/types.h>

namespace elbo {

WeightAverage::WeightAverage(const FlatBuffers& buffers, double decay)
    : parameters_(buffers.parameters()), values_(buffers.parameters().clone()), weight_(1 - decay) {}

void WeightAverage::update(const Tensor& found_inf) {
  values_.lerp_(parameters_, ((1 - found_inf) * weight_).to(values_.scalar_type()));
}

AveragedWeights::AveragedWeights(const FlatBuffers& buffers, const WeightAverage& average)
    : parameters_(buffers.parameters()), raw_(buffers.parameters().clone()) {
  parameters_.copy_(average.values());
}

AveragedWeights::~AveragedWeights() { parameters_.copy_(raw_); }

}  // namespace elbo
