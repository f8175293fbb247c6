#pragma once
#include <ATen/core/Generator.h>

#include <string>

#include "elbo/math/shapes.h"

namespace elbo {

/// Where a model's random numbers come from: every draw in the library takes one of these.
/// A shape is given in two parts: `leading` is how often ([K, B] or [R, K, B]; its last two extents are samples and examples),
/// `event` what is drawn each time. Evaluation uses the two to key each number by its place.
class Noise {
 public:
  virtual ~Noise() = default;
  /// Standard normal numbers, [leading..., event...].
  virtual Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) = 0;
  /// Uniform numbers in [0, 1), [leading..., event...].
  virtual Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) = 0;
};

/// A named source of randomness: a function of (seed, name, rank, step) and nothing else, so that no generator state is ever
/// saved.
class Stream final : public Noise {
 public:
  /// The generator lives on `device`, drawn numbers have `dtype`.
  Stream(uint64_t seed, std::string name, at::Device device, int64_t rank = 0, at::ScalarType dtype = at::kFloat);
  /// Starts the numbers of this step; to be called before each step that draws.
  void rekey(int64_t step);
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override;
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override;
  /// A random permutation of 0..n-1, int64.
  Tensor permutation(int64_t n);
  at::Generator& generator() { return generator_; }
  at::Device device() const { return device_; }

 private:
  uint64_t key_;
  at::Device device_;
  at::ScalarType dtype_;
  at::Generator generator_;
};

/// The streams of a run.
struct Streams {
  Streams(uint64_t seed, at::Device device, int64_t rank = 0);
  /// Keys all of them to a step.
  void rekey(int64_t step);
  Stream data;   // dynamic binarisation and augmentation
  Stream noise;  // samples of the posterior
  Stream model;  // dropout and other draws inside networks
};

/// 64-bit hash of its parts (splitmix64 finaliser), for keys of streams.
uint64_t hash_key(std::initializer_list<uint64_t> parts);
uint64_t hash_key(std::string_view text);

/// Folds a key to the 32 bits that CPU generators use.
uint64_t fold_to_32_bits(uint64_t key);

/// Saves LibTorch's default CPU generator and restores it on destruction: constructing LibTorch's modules draws from it.
class DefaultGeneratorGuard {
 public:
  DefaultGeneratorGuard();
  ~DefaultGeneratorGuard();
  DefaultGeneratorGuard(const DefaultGeneratorGuard&) = delete;
  DefaultGeneratorGuard& operator=(const DefaultGeneratorGuard&) = delete;

 private:
  Tensor state_;
};

}  // namespace elbo
