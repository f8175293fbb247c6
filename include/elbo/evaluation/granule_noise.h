#pragma once
#include "elbo/math/random.h"

namespace elbo {

/// Noise that knows where in the evaluated split a batch stands.
class PlacedNoise : public Noise {
 public:
  /// The draws that follow are for rows first_row, first_row + 1, … and samples first_sample, first_sample + 1, …;
  /// also restarts the count of draws, so that the n-th draw after it means the same variable everywhere.
  virtual void place(int64_t first_row, int64_t first_sample) = 0;
};

/// Evaluation noise: every number is a function of (seed, which draw, stratum, row, sample, place in the event) and of nothing
/// else. Batch size, the number of rows and K change no number, and K = 50 is a prefix of K = 5,000. It is drawn on the host, the
/// same on every device, in granules of 16 samples x 64 rows; only what is needed is drawn. Shapes: leading is [K, B], [R, K, B],
/// or [B] (read as [1, B]).
class GranuleNoise final : public PlacedNoise {
 public:
  static constexpr int64_t kRows = 64;
  static constexpr int64_t kSamples = 16;

  explicit GranuleNoise(uint64_t seed, at::Device device = at::kCPU, at::ScalarType dtype = at::kFloat);
  void place(int64_t first_row, int64_t first_sample) override;
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override;
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override;

 private:
  enum class Kind : uint64_t { normal, uniform };
  Tensor draw(Kind kind, at::IntArrayRef leading, at::IntArrayRef event);
  void fill(Tensor& target, Kind kind, int64_t repetition, uint64_t call);

  uint64_t key_;
  at::Device device_;
  at::ScalarType dtype_;
  at::Generator generator_;
  int64_t first_row_ = 0;
  int64_t first_sample_ = 0;
  uint64_t calls_ = 0;
};

}  // namespace elbo
