#include "elbo/data/cifar10.h"

#include "arrays.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/file.h"
#include "elbo/math/tensors.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

const Shape kShape = {3, 32, 32};
constexpr int64_t kImageBytes = 3 * 32 * 32;
constexpr int64_t kRecord = 1 + kImageBytes;  // the label's byte, then the channels one after the other
constexpr int64_t kMostBytes = int64_t{1} << 30;
constexpr int64_t kClasses = 10;

int64_t num_records(const fs::path& path, const std::string& what_to_do) {
  detail::check_exists(path, what_to_do);
  std::error_code error;
  const auto size = static_cast<int64_t>(fs::file_size(path, error));
  if (error) throw DataError(path.string() + ": can't be read (" + error.message() + ")");
  if (size == 0 || size % kRecord != 0 || size > kMostBytes) {
    throw DataError(text(path.string(), ": byte ", size - size % kRecord, ": the file has ", with_commas(size),
                         " bytes; records of ", with_commas(kRecord), " expected (a label, 32 x 32 x 3 pixels); get it again"));
  }
  return size / kRecord;
}

std::map<std::string, Tensor> read_records(const std::vector<fs::path>& paths) {
  std::vector<Tensor> records;
  for (const auto& path : paths) {
    const auto bytes = read_bytes(path, static_cast<size_t>(kMostBytes), FileRole::data);
    const auto count = static_cast<int64_t>(bytes.size()) / kRecord;
    if (count * kRecord != static_cast<int64_t>(bytes.size())) throw DataError(path.string() + ": changed while it was read");
    for (int64_t row = 0; row < count; ++row) {
      const int label = std::to_integer<int>(bytes[static_cast<size_t>(row * kRecord)]);
      if (label >= kClasses) {
        throw DataError(text(path.string(), ": byte ", row * kRecord, ": label ", label, " of row ", row, "; 0 to 9 expected"));
      }
    }
    records.push_back(torch::from_blob(const_cast<std::byte*>(bytes.data()), {count, kRecord}, torch::kByte).clone());
  }
  const Tensor all = torch::cat(records);
  return {{"x", all.narrow(1, 1, kImageBytes).reshape(joined({all.size(0)}, kShape))}, {"label", all.select(1, 0).contiguous()}};
}

}  // namespace

std::shared_ptr<Dataset> make_cifar10(const Cifar10Config& config, const DataContext& context) {
  std::error_code error;
  const auto unpacked = context.root / "cifar-10-batches-bin";
  const auto folder = fs::is_directory(unpacked, error) ? unpacked : context.root / "cifar10";
  const std::string what_to_do =
      "get it with: scripts/fetch_data.sh cifar10, or name the folder that holds cifar10/ or cifar-10-batches-bin/ with "
      "--data-root";
  std::vector<fs::path> paths;
  int64_t num_train = 0;
  for (int i = 1; i <= 5; ++i) {
    paths.push_back(folder / text("data_batch_", i, ".bin"));
    num_train += num_records(paths.back(), what_to_do);
  }
  paths.push_back(folder / "test_batch.bin");
  const int64_t num_test = num_records(paths.back(), what_to_do);

  RowSource source;
  source.spec = {{"x", {.shape = kShape, .kind = ValueKind::unit, .levels = 256}},
                 {"label", {.shape = {}, .kind = ValueKind::category, .num_classes = kClasses}}};
  source.rows = split_rows(num_train, config.valid, 0, context.seed);
  source.rows[static_cast<size_t>(Split::test)] = torch::arange(num_train, num_train + num_test);
  source.read = [paths] { return read_records(paths); };
  source.where = folder.string();
  source.num_bytes = 3 * (num_train + num_test) * kRecord;
  return std::make_shared<MemoryDataset>(std::move(source), config.options, context.seed);
}

}  // namespace elbo
