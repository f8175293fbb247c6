#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "elbo/data/dataset.h"
#include "elbo/data/image_folder.h"
#include "elbo/data/missing.h"
#include "elbo/data/options.h"

namespace elbo {

enum class PairedColumnType { image, array, number, category };
constexpr auto enum_names(PairedColumnType) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"image"sv, PairedColumnType::image}, std::pair{"array"sv, PairedColumnType::array},
                    std::pair{"number"sv, PairedColumnType::number}, std::pair{"category"sv, PairedColumnType::category}};
}

struct PairedColumnConfig {
  std::string name = {};
  PairedColumnType type = PairedColumnType::category;
  int64_t size = 64;
  Colour colour = Colour::rgb;
  Values values = Values::automatic;
  bool standardise = true;

  template <class F>
  void fields(F& field) {
    field("name", name, "as the manifest's header spells it; also the name of the field", required, non_empty);
    field("type", type, "image (path of a PNG or JPEG file), array (of an NPY file), number or category (in the cell)", required);
    field("size", size, "of an image: height and width as a model sees them; scaled, then cut to the square in the middle",
          between(1, 4096));
    field("colour", colour, "of an image: rgb or grey");
    field("values", values, "of an array: what its numbers are; auto takes bytes as grey levels and floating point as real");
    field("standardise", standardise, "of a number: by mean and standard deviation of the training rows that have it");
  }
};

/// Things that belong together, listed in a CSV manifest: a line an example, a column a modality, an empty cell where it lacks
/// one. Fields: one for each listed column, by its name. Image [C, size, size] in [0, 1], kept as bytes; array of the files' own
/// shape, the same for all; number [1]; category, its classes the sorted texts of the whole manifest. `Field::present` says where
/// there are gaps. Without `split_column` rows are split by the run's seed. The manifest is read when the set is made, since it
/// alone tells the classes and the gaps; the files it names when it is loaded.
struct PairedConfig {
  SplitOptions split = {};
  std::filesystem::path path = {};
  std::filesystem::path folder = {};
  std::vector<PairedColumnConfig> columns = {};
  std::string split_column = {};
  std::vector<std::string> gaps = {""};
  std::string separator = ",";
  int64_t batch_size = 128;
  MissingOptions missing = {};

  template <class F>
  void fields(F& field) {
    field("path", path, "the manifest, CSV, plain or gzipped; relative to the data root", required, non_empty);
    field("folder", folder, "where the paths in it start, relative to the data root; empty for the manifest's own folder");
    field("columns", columns, "the columns that become fields; the others are ignored", required, non_empty);
    field("split_column", split_column, "name of a column that says train, valid or test; none when empty");
    field("gaps", gaps, "texts of a cell that stand for nothing");
    field("separator", separator, "character between the cells", length_exactly(1));
    field("batch_size", batch_size, "rows a training batch", between(1, 1 << 20));
    field("missing", missing, "fields taken away beyond the gaps, drawn by the seed");
    split.fields(field);
  }
  void check(Relations& relations) const;
};

/// Throws: DataError naming the manifest, the line and the column.
std::shared_ptr<Dataset> make_paired(const PairedConfig& config, const DataContext& context);

}  // namespace elbo
