#pragma once
#include <map>
#include <string>

#include "elbo/data/dataset.h"
#include "elbo/io/png.h"
#include "elbo/models/family.h"

namespace elbo {

/// What a model of several modalities shows, by modality: means of p(x_m | z), of classes the most probable one. Shapes:
/// [N, event...], on the host.
using ModalityValues = std::map<std::string, Tensor>;

/// For one draw of the latents a row, K = 1.
ModalityValues shown_values(Multimodal& model, const DataSpec& spec, const Latents& latents, const Batch& batch);

/// Draws given some of the modalities that `given` holds, or of the prior where it holds none; a component of the posterior and a
/// draw for each row. `temperature` scales the distance of z from the posterior's mean. Throws: UsageError where there is no
/// posterior given these.
ModalityValues conditional_samples(Multimodal& model, const DataSpec& spec, const Batch& given, double temperature, Noise& noise);

/// Each modality generated from each other one alone, and from all.
struct CrossGeneration {
  ModalityValues originals = {};
  std::vector<std::pair<Subset, ModalityValues>> generated = {};  // by what was given: single modalities, then all
};
/// Subsets without a posterior of their own are left out.
CrossGeneration cross_generation(Multimodal& model, const DataSpec& spec, const Batch& rows, Noise& noise);

// Pictures. A modality is drawn as the picture it is, a class as its number, a path (field path, [S, 8]) filled, and anything
// else as grey cells, a number each.

/// How many rows of data suit a picture of so many modalities.
int64_t cross_generation_rows(size_t num_modalities);

/// The first rows of a split that lack no modality; where there are none, the first rows of all. Needs `load`.
Batch whole_rows(const Multimodal& model, const Dataset& dataset, Split split, int64_t count);

/// For each source a block: its rows on the left, each with what is generated from it alone in every modality.
Image cross_generation_grid(const Multimodal& model, const DataSpec& spec, const CrossGeneration& crossing);

/// One row a modality: on the left what was given (of the first row), on the right the draws; more blocks below where one row of
/// draws would be too long. `turns`: row i was given what row i mod turns was; each turn has a block of its own.
Image modality_grid(const Multimodal& model, const DataSpec& spec, const ModalityValues& given, const ModalityValues& drawn,
                    int64_t turns = 1);

}  // namespace elbo
