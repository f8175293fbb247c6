#pragma once
#include <filesystem>

#include "elbo/data/dataset.h"
#include "elbo/data/options.h"

namespace elbo {

enum class Colour { rgb, grey };
constexpr auto enum_names(Colour) {
  return std::array{std::pair{std::string_view("rgb"), Colour::rgb}, std::pair{std::string_view("grey"), Colour::grey}};
}

enum class FolderLabels { none, folders };
constexpr auto enum_names(FolderLabels) {
  return std::array{std::pair{std::string_view("none"), FolderLabels::none},
                    std::pair{std::string_view("folders"), FolderLabels::folders}};
}

enum class FolderSplits { automatic, folders, seed };
constexpr auto enum_names(FolderSplits) {
  return std::array{std::pair{std::string_view("auto"), FolderSplits::automatic},
                    std::pair{std::string_view("folders"), FolderSplits::folders},
                    std::pair{std::string_view("seed"), FolderSplits::seed}};
}

/// What a file that can't be decoded does.
enum class Corrupt {
  stop,  // a DataError that names it
  skip,  // a warning that names it, once; the next row of its split that can be decoded stands in its place, label included
};
constexpr auto enum_names(Corrupt) {
  return std::array{std::pair{std::string_view("stop"), Corrupt::stop}, std::pair{std::string_view("skip"), Corrupt::skip}};
}

/// A folder of PNG and JPEG images, sub-folders included, in the order of their paths; decoded when they are needed by threads of
/// their own, never all in memory. An image is scaled (anti-aliased) until its shorter side is `size`, then cut to the square in
/// the middle. With sub-folders train, valid and test those are the splits (what is missing is drawn from train), else rows are
/// split by seed. Numbers depend on neither the threads nor the cache. Fields: x [C, size, size], grey levels in [0, 1]; label
/// with `labels: folders`, the first sub-folder's place among all.
struct ImageFolderConfig {
  DataOptions options = {};
  SplitOptions split = {};
  std::filesystem::path path = {};
  int64_t size = 64;
  Colour colour = Colour::rgb;
  FolderLabels labels = FolderLabels::none;
  FolderSplits splits = FolderSplits::automatic;
  Corrupt corrupt = Corrupt::stop;
  int64_t workers = 0;
  int64_t cache_bytes = int64_t{256} << 20;

  template <class F>
  void fields(F& field) {
    field("path", path, "the folder; relative to the data root", required, non_empty);
    field("size", size, "height and width of the images as a model sees them, in pixels", between(1, 4096));
    field("colour", colour, "rgb (grey images get three equal channels) or grey");
    field("labels", labels, "none, or folders: the name of the first sub-folder is the class");
    field("splits", splits, "folders train, valid and test, or by seed; auto takes the folders if there is one called train");
    field("corrupt", corrupt,
          "what a damaged file does: stop, or skip (named once; the next good row of its split takes its place)");
    field("workers", workers, "threads that decode ahead; 0 means one less than the processor has cores, at least one",
          between(0, 256));
    field("cache_bytes", cache_bytes, "memory for decoded images; those that don't fit are decoded whenever they are read",
          at_least(0));
    options.fields(field);
    split.fields(field);
  }
  void check(Relations& relations) const { split.check(relations); }
};

/// Throws: DataError when there are no images, a split has none, or one lies where its class can't be told.
std::shared_ptr<Dataset> make_image_folder(const ImageFolderConfig& config, const DataContext& context);

}  // namespace elbo
