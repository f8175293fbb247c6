#pragma once
#include <map>
#include <string>
#include <vector>

#include "elbo/data/dataset.h"
#include "elbo/evaluation/modality_pictures.h"
#include "elbo/models/conditions.h"

namespace elbo {

/// What stands after --given, by field: label=0,1,2 are three values of label.
using GivenWords = std::map<std::string, std::vector<std::string>>;
/// Throws: UsageError where a word has no FIELD=.
GivenWords given_words(const std::vector<std::string>& options);
/// Whether some value is a row of a split, test:17.
bool reads_data(const GivenWords& words);

/// Throws: UsageError for what is no number of a class.
GivenClasses given_classes(const GivenWords& words);

/// Modalities to condition on, in `count` rows that take the values in turn.
struct GivenModalities {
  Batch rows = {};
  ModalityValues values = {};  // [turns, event...]
  int64_t turns = 1;
};
/// Each value is FILE.png, .jpg or .npy, the number of a class, or a row of a split such as test:17 (`dataset` must be loaded
/// then). Throws: UsageError that says what the modality holds.
GivenModalities given_modalities(const GivenWords& words, const Multimodal& model, const DataSpec& spec, const Dataset* dataset,
                                 int64_t count, at::Device device);

}  // namespace elbo
