#include "elbo/data/image_folder.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <unordered_map>

#include "decoding_pool.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/io/jpeg.h"
#include "elbo/io/sha256.h"
#include "elbo/math/upload.h"
#include "fit_image.h"
#include "image_files.h"
#include "memory.h"
#include "missing.h"
#include "presentation.h"

namespace elbo {
namespace {

/// The training mean, which only starts a decoder's biases, is that of so many rows, evenly spaced.
constexpr int64_t kRowsOfMean = 2048;
/// Decoded images that wait to be read take at most this much where two batches fit.
constexpr int64_t kWaitingBytes = int64_t{256} << 20;

class ImageFolder final : public Dataset {
 public:
  ImageFolder(const ImageFolderConfig& config, detail::ImageFiles files, uint64_t seed)
      : config_(config),
        files_(std::move(files)),
        stored_{
            .shape = {config.colour == Colour::rgb ? 3 : 1, config.size, config.size}, .kind = ValueKind::unit, .levels = 256},
        seed_(seed),
        presentation_(stored_, config.options, seed) {
    presentation_.describe(spec_);
    const auto num_classes = static_cast<int64_t>(files_.classes.size());
    if (num_classes > 0) spec_["label"] = {.shape = {}, .kind = ValueKind::category, .num_classes = num_classes};
    for (size_t split = 0; split < 3; ++split) first_row_[split + 1] = first_row_[split] + size(static_cast<Split>(split));
    missing_.emplace(config.options.missing, spec_, std::array{size(Split::train), size(Split::valid), size(Split::test)},
                     detail::MissingFields::Natural(), seed);
  }

  const DataSpec& spec() const override { return spec_; }
  int64_t size(Split split) const override { return static_cast<int64_t>(files_.splits[static_cast<size_t>(split)].size()); }
  int64_t batch_size() const override { return config_.options.batch_size; }
  void load(at::Device device) override;
  Batch gather(Split split, const Tensor& index, Stream& stream) const override;
  void prefetch(Split split, const Tensor& index) const override;
  std::string fingerprint() const override;
  Tensor training_mean() const override;

 private:
  int64_t row_bytes() const { return stored_.shape[0] * config_.size * config_.size; }
  detail::DecodingPool& pool() const;
  const detail::ImageFile& file_of(int64_t row) const;
  void decode(int64_t row, std::span<uint8_t> out) const;
  /// Rows of the pool: the splits one after the other, files known to be damaged replaced.
  std::vector<int64_t> rows_of(Split split, const Tensor& index) const;
  /// The row that stands in the place of a damaged one; the image goes to `out`.
  int64_t replaced(int64_t row, const std::string& problem, std::span<uint8_t> out) const;
  /// Bytes [B, C, size, size]; rows that are replaced are changed.
  Tensor read(std::vector<int64_t>& rows) const;

