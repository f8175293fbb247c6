#pragma once
#include "elbo/experiment/experiment.h"
#include "given.h"

namespace elbo {

/// The model as one of several modalities; null where it is none, or has but one.
Multimodal* multimodal(Model& model);

/// elbo sample and elbo reconstruct of such a model, into a .png or an .npz.
struct SampleModalities {
  std::string out = {};
  int64_t count = 16;
  double temperature = 1;
  uint64_t seed = 0;
  GivenWords given = {};
};
void sample_modalities(const OpenedRun& opened, Multimodal& model, const SampleModalities& what);

struct CrossModalities {
  std::string out = {};
  std::optional<int64_t> count = {};
  Split split = Split::test;
};
void cross_modalities(const OpenedRun& opened, Multimodal& model, const CrossModalities& what);

}  // namespace elbo
