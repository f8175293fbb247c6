#include "elbo/nn/shuffle.h"

#include <string>

#include "elbo/base/error.h"

namespace elbo {
namespace {

constexpr int64_t kFactor = 2, kSquare = kFactor * kFactor;

void check_map(const Tensor& x, int64_t channels, bool fits, const char* function, const char* expected) {
  if (x.dim() == 4 && channels > 0 && fits) return;
  throw ShapeError(std::string(function) + ": got a map of shape " + shape_text(x.sizes()) + " and " + std::to_string(channels) +
                   " channels, expected " + expected);
}

}  // namespace

Tensor unshuffle_average(const Tensor& x, int64_t channels) {
  check_map(
      x, channels,
      x.dim() == 4 && channels > 0 && x.size(2) % kFactor == 0 && x.size(3) % kFactor == 0 && kSquare * x.size(1) % channels == 0,
      "unshuffle_average", "[B, C, H, W] with even H and W and channels that divide 4 C");
  const auto maps = torch::pixel_unshuffle(x, kFactor);
  return maps.unflatten(1, Shape{channels, maps.size(1) / channels}).mean(2);
}

Tensor repeat_shuffle(const Tensor& x, int64_t channels) {
  check_map(x, channels, x.dim() == 4 && channels > 0 && x.size(1) > 0 && kSquare * channels % x.size(1) == 0, "repeat_shuffle",
            "[B, C, H, W] with C that divides 4 times the channels");
  return torch::pixel_shuffle(x.repeat_interleave(kSquare * channels / x.size(1), 1), kFactor);
}

Tensor shuffle_repeat(const Tensor& x) {
  check_map(x, x.dim() == 4 ? x.size(1) : 0, x.dim() == 4 && x.size(1) % kSquare == 0, "shuffle_repeat",
            "[B, C, H, W] with C a multiple of 4");
  return torch::pixel_shuffle(x, kFactor).repeat_interleave(kSquare, 1);
}

}  // namespace elbo
