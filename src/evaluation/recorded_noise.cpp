#include "elbo/evaluation/recorded_noise.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"

namespace elbo {

void RecordingNoise::place(int64_t first_row, int64_t first_sample) {
  int64_t recorded = 0;
  if (!draws_.empty()) {
    for (const auto& batch : draws_.front().batches) recorded += batch.size(static_cast<int64_t>(draws_.front().num_leading) - 1);
  }
  if (first_row != recorded || first_sample != 0) {
    throw UsageError(text("recorded noise needs the rows in order with all samples at once: got row ", first_row, ", sample ",
                          first_sample, ", expected row ", recorded, ", sample 0"));
  }
  next_ = 0;
  source_.place(first_row, first_sample);
}

Tensor RecordingNoise::normal(at::IntArrayRef leading, at::IntArrayRef event) {
  return keep(source_.normal(leading, event), leading.size());
}

Tensor RecordingNoise::uniform(at::IntArrayRef leading, at::IntArrayRef event) {
  return keep(source_.uniform(leading, event), leading.size());
}

Tensor RecordingNoise::keep(Tensor drawn, size_t num_leading) {
  if (num_leading == 0) throw UsageError("recorded noise needs draws with a batch extent");
  if (next_ == draws_.size()) draws_.push_back({.num_leading = num_leading});
  draws_[next_++].batches.push_back(drawn.cpu());
  return drawn;
}

NoiseTable RecordingNoise::table() const {
  NoiseTable table;
  for (const auto& draw : draws_) {
    auto whole = torch::cat(draw.batches, static_cast<int64_t>(draw.num_leading) - 1);
    size_t leading = draw.num_leading;
    while (leading > 1 && whole.size(0) == 1) {
      whole = whole.squeeze(0);
      --leading;
    }
    table.emplace_back("noise_" + std::to_string(table.size()), whole.contiguous());
  }
  return table;
}

void RecordingNoise::write(const std::filesystem::path& npz) const {
  const auto recorded = table();
  if (recorded.empty()) throw UsageError("no noise to save in " + npz.string() + ": nothing was drawn");
  std::vector<std::pair<std::string, ArrayView>> arrays;
  for (const auto& [name, numbers] : recorded) arrays.emplace_back(name, view_of(numbers));
  write_npz(npz, arrays);
}

ReplayNoise::ReplayNoise(NoiseTable table, at::Device device) : table_(std::move(table)), device_(device) {}

NoiseTable ReplayNoise::read(const std::filesystem::path& npz) {
  const NpzReader reader(npz);
  NoiseTable table;
  while (reader.contains("noise_" + std::to_string(table.size()))) {
    auto name = "noise_" + std::to_string(table.size());
    auto numbers = to_tensor(reader.read(name));
    table.emplace_back(std::move(name), std::move(numbers));
  }
  if (table.empty()) throw DataError(npz.string() + ": no array named noise_0");
  return table;
}

void ReplayNoise::place(int64_t first_row, int64_t first_sample) {
  first_row_ = first_row;
  first_sample_ = first_sample;
  next_ = 0;
}

Tensor ReplayNoise::replay(at::IntArrayRef leading, at::IntArrayRef event) {
  if (next_ >= table_.size())
    throw UsageError(
        text("recorded noise has ", count_of(static_cast<int64_t>(table_.size()), "draw"), ", one more was asked for"));
  const auto& [name, numbers] = table_[next_++];
  const auto num_event = static_cast<int64_t>(event.size());
  auto recorded = numbers;
  while (recorded.dim() < num_event + 3) recorded = recorded.unsqueeze(0);  // [R, K, N, event...]
  Shape wanted(leading.begin(), leading.end());
  while (wanted.size() < 3) wanted.insert(wanted.begin(), 1);
  const bool fits = recorded.dim() == num_event + 3 && wanted.size() == 3 && recorded.sizes().slice(3).equals(event) &&
                    recorded.size(0) == wanted[0] && first_sample_ + wanted[1] <= recorded.size(1) &&
                    first_row_ + wanted[2] <= recorded.size(2);
  if (!fits) {
    throw UsageError(text("recorded noise ", name, " is ", shape_text(numbers.sizes()), ": it has no ",
                          shape_text(joined(leading, event)), " from row ", first_row_, ", sample ", first_sample_));
  }
  return recorded.narrow(1, first_sample_, wanted[1])
      .narrow(2, first_row_, wanted[2])
      .reshape(joined(leading, event))
      .to(device_);
}

}  // namespace elbo
