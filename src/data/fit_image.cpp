#include "fit_image.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "elbo/base/error.h"

namespace elbo::detail {
namespace {

/// The old pixels that make one new pixel.
struct Taps {
  int begin = 0;
  std::vector<float> weights = {};
};

/// Of `size` new pixels that cover the `side` old ones from `first`, out of `extent` in all.
std::vector<Taps> taps_of(int extent, int first, int side, int size) {
  const double scale = static_cast<double>(side) / size;
  const double reach = std::max(1.0, scale);
  std::vector<Taps> taps(static_cast<size_t>(size));
  for (int i = 0; i < size; ++i) {
    const double centre = first + (i + 0.5) * scale;
    const int begin = std::max(0, static_cast<int>(std::floor(centre - reach + 0.5)));
    const int end = std::min(extent, static_cast<int>(std::floor(centre + reach + 0.5)));
    auto& tap = taps[static_cast<size_t>(i)];
    tap.begin = begin;
    double sum = 0;
    for (int x = begin; x < end; ++x) {
      const double weight = std::max(0.0, 1 - std::abs(x + 0.5 - centre) / reach);
      tap.weights.push_back(static_cast<float>(weight));
      sum += weight;
    }
    for (float& weight : tap.weights) weight = static_cast<float>(weight / sum);
  }
  return taps;
}

uint8_t rounded(float value) { return static_cast<uint8_t>(std::clamp(value + 0.5f, 0.0f, 255.0f)); }

}  // namespace

void fit_image(const Image& image, int size, int channels, std::span<uint8_t> out) {
  const auto plane = static_cast<size_t>(size) * static_cast<size_t>(size);
  if (out.size() != plane * static_cast<size_t>(channels) || image.channels > channels) {
    throw UsageError("fit_image: an image of " + std::to_string(image.channels) + " channels doesn't fit " +
                     std::to_string(out.size()) + " bytes of " + std::to_string(channels));
  }
  const int side = std::min(image.width, image.height);
  const int left = (image.width - side) / 2, top = (image.height - side) / 2;
  const auto depth = static_cast<size_t>(image.channels);
  const auto pixel = [&](int y, int x) {
    return image.pixels.data() + (static_cast<size_t>(y) * static_cast<size_t>(image.width) + static_cast<size_t>(x)) * depth;
  };
  if (side == size) {
    for (int y = 0; y < size; ++y) {
      const uint8_t* from = pixel(top + y, left);
      uint8_t* to = out.data() + static_cast<size_t>(y) * static_cast<size_t>(size);
      for (int x = 0; x < size; ++x, from += depth) {
        for (size_t c = 0; c < depth; ++c) to[c * plane + static_cast<size_t>(x)] = from[c];
      }
    }
  } else {
    const auto across = taps_of(image.width, left, side, size), down = taps_of(image.height, top, side, size);
    const int first_row = down.front().begin;
    const int end_row = down.back().begin + static_cast<int>(down.back().weights.size());
    const size_t row_size = static_cast<size_t>(size) * depth;
    std::vector<float> rows(static_cast<size_t>(end_row - first_row) * row_size);  // scaled across, not yet down
    for (int y = first_row; y < end_row; ++y) {
      float* to = rows.data() + static_cast<size_t>(y - first_row) * row_size;
      for (const auto& tap : across) {
        const uint8_t* from = pixel(y, tap.begin);
        for (size_t c = 0; c < depth; ++c, ++to) {
          for (size_t i = 0; i < tap.weights.size(); ++i) *to += tap.weights[i] * static_cast<float>(from[i * depth + c]);
        }
      }
    }
    for (int y = 0; y < size; ++y) {
      const auto& tap = down[static_cast<size_t>(y)];
      const float* from = rows.data() + static_cast<size_t>(tap.begin - first_row) * row_size;
      for (size_t x = 0; x < row_size; ++x) {
        float sum = 0;
        for (size_t i = 0; i < tap.weights.size(); ++i) sum += tap.weights[i] * from[i * row_size + x];
        out[x % depth * plane + static_cast<size_t>(y) * static_cast<size_t>(size) + x / depth] = rounded(sum);
      }
    }
  }
  for (size_t c = depth; c < static_cast<size_t>(channels); ++c) std::memcpy(out.data() + c * plane, out.data(), plane);
}

}  // namespace elbo::detail
