#include "elbo/data/idx_sets.h"

#include "arrays.h"
#include "elbo/base/error.h"
#include "elbo/io/idx.h"

namespace elbo {
namespace {

detail::ArrayRef idx_array(const std::filesystem::path& path, const std::string& what_to_do) {
  detail::check_exists(path, what_to_do);
  const auto header = read_idx_header(path);
  return {.where = path.string(),
          .dtype = header.dtype,
          .shape = header.shape,
          .read = [path] { return read_idx(path); },
          .extents_offset = 4,
          .data_offset = 4 + 4 * static_cast<int64_t>(header.shape.size())};
}

/// The file, or the gzipped one where only that is there.
std::filesystem::path plain_or_gzipped(const std::filesystem::path& path) {
  std::error_code error;
  const std::filesystem::path gzipped = path.string() + ".gz";
  return !std::filesystem::exists(path, error) && std::filesystem::exists(gzipped, error) ? gzipped : path;
}

detail::Part mnist_part(const std::filesystem::path& folder, const std::string& prefix) {
  const std::string what_to_do = "get it with: scripts/fetch_data.sh " + folder.filename().string() +
                                 ", or name the folder that holds " + folder.filename().string() + "/ with --data-root";
  const auto file = [&](const std::string& name) { return idx_array(plain_or_gzipped(folder / (prefix + name)), what_to_do); };
  detail::Part part{.x = file("-images-idx3-ubyte"), .label = file("-labels-idx1-ubyte")};
  const Shape expected = {part.x.shape.empty() ? 0 : part.x.shape[0], 28, 28};
  if (part.x.dtype != DType::u8 || part.x.shape != expected) {
    throw DataError(part.x.where + ": byte 2: " + std::string(name_of(part.x.dtype)) + " " + shape_text(part.x.shape) +
                    "; uint8 images [N, 28, 28] expected");
  }
  return part;
}

std::shared_ptr<Dataset> make_mnist_like(const std::string& name, const MnistConfig& config, const DataContext& context) {
  const auto folder = context.root / name;
  detail::Parts parts{.train = mnist_part(folder, "train"), .valid = {}, .test = mnist_part(folder, "t10k")};
  auto source = row_source(std::move(parts), {.num_valid = [valid = config.valid](int64_t) { return valid; },
                                              .num_test = [](int64_t) { return 0; },
                                              .seed = context.seed});
  return std::make_shared<MemoryDataset>(std::move(source), config.options, context.seed);
}

}  // namespace

std::shared_ptr<Dataset> make_mnist(const MnistConfig& config, const DataContext& context) {
  return make_mnist_like("mnist", config, context);
}

std::shared_ptr<Dataset> make_fashion_mnist(const MnistConfig& config, const DataContext& context) {
  return make_mnist_like("fashion_mnist", config, context);
}

void IdxConfig::check(Relations& relations) const {
  split.check(relations);
  if (test_images.empty() && !test_labels.empty()) relations.problem("test_labels", "given without test_images");
  if (!test_images.empty() && labels.empty() != test_labels.empty()) {
    relations.problem("test_labels", "labels and test_labels go together");
  }
}

std::shared_ptr<Dataset> make_idx(const IdxConfig& config, const DataContext& context) {
  const auto part = [&](const std::filesystem::path& images, const std::filesystem::path& labels) {
    const std::string what_to_do = "relative paths start at the data root, which --data-root sets";
    detail::Part both{.x = idx_array(context.root / images, what_to_do), .label = {}};
    if (!labels.empty()) both.label = idx_array(context.root / labels, what_to_do);
    return both;
  };
  detail::Parts parts{.train = part(config.images, config.labels), .valid = {}, .test = {}};
  if (!config.test_images.empty()) parts.test = part(config.test_images, config.test_labels);
  auto source = row_source(std::move(parts),
                           {.values = config.values,
                            .classes = config.classes,
                            .num_valid = [share = config.split.valid_fraction](int64_t n) { return num_held_out(share, n); },
                            .num_test = [share = config.split.test_fraction](int64_t n) { return num_held_out(share, n); },
                            .seed = context.seed});
  return std::make_shared<MemoryDataset>(std::move(source), config.options, context.seed);
}

}  // namespace elbo