  ImageFolderConfig config_;
  detail::ImageFiles files_;
  FieldSpec stored_;
  uint64_t seed_;
  detail::Presentation presentation_;
  DataSpec spec_ = {};
  std::optional<detail::MissingFields> missing_ = {};
  std::array<int64_t, 4> first_row_ = {};
  at::Device device_ = at::kCPU;
  mutable std::unordered_map<int64_t, int64_t> replacement_ = {};
  mutable std::optional<std::string> fingerprint_ = {};
  std::unique_ptr<detail::DecodingPool> pool_ = {};  // last: its threads use what is above
};

void ImageFolder::load(at::Device device) {
  device_ = device;
  missing_->to(device);
  if (pool_) return;
  const int64_t available = detail::available_host_bytes() / 2;
  const int64_t cache_bytes = std::min(config_.cache_bytes, available);
  if (cache_bytes < config_.cache_bytes && available < first_row_.back() * row_bytes()) {
    log_warn(text("data.cache_bytes: ", detail::bytes_text(config_.cache_bytes), " is more than half of what is free; taking ",
                  detail::bytes_text(cache_bytes)));
  }
  const auto cores = static_cast<int64_t>(std::thread::hardware_concurrency());
  const int64_t batch = batch_size();
  const int64_t waiting = std::max(2 * batch, std::min(std::max<int64_t>(4 * batch, 1024), kWaitingBytes / row_bytes()));
  pool_ = std::make_unique<detail::DecodingPool>(
      detail::DecodingPool::Options{
          .row_bytes = row_bytes(),
          .num_workers = config_.workers > 0 ? config_.workers : std::clamp<int64_t>(cores - 1, 1, 16),
          .cached = std::min(first_row_.back(), cache_bytes / row_bytes()),
          .most_waiting = waiting,
      },
      [this](int64_t row, std::span<uint8_t> out) { decode(row, out); });
}

detail::DecodingPool& ImageFolder::pool() const {
  if (!pool_) throw UsageError("the data set was not loaded: call load(device) before reading rows");
  return *pool_;
}

const detail::ImageFile& ImageFolder::file_of(int64_t row) const {
  size_t split = 0;
  while (row >= first_row_[split + 1]) ++split;
  return files_.splits[split][static_cast<size_t>(row - first_row_[split])];
}

void ImageFolder::decode(int64_t row, std::span<uint8_t> out) const {
  const auto size = static_cast<int>(config_.size);
  // Twice the size leaves the last halving to the filter.
  const auto image =
      read_image(files_.folder / file_of(row).name, {.least_side = 2 * size, .grey = config_.colour == Colour::grey});
  detail::fit_image(image, size, static_cast<int>(stored_.shape[0]), out);
}

std::vector<int64_t> ImageFolder::rows_of(Split split, const Tensor& index) const {
  check_shape(index, {kAnyExtent}, "rows to gather");
  const auto places = index.accessor<int64_t, 1>();
  std::vector<int64_t> rows(static_cast<size_t>(places.size(0)));
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t place = places[static_cast<int64_t>(i)];
    if (place < 0 || place >= size(split)) throw UsageError(text("rows to gather: outside 0..", size(split) - 1));
    rows[i] = first_row_[static_cast<size_t>(split)] + place;
    const auto known = replacement_.find(rows[i]);
    if (known != replacement_.end()) rows[i] = known->second;
  }
  return rows;
}

void ImageFolder::prefetch(Split split, const Tensor& index) const { pool().prefetch(rows_of(split, index)); }

int64_t ImageFolder::replaced(int64_t row, const std::string& problem, std::span<uint8_t> out) const {
  if (config_.corrupt == Corrupt::stop) {
    throw DataError(problem + "; set data.corrupt: skip to put another row in the place of damaged files");
  }
  size_t split = 0;
  while (row >= first_row_[split + 1]) ++split;
  const int64_t begin = first_row_[split], count = first_row_[split + 1] - begin;
  for (int64_t step = 1; step < count; ++step) {
    const int64_t other = begin + (row - begin + step) % count;
    if (!pool().take(std::array{other}, out).empty()) continue;
    replacement_[row] = other;
    log_warn(text(problem, "; skipped, ", file_of(other).name, " stands in its place"));
    return other;
  }
  throw DataError(problem + "; nor can any other image of its split be read");
}

Tensor ImageFolder::read(std::vector<int64_t>& rows) const {
  Tensor images = torch::empty(joined({static_cast<int64_t>(rows.size())}, stored_.shape), torch::kByte);
  const std::span<uint8_t> bytes(images.data_ptr<uint8_t>(), static_cast<size_t>(images.numel()));
  const auto one = static_cast<size_t>(row_bytes());
  for (const auto& [place, problem] : pool().take(rows, bytes)) {
    rows[place] = replaced(rows[place], problem, bytes.subspan(place * one, one));
  }
  return images;
}

Batch ImageFolder::gather(Split split, const Tensor& index, Stream& stream) const {
  auto rows = rows_of(split, index);
  const Tensor images = upload(read(rows), device_);
  Batch batch{.fields = {}, .index = index};
  presentation_.add_to(batch, images, split, stream);
  if (spec_.contains("label")) {
    Tensor labels = torch::empty({index.size(0)}, torch::kLong);
    for (size_t i = 0; i < rows.size(); ++i) labels.data_ptr<int64_t>()[i] = file_of(rows[i]).label;
    batch.fields["label"].value = upload(labels, device_);
  }
  missing_->apply(batch, split, stream);
  return batch;
}

std::string ImageFolder::fingerprint() const {
  if (!fingerprint_) {
    const auto binarize = config_.options.binarize;
    const bool draws = binarize == Binarize::once || binarize == Binarize::dynamic;
    fingerprint_ = sha256(text(detail::fingerprint_of(files_), " ", config_.size, " ", stored_.shape[0], " ",
                               static_cast<int>(config_.corrupt), " ", static_cast<int>(binarize), " ", draws ? seed_ : 0, "\n",
                               presentation_.fingerprint(), missing_->fingerprint()));
  }
  return *fingerprint_;
}

Tensor ImageFolder::training_mean() const {
  const Tensor with_x = missing_->rows_with(Split::train, "x");
  const int64_t num_rows = with_x.defined() ? with_x.size(0) : size(Split::train), count = std::min(num_rows, kRowsOfMean);
  Tensor places = torch::arange(count).mul(num_rows).floor_divide(std::max<int64_t>(1, count));
  if (with_x.defined()) places = with_x.index_select(0, places);
  Tensor sum = torch::zeros(stored_.shape, torch::kDouble);
  for (int64_t begin = 0; begin < count; begin += batch_size()) {
    auto rows = rows_of(Split::train, places.narrow(0, begin, std::min(batch_size(), count - begin)));
    const Tensor grey = detail::numbers(read(rows), stored_).to(torch::kDouble);
    sum += (config_.options.binarize == Binarize::threshold ? grey.ge(0.5).to(torch::kDouble) : grey).sum(0);
  }
  return presentation_.mean(sum / static_cast<double>(std::max<int64_t>(1, count))).to(torch::kFloat);
}

}  // namespace

std::shared_ptr<Dataset> make_image_folder(const ImageFolderConfig& config, const DataContext& context) {
  auto files = detail::list_images(context.root / config.path, config, context.seed);
  return std::make_shared<ImageFolder>(config, std::move(files), context.seed);
}

}  // namespace elbo
