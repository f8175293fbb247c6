#include "elbo/data/polymnist.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <charconv>
#include <compare>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/memory_dataset.h"
#include "elbo/io/png.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kPolyClasses = 10;

struct PolyFile {
  int64_t index = 0;
  int64_t label = 0;
  std::string name = {};
  auto key() const { return std::pair(index, label); }
};

bool whole_number(std::string_view digits, int64_t& number) {
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return error == std::errc() && end == digits.data() + digits.size() && number >= 0;
}

PolyFile poly_file(const fs::path& path) {
  PolyFile file{.name = path.filename().string()};
  const std::string stem = path.stem().string();
  const size_t dot = stem.find('.');
  if (dot == std::string::npos || !whole_number(stem.substr(0, dot), file.index) ||
      !whole_number(stem.substr(dot + 1), file.label)) {
    throw DataError(path.string() + ": the name is not INDEX.LABEL.png, two whole numbers");
  }
  if (file.label >= kPolyClasses) throw DataError(text(path.string(), ": label ", file.label, "; 0 to 9 expected"));
  return file;
}

/// Sorted by index and label; files with other endings and hidden ones are passed over.
std::vector<PolyFile> poly_files(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw DataError(folder.string() +
                    ": no such folder; PolyMNIST is read from train/m0, train/m1, …, test/m0, … below data.path (" +
                    "its archive unpacks to MMNIST), which starts at the data root that --data-root sets");
  }
  std::vector<PolyFile> files;
  fs::directory_iterator at(folder, error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    const auto& path = at->path();
    if (path.extension() == ".png" && !path.filename().string().starts_with(".")) files.push_back(poly_file(path));
  }
  if (error) throw DataError(folder.string() + ": can't be listed (" + error.message() + "); check its rights");
  if (files.empty()) throw DataError(folder.string() + ": no files INDEX.LABEL.png in it");
  std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.key() < b.key(); });
  const auto same = [](const auto& a, const auto& b) { return a.index == b.index; };
  if (const auto twice = std::adjacent_find(files.begin(), files.end(), same); twice != files.end()) {
    throw DataError((folder / std::next(twice)->name).string() + ": index " + std::to_string(twice->index) + " is also that of " +
                    twice->name);
  }
  return files;
}

void check_paired(const fs::path& first_folder, const std::vector<PolyFile>& first, const fs::path& folder,
                  const std::vector<PolyFile>& files) {
  const auto [a, b] = std::mismatch(first.begin(), first.end(), files.begin(), files.end(),
                                    [](const auto& left, const auto& right) { return left.key() == right.key(); });
  if (a == first.end() && b == files.end()) return;
  const bool more = a == first.end() || (b != files.end() && b->key() < a->key());
  const auto& there = more ? folder / b->name : first_folder / a->name;
  throw DataError(there.string() + ": " + (more ? first_folder : folder).string() +
                  " has no picture of this index and label; the modalities of a row must have the same");
}

/// The pictures of one modality, sorted.
struct PolyFolder {
  fs::path folder = {};
  std::vector<PolyFile> files = {};
};

Shape poly_shape(const PolyFolder& folder) {
  const auto image = read_png(folder.folder / folder.files.front().name);
  return {image.channels, image.height, image.width};
}

void read_poly_folder(const PolyFolder& folder, Tensor out) {
  const int64_t C = out.size(1), H = out.size(2), W = out.size(3);
  at::parallel_for(0, out.size(0), 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const auto path = folder.folder / folder.files[static_cast<size_t>(row)].name;
      const auto image = read_png(path);
      if (image.channels != C || image.height != H || image.width != W) {
        throw DataError(text(path.string(), ": ", image.width, " x ", image.height, " pixels of ",
                             count_of(image.channels, "channel"), "; ", W, " x ", H, " of ", C,
                             " expected, as the first picture of train/m0"));
      }
      uint8_t* pixels = out.data_ptr<uint8_t>() + row * C * H * W;
      for (int64_t p = 0; p < H * W; ++p) {
        for (int64_t c = 0; c < C; ++c) pixels[c * H * W + p] = image.pixels[static_cast<size_t>(p * C + c)];
      }
    }
  });
}

}  // namespace

std::shared_ptr<Dataset> make_polymnist(const PolyMnistConfig& config, const DataContext& context) {
  const auto root = (context.root / config.path).lexically_normal();
  std::array<std::vector<PolyFolder>, 2> splits;  // train, test
  for (size_t split = 0; split < 2; ++split) {
    for (int64_t m = 0; m < config.modalities; ++m) {
      const auto folder = root / (split == 0 ? "train" : "test") / text("m", m);
      splits[split].push_back({.folder = folder, .files = poly_files(folder)});
      check_paired(splits[split][0].folder, splits[split][0].files, folder, splits[split].back().files);
    }
  }
  const auto num_train = static_cast<int64_t>(splits[0][0].files.size()),
             num_test = static_cast<int64_t>(splits[1][0].files.size());
  if (config.valid >= num_train) {
    throw ConfigError(text("data.valid: ", config.valid, " rows for validation leave none of ", num_train, " in ",
                           splits[0][0].folder.string(), " to train on"));
  }
  const Shape shape = poly_shape(splits[0][0]);
  RowSource source;
  source.where = root.string();
  source.spec["label"] = {.shape = {}, .kind = ValueKind::category, .num_classes = kPolyClasses};
  for (int64_t m = 0; m < config.modalities; ++m) {
    source.spec[text("m", m)] = {.shape = shape, .kind = ValueKind::unit, .levels = 256};
  }
  source.rows = split_rows(num_train, config.valid, 0, context.seed);
  source.rows[static_cast<size_t>(Split::test)] = torch::arange(num_train, num_train + num_test);
  source.num_bytes = 2 * (num_train + num_test) * config.modalities * shape[0] * shape[1] * shape[2];
  source.read = [splits = std::move(splits), shape, num_train, num_test] {
    std::map<std::string, Tensor> arrays = {{"label", torch::empty({num_train + num_test}, torch::kByte)}};
    auto labels = arrays["label"].accessor<uint8_t, 1>();
    int64_t row = 0;
    for (const auto& folders : splits) {
      for (const auto& file : folders[0].files) labels[row++] = static_cast<uint8_t>(file.label);
    }
    for (size_t m = 0; m < splits[0].size(); ++m) {
      Tensor pictures = torch::empty(joined({num_train + num_test}, shape), torch::kByte);
      read_poly_folder(splits[0][m], pictures.narrow(0, 0, num_train));
      read_poly_folder(splits[1][m], pictures.narrow(0, num_train, num_test));
      arrays[text("m", m)] = pictures;
    }
    return arrays;
  };
  return std::make_shared<MemoryDataset>(std::move(source),
                                         DataOptions{.batch_size = config.batch_size, .missing = config.missing}, context.seed);
}

}  // namespace elbo
