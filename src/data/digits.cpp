#include "elbo/data/digits.h"

#include "elbo/data/memory_dataset.h"

extern "C" const unsigned char elbo_digits_begin[];

namespace elbo {
namespace {
constexpr int64_t kRows = 1797;
constexpr int64_t kPixels = 64;
}  // namespace

std::shared_ptr<Dataset> make_digits(const DigitsConfig& config, const DataContext& context) {
  RowSource source;
  source.spec = {{"x", {.shape = {1, 8, 8}, .kind = ValueKind::unit, .levels = 17}},
                 {"label", {.shape = {}, .kind = ValueKind::category, .num_classes = 10}}};
  source.rows = split_rows(kRows, num_held_out(config.split.valid_fraction, kRows),
                           num_held_out(config.split.test_fraction, kRows), context.seed);
  source.read = [] {
    const Tensor table =
        torch::from_blob(const_cast<unsigned char*>(elbo_digits_begin), {kRows, kPixels + 1}, torch::kByte).clone();
    return std::map<std::string, Tensor>{{"x", table.narrow(1, 0, kPixels).reshape({kRows, 1, 8, 8})},
                                         {"label", table.select(1, kPixels).contiguous()}};
  };
  return std::make_shared<MemoryDataset>(std::move(source), config.options, context.seed);
}

}  // namespace elbo
