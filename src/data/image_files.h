#pragma once
#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "elbo/data/image_folder.h"

namespace elbo::detail {

struct ImageFile {
  std::string name = {};  // relative to the folder, with '/'
  int64_t label = 0;
};

/// What a listing tells.
struct ImageFiles {
  std::filesystem::path folder = {};
  std::array<std::vector<ImageFile>, 3> splits = {};  // in the order of Split, each sorted by name
  std::vector<std::string> classes = {};              // empty without labels
};

/// Throws: DataError.
ImageFiles list_images(const std::filesystem::path& folder, const ImageFolderConfig& config, uint64_t seed);

/// SHA-256 over the names and sizes of all files and the first and last 2 KiB of up to 10,000 of them, evenly spaced.
std::string fingerprint_of(const ImageFiles& files);

}  // namespace elbo::detail
