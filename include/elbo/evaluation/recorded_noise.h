#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "elbo/evaluation/granule_noise.h"

namespace elbo {

/// Noise by name: `noise_0` is the first draw for each batch, `noise_1` the second, …
/// Shapes: [N, event...] in the order of the rows; [K, N, event...] or [R, K, N, event...] where more than one sample was drawn.
using NoiseTable = std::vector<std::pair<std::string, Tensor>>;

/// Passes another noise on and keeps what was drawn, so that a bound can be recomputed elsewhere from the same numbers.
/// The rows must come in order, all samples of a row at once.
class RecordingNoise final : public PlacedNoise {
 public:
  explicit RecordingNoise(PlacedNoise& source) : source_(source) {}
  void place(int64_t first_row, int64_t first_sample) override;
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override;
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override;

  NoiseTable table() const;
  /// One array a draw. Throws: UsageError when nothing was drawn.
  void write(const std::filesystem::path& npz) const;

 private:
  Tensor keep(Tensor drawn, size_t num_leading);
  struct Draw {
    size_t num_leading = 0;
    std::vector<Tensor> batches = {};
  };
  PlacedNoise& source_;
  std::vector<Draw> draws_ = {};
  size_t next_ = 0;
};

/// Gives recorded numbers back by their place. Normal and uniform draws are the recorded ones in their order.
/// Throws: UsageError for a draw, row, sample or event that was not recorded.
class ReplayNoise final : public PlacedNoise {
 public:
  explicit ReplayNoise(NoiseTable table, at::Device device = at::kCPU);
  static NoiseTable read(const std::filesystem::path& npz);
  void place(int64_t first_row, int64_t first_sample) override;
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override { return replay(leading, event); }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return replay(leading, event); }

 private:
  Tensor replay(at::IntArrayRef leading, at::IntArrayRef event);
  NoiseTable table_;
  at::Device device_;
  int64_t first_row_ = 0;
  int64_t first_sample_ = 0;
  size_t next_ = 0;
};

}  // namespace elbo
