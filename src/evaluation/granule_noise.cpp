#include "elbo/evaluation/granule_noise.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>

#include "elbo/math/upload.h"

namespace elbo {

GranuleNoise::GranuleNoise(uint64_t seed, at::Device device, at::ScalarType dtype)
    : key_(hash_key({seed, hash_key("evaluation")})),
      device_(device),
      dtype_(dtype),
      generator_(at::detail::createCPUGenerator()) {}

void GranuleNoise::place(int64_t first_row, int64_t first_sample) {
  first_row_ = first_row;
  first_sample_ = first_sample;
  calls_ = 0;
}

Tensor GranuleNoise::normal(at::IntArrayRef leading, at::IntArrayRef event) { return draw(Kind::normal, leading, event); }
Tensor GranuleNoise::uniform(at::IntArrayRef leading, at::IntArrayRef event) { return draw(Kind::uniform, leading, event); }

Tensor GranuleNoise::draw(Kind kind, at::IntArrayRef leading, at::IntArrayRef event) {
  const auto call = calls_++;
  const auto B = leading.empty() ? 1 : leading.back();
  const auto K = leading.size() < 2 ? 1 : leading[leading.size() - 2];
  int64_t R = 1;
  for (size_t i = 0; i + 2 < leading.size(); ++i) R *= leading[i];
  const auto drawn = torch::empty(joined({R, K, B}, event), dtype_);
  for (int64_t r = 0; r < R; ++r) {
    auto repetition = drawn[r];
    fill(repetition, kind, r, call);
  }
  return upload(drawn.reshape(joined(leading, event)), device_);
}

void GranuleNoise::fill(Tensor& target, Kind kind, int64_t repetition, uint64_t call) {
  const auto event = target.sizes().slice(2);
  const auto end_sample = first_sample_ + target.size(0);
  const auto end_row = first_row_ + target.size(1);
  for (int64_t row = first_row_; row < end_row;) {
    const auto row_block = row / kRows;
    const auto rows = std::min(end_row, (row_block + 1) * kRows) - row;
    for (int64_t sample = first_sample_; sample < end_sample;) {
      const auto sample_block = sample / kSamples;
      const auto samples = std::min(end_sample, (sample_block + 1) * kSamples) - sample;
      const auto offset = sample - sample_block * kSamples;
      generator_.set_current_seed(
          fold_to_32_bits(hash_key({key_, static_cast<uint64_t>(kind), call, static_cast<uint64_t>(repetition),
                                    static_cast<uint64_t>(row_block), static_cast<uint64_t>(sample_block)})));
      // A generator's first numbers don't depend on how many follow when their count is a multiple of 16, which 64 rows make it:
      // so the granule's last samples are drawn only when they are needed.
      const auto shape = joined({offset + samples, kRows}, event);
      const auto granule =
          kind == Kind::normal ? torch::randn(shape, generator_, dtype_) : torch::rand(shape, generator_, dtype_);
      target.narrow(0, sample - first_sample_, samples)
          .narrow(1, row - first_row_, rows)
          .copy_(granule.narrow(0, offset, samples).narrow(1, row - row_block * kRows, rows));
      sample += samples;
    }
    row += rows;
  }
}

}  // namespace elbo
