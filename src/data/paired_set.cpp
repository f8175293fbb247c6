#include "elbo/data/paired_set.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/memory_dataset.h"
#include "elbo/io/jpeg.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"
#include "fit_image.h"
#include "manifest.h"

namespace elbo {
namespace {

using detail::Manifest;
using detail::ManifestColumn;

/// `make(row, path)` for every row that has the column's file; what is wrong with a file is said at its line.
template <class Make>
void for_each_file(const Manifest& manifest, const ManifestColumn& column, const Make& make) {
  at::parallel_for(0, manifest.num_rows(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      if (!manifest.has(column, row)) continue;
      try {
        make(row, manifest.folder / column.files[static_cast<size_t>(row)]);
      } catch (const DataError& error) {
        throw DataError(manifest.where(column, row) + ": " + error.what());
      }
    }
  });
}

Tensor read_images(const Manifest& manifest, const ManifestColumn& column, const FieldSpec& spec) {
  const auto size = static_cast<int>(column.config.size), channels = static_cast<int>(spec.shape[0]);
  Tensor images = torch::zeros(joined({manifest.num_rows()}, spec.shape), torch::kByte);
  const auto num_bytes = static_cast<size_t>(channels * size * size);
  for_each_file(manifest, column, [&](int64_t row, const std::filesystem::path& path) {
    const auto image = read_image(path, {.least_side = 2 * size, .grey = channels == 1});
    detail::fit_image(image, size, channels, {images.data_ptr<uint8_t>() + row * static_cast<int64_t>(num_bytes), num_bytes});
  });
  return images;
}

bool is_bytes(DType type) { return type == DType::u8 || type == DType::boolean; }

Tensor read_files_of_arrays(const Manifest& manifest, const ManifestColumn& column, const FieldSpec& spec, DType type) {
  Tensor arrays = torch::zeros(joined({manifest.num_rows()}, spec.shape), is_bytes(type) ? torch::kByte : torch::kFloat);
  for_each_file(manifest, column, [&](int64_t row, const std::filesystem::path& path) {
    const auto header = read_npy_header(path);
    if (header.shape != spec.shape || header.dtype != type) {
      throw DataError(text(path.string(), ": ", name_of(header.dtype), " ", shape_text(header.shape), "; ", name_of(type), " ",
                           shape_text(spec.shape), " expected, as the first file of the column"));
    }
    const Tensor values = to_tensor(read_npy(path)).to(arrays.scalar_type());
    const bool right = spec.kind == ValueKind::binary         ? values.eq(0).logical_or(values.eq(1)).all().item<bool>()
                       : values.scalar_type() == torch::kByte ? true
                       : spec.kind == ValueKind::unit         ? values.ge(0).logical_and(values.le(1)).all().item<bool>()
                                                              : values.isfinite().all().item<bool>();
    if (!right) {
      throw DataError(path.string() + ": other numbers than " +
                      (spec.kind == ValueKind::binary ? "0 and 1"
                       : spec.kind == ValueKind::unit ? "those in [0, 1]"
                                                      : "finite ones"));
    }
    arrays[row].copy_(values);
  });
  return arrays;
}

NpyHeader first_header(const Manifest& manifest, const ManifestColumn& column) {
  for (int64_t row = 0; row < manifest.num_rows(); ++row) {
    if (!manifest.has(column, row)) continue;
    try {
      return read_npy_header(manifest.folder / column.files[static_cast<size_t>(row)]);
    } catch (const DataError& error) {
      throw DataError(manifest.where(column, row) + ": " + error.what());
    }
  }
  return {};
}

FieldSpec array_spec(const Manifest& manifest, const ManifestColumn& column, const NpyHeader& header) {
  const bool floating = header.dtype == DType::f16 || header.dtype == DType::f32 || header.dtype == DType::f64;
  if (!floating && !is_bytes(header.dtype)) {
    throw DataError(text(manifest.path.string(), ": column ", in_quotes(column.config.name), ": its files hold ",
                         name_of(header.dtype), "; uint8, bool, float16, float32 or float64 expected"));
  }
  const auto values = column.config.values;
  FieldSpec spec{.shape = header.shape};
  spec.kind = values == Values::binary || header.dtype == DType::boolean           ? ValueKind::binary
              : values == Values::real                                             ? ValueKind::real
              : values == Values::unit || (header.dtype == DType::u8 && !floating) ? ValueKind::unit
                                                                                   : ValueKind::real;
  if (spec.kind == ValueKind::unit && header.dtype == DType::u8) spec.levels = 256;
  return spec;
}

/// [N], zeros where there are gaps.
Tensor cells_without_gaps(const ManifestColumn& column) {
  const auto n = static_cast<int64_t>(column.cells.size());
  return torch::from_blob(const_cast<double*>(column.cells.data()), {n}, torch::kDouble).clone().nan_to_num_(0);
}

struct PairedField {
  FieldSpec spec = {};
  std::function<Tensor()> read = {};
  int64_t num_bytes = 0;  // of a row
};

PairedField number_field(const Manifest& manifest, const ManifestColumn& column, const Tensor& present, const Tensor& train) {
  Column described{.name = column.config.name};
  const Tensor cells = cells_without_gaps(column);
  if (column.config.standardise) {
    const Tensor seen = cells.index_select(0, train).masked_select(present.index_select(0, train));
    described.mean = seen.numel() > 0 ? seen.mean().item<double>() : 0;
    const double spread = seen.numel() > 0 ? seen.std(/*unbiased=*/false).item<double>() : 0;
    if (!std::isfinite(described.mean) || !std::isfinite(spread)) {
      throw DataError(manifest.path.string() + ": column " + in_quotes(column.config.name) +
                      ": numbers too large to be standardised; scale the column");
    }
    described.scale = spread > 1e-12 * std::abs(described.mean) ? spread : 1;
  }
  const Tensor values = cells.sub(described.mean).div(described.scale).to(torch::kFloat).unsqueeze(1);
  return {.spec = {.shape = {1}, .kind = ValueKind::real, .columns = {described}},
          .read = [values] { return values; },
          .num_bytes = 4};
}

PairedField category_field(const ManifestColumn& column) {
  const auto num_classes = static_cast<int64_t>(column.classes.size());
  const Tensor places = cells_without_gaps(column).to(num_classes <= 256 ? torch::kByte : torch::kLong);
  return {.spec = {.shape = {},
                   .kind = ValueKind::category,
                   .num_classes = num_classes,
                   .columns = {{.name = column.config.name, .kind = ColumnKind::category, .classes = column.classes}}},
          .read = [places] { return places; },
          .num_bytes = 8};
}

PairedField file_field(const std::shared_ptr<const Manifest>& manifest, const ManifestColumn& column) {
  PairedField field;
  if (column.config.type == PairedColumnType::image) {
    const int64_t size = column.config.size;
    field.spec = {.shape = {column.config.colour == Colour::rgb ? 3 : 1, size, size}, .kind = ValueKind::unit, .levels = 256};
    field.read = [manifest, &column, spec = field.spec] { return read_images(*manifest, column, spec); };
    field.num_bytes = num_elements(field.spec.shape);
  } else {
    const auto header = first_header(*manifest, column);
    field.spec = array_spec(*manifest, column, header);
    field.read = [manifest, &column, spec = field.spec, type = header.dtype] {
      return read_files_of_arrays(*manifest, column, spec, type);
    };
    field.num_bytes = num_elements(field.spec.shape) * (is_bytes(header.dtype) ? 1 : 4);
  }
  return field;
}

/// By the column that says it, what it doesn't give cut from the training rows; else by seed.
std::array<Tensor, 3> manifest_rows(const Manifest& manifest, const SplitOptions& shares, uint64_t seed) {
  std::array<std::vector<int64_t>, 3> given;
  for (int64_t row = 0; row < manifest.num_rows(); ++row) {
    const auto split = manifest.splits.empty() ? Split::train : manifest.splits[static_cast<size_t>(row)];
    given[static_cast<size_t>(split)].push_back(row);
  }
  const auto num_train = static_cast<int64_t>(given[0].size());
  const int64_t num_valid = given[1].empty() ? num_held_out(shares.valid_fraction, num_train) : 0;
  const int64_t num_test = given[2].empty() ? num_held_out(shares.test_fraction, num_train) : 0;
  if (num_valid + num_test >= num_train) {
    throw DataError(text(manifest.path.string(), ": only ", count_of(num_train, "row"), " to train on: too few to split"));
  }
  const auto cut = split_rows(num_train, num_valid, num_test, seed);
  const Tensor train = torch::tensor(given[0], torch::kLong);
  std::array<Tensor, 3> rows;
  for (size_t split = 0; split < 3; ++split) {
    const bool from_train = split == 0 || given[split].empty();
    rows[split] = from_train ? train.index_select(0, cut[split]) : torch::tensor(given[split], torch::kLong);
  }
  return rows;
}

}  // namespace

