#include "image_files.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/data/memory_dataset.h"
#include "elbo/io/sha256.h"

namespace elbo::detail {
namespace {

namespace fs = std::filesystem;

bool is_image(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

bool is_hidden(const fs::path& path) { return path.filename().string().starts_with("."); }

/// Relative to the folder, sorted. Links to folders are not followed: they may lead in circles.
std::vector<std::string> images_below(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::recursive_directory_iterator at(folder, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (is_hidden(at->path())) {
      at.disable_recursion_pending();
    } else if (is_image(at->path()) && at->is_regular_file(error)) {
      names.push_back(at->path().lexically_relative(folder).generic_string());
    }
  }
  if (error) throw DataError(folder.string() + ": can't be listed (" + error.message() + "); check its rights");
  std::sort(names.begin(), names.end());
  return names;
}

/// The names in one sub-folder, with it.
std::vector<std::string> within(const std::vector<std::string>& names, const std::string& sub) {
  const auto outside = [&](const std::string& name) { return !name.starts_with(sub + "/"); };
  std::vector<std::string> found;
  std::remove_copy_if(names.begin(), names.end(), std::back_inserter(found), outside);
  return found;
}

/// The first sub-folder below `base` ("" or "train/").
std::string class_of(const fs::path& folder, const std::string& name, size_t base) {
  const size_t end = name.find('/', base);
  if (end == std::string::npos) {
    throw DataError((folder / name).string() + ": lies in no sub-folder that tells its class; move it, or set labels: none");
  }
  return name.substr(base, end - base);
}

using Names = std::array<std::vector<std::string>, 3>;

Names names_of_folders(const fs::path& folder, const std::vector<std::string>& all) {
  Names names = {within(all, "train"), within(all, "valid"), within(all, "test")};
  const size_t taken = names[0].size() + names[1].size() + names[2].size();
  if (names[0].empty()) throw DataError((folder / "train").string() + ": no PNG or JPEG images in it or below");
  if (taken < all.size()) {
    log_warn(text(folder.string(), ": ", count_of(static_cast<int64_t>(all.size() - taken), "image"),
                  " outside of train, valid and test left alone"));
  }
  return names;
}

/// What folders don't give is cut from the training rows.
void split_by_seed(Names& names, const fs::path& folder, const SplitOptions& shares, uint64_t seed) {
  const auto num_rows = static_cast<int64_t>(names[0].size());
  const int64_t num_valid = names[1].empty() ? num_held_out(shares.valid_fraction, num_rows) : 0;
  const int64_t num_test = names[2].empty() ? num_held_out(shares.test_fraction, num_rows) : 0;
  if (num_valid + num_test >= num_rows) {
    throw DataError(text(folder.string(), ": only ", count_of(num_rows, "image"), ": too few to split in train, valid and test"));
  }
  const auto rows = split_rows(num_rows, num_valid, num_test, seed);
  const auto all = std::move(names[0]);
  names[0].clear();
  for (size_t split = 0; split < 3; ++split) {
    const auto places = rows[split].accessor<int64_t, 1>();
    for (int64_t i = 0; i < places.size(0); ++i) names[split].push_back(all[static_cast<size_t>(places[i])]);
  }
}

}  // namespace

ImageFiles list_images(const fs::path& folder, const ImageFolderConfig& config, uint64_t seed) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw DataError(folder.string() + ": no such folder; relative paths start at the data root, which --data-root sets");
  }
  auto all = images_below(folder);
  if (all.empty()) throw DataError(folder.string() + ": no PNG or JPEG images (.png, .jpg, .jpeg) in it or below");
  const bool from_folders = config.splits == FolderSplits::folders ||
                            (config.splits == FolderSplits::automatic && fs::is_directory(folder / "train", error));
  Names names;
  if (from_folders) {
    names = names_of_folders(folder, all);
  } else {
    names[0] = std::move(all);
  }
  const bool labelled = config.labels == FolderLabels::folders;
  const auto class_in = [&](const std::string& name) { return class_of(folder, name, from_folders ? name.find('/') + 1 : 0); };
  split_by_seed(names, folder, config.split, seed);

  ImageFiles files{.folder = folder};
  if (labelled) {
    std::set<std::string> classes;
    for (const auto& split : names) {
      for (const auto& name : split) classes.insert(class_in(name));
    }
    files.classes.assign(classes.begin(), classes.end());
  }
  for (size_t split = 0; split < 3; ++split) {
    for (auto& name : names[split]) {
      int64_t label = 0;
      if (labelled) {
        label = std::lower_bound(files.classes.begin(), files.classes.end(), class_in(name)) - files.classes.begin();
      }
      files.splits[split].push_back({std::move(name), label});
    }
  }
  return files;
}

std::string fingerprint_of(const ImageFiles& files) {
  constexpr int64_t kMostRead = 10000;
  constexpr int64_t kPiece = 2048;
  int64_t count = 0, number = 0;
  for (const auto& split : files.splits) count += static_cast<int64_t>(split.size());
  Sha256 hash;
  std::string piece;
  for (const auto& split : files.splits) {
    hash.update(text("split ", split.size(), "\n"));
    for (const auto& file : split) {
      const auto path = files.folder / file.name;
      std::error_code error;
      const auto size = static_cast<int64_t>(fs::file_size(path, error));
      hash.update(text(file.name, " ", file.label, " ", error ? -1 : size, "\n"));
      // Evenly: the files where number * most / count goes up by one.
      const bool chosen = count <= kMostRead || (number + 1) * kMostRead / count > number * kMostRead / count;
      ++number;
      if (!chosen) continue;
      std::ifstream in(path, std::ios::binary);
      for (const int64_t begin : {int64_t{0}, std::max<int64_t>(kPiece, size - kPiece)}) {
        piece.resize(static_cast<size_t>(kPiece));
        in.clear();
        in.seekg(begin);
        in.read(piece.data(), kPiece);
        hash.update(std::string_view(piece).substr(0, static_cast<size_t>(std::max<std::streamsize>(0, in.gcount()))));
      }
    }
  }
  return hash.hex();
}

}  // namespace elbo::detail
