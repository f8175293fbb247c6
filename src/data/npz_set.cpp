#include "elbo/data/npz_set.h"

#include "arrays.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/npy.h"

namespace elbo {
namespace {

using Archive = std::shared_ptr<const NpzReader>;

/// `name` itself, or its array of one split.
std::string split_name(const std::string& name, const std::string& split) { return name.empty() ? split : name + "_" + split; }

detail::ArrayRef npz_array(const Archive& archive, const std::filesystem::path& path, const std::string& name) {
  if (!archive->contains(name)) {
    throw DataError(path.string() + ": no array '" + name + "'" +
                    did_you_mean(name, archive->names(), "it has " + join(archive->names(), ", ")));
  }
  const auto header = archive->header(name);
  return {.where = path.string() + ": array '" + name + "'",
          .dtype = header.dtype,
          .shape = header.shape,
          .read = [path, name] { return NpzReader(path).read(name); },
          .extents_offset = {},
          .data_offset = {}};
}

}  // namespace

std::shared_ptr<Dataset> make_npz(const NpzConfig& config, const DataContext& context) {
  const auto path = context.root / config.path;
  detail::check_exists(path, "relative paths start at the data root, which --data-root sets");
  const auto archive = std::make_shared<const NpzReader>(path);
  const auto part = [&](const std::string& x, const std::string& label) {
    detail::Part both{.x = npz_array(archive, path, x), .label = {}};
    if (!config.label.empty()) both.label = npz_array(archive, path, label);
    return both;
  };
  const auto part_of = [&](const std::string& split) {
    return part(split_name(config.x, split), split_name(config.label, split));
  };
  const auto has = [&](const std::string& split) { return archive->contains(split_name(config.x, split)); };

  detail::Parts parts;
  if (!config.x.empty() && (archive->contains(config.x) || !has("train"))) {
    parts.train = part(config.x, config.label);
  } else {
    parts.train = part_of("train");
    if (has("valid")) parts.valid = part_of("valid");
    if (has("test")) parts.test = part_of("test");
  }
  auto source = row_source(std::move(parts),
                           {.values = config.values,
                            .classes = config.classes,
                            .num_valid = [share = config.split.valid_fraction](int64_t n) { return num_held_out(share, n); },
                            .num_test = [share = config.split.test_fraction](int64_t n) { return num_held_out(share, n); },
                            .seed = context.seed});
  return std::make_shared<MemoryDataset>(std::move(source), config.options, context.seed);
}

}  // namespace elbo