void PairedConfig::check(Relations& relations) const {
  split.check(relations);
  std::set<std::string> names;
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string place = "columns[" + std::to_string(i) + "].name: '" + columns[i].name + "'";
    if (!names.insert(columns[i].name).second) relations.problem("columns", place + " is named twice");
    if (columns[i].name == split_column) relations.problem("columns", place + " says the split, which a model must not see");
  }
}

std::shared_ptr<Dataset> make_paired(const PairedConfig& config, const DataContext& context) {
  const auto manifest = std::make_shared<const Manifest>(detail::read_manifest(config, context.root));
  RowSource source;
  source.where = manifest->path.string();
  source.rows = manifest_rows(*manifest, config.split, context.seed);
  std::map<std::string, std::function<Tensor()>> readers;
  for (const auto& column : manifest->columns) {
    const auto& name = column.config.name;
    Tensor present = torch::empty({manifest->num_rows()}, torch::kBool);
    for (int64_t row = 0; row < manifest->num_rows(); ++row) present.data_ptr<bool>()[row] = manifest->has(column, row);
    if (!present.index_select(0, source.rows[0]).any().item<bool>()) {
      throw DataError(manifest->path.string() + ": column " + in_quotes(name) +
                      ": a gap in every training row; leave the column out");
    }
    const auto field = column.config.type == PairedColumnType::number ? number_field(*manifest, column, present, source.rows[0])
                       : column.config.type == PairedColumnType::category ? category_field(column)
                                                                          : file_field(manifest, column);
    source.spec[name] = field.spec;
    readers[name] = field.read;
    source.num_bytes += 2 * manifest->num_rows() * field.num_bytes;
    if (!present.all().item<bool>()) source.present[name] = present;
  }
  source.read = [readers] {
    std::map<std::string, Tensor> arrays;
    for (const auto& [name, read] : readers) arrays[name] = read();
    return arrays;
  };
  return std::make_shared<MemoryDataset>(std::move(source),
                                         DataOptions{.batch_size = config.batch_size, .missing = config.missing}, context.seed);
}

}  // namespace elbo
