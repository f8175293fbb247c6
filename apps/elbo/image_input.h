#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "elbo/experiment/codec.h"
#include "elbo/experiment/experiment.h"

namespace elbo {

/// Images that were named on the command line, as a model reads them.
struct ImageInput {
  int64_t count = 0;
  std::vector<std::string> names = {};            // of picture files, no two with the same stem; or none
  std::vector<std::filesystem::path> files = {};  // all that was named, also beyond the limit; of a split or standard input none
  ImageRows rows = {};                            // must not outlive the run
};

/// Whether a word is a split of the run's data, split:test.
bool names_a_split(const std::string& word);

/// Each word is a PNG or JPEG, or a folder of them with all that lies below it, in order of names; or one word alone is an .npy
/// or .npz (array x or the only one), split:NAME, or - for standard input, which holds a picture, an .npy or an .npz. `limit` of
/// all the images, 0 = no limit. Throws: UsageError, DataError with the file's name for what isn't the model's size and channels
/// (when rows are asked for).
ImageInput image_input(const std::vector<std::string>& words, const OpenedRun& run, const Codec& codec, int64_t limit);

/// "a grey picture of 28 x 28 pixels".
std::string contents_of(const FieldSpec& x);
bool reads_pictures(const FieldSpec& x);

}  // namespace elbo
