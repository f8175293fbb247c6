#pragma once
#include <string>

#include "elbo/base/error.h"
#include "elbo/math/shapes.h"
#include "elbo/nn/network.h"

namespace elbo::detail {

inline int64_t volume(const Shape& image) { return image[0] * image[1] * image[2]; }

/// "3x64x64".
inline std::string image_text(const Shape& image) {
  return std::to_string(image[0]) + "x" + std::to_string(image[1]) + "x" + std::to_string(image[2]);
}

/// Throws: ConfigError unless the shape is [C, H, W].
inline void check_image(const Shape& shape, const std::string& who) {
  if (shape.size() == 3) return;
  throw ConfigError(who + ": needs images [C, H, W], got " + shape_text(shape) + "; use type: mlp for other data");
}

/// What remains of an image that is halved once for each entry of `channels`. Throws: ConfigError where it can't be.
inline Shape halved(const Shape& image, const std::vector<int64_t>& channels, const std::string& who) {
  check_image(image, who);
  const int64_t factor = int64_t{1} << channels.size();
  if (image[1] % factor != 0 || image[2] % factor != 0) {
    const auto times = std::to_string(channels.size());
    throw ConfigError(who + ": " + times + " channels halve an image " + times +
                      " times, so height and width must be divisible by " + std::to_string(factor) + ", got " +
                      std::to_string(image[1]) + " x " + std::to_string(image[2]) + "; give fewer channels");
  }
  return {channels.back(), image[1] / factor, image[2] / factor};
}

/// The latents as the map that a decoder starts from, which is as high and wide as `inner`. Throws: ConfigError where they are
/// none.
inline Shape latent_map(const DecoderContext& context, const Shape& inner, const std::string& who) {
  const auto places = inner[1] * inner[2];
  const auto expected = std::to_string(inner[1]) + " x " + std::to_string(inner[2]);
  if (!context.latent_map.empty()) {
    const auto& map = context.latent_map;
    if (map.size() == 3 && map[1] == inner[1] && map[2] == inner[2]) return map;
    throw ConfigError(who + ": got latents of shape " + shape_text(map) + ", but it doubles a map of " + expected +
                      "; let encoder and decoder halve and double as many times");
  }
  if (context.latent_size % places == 0) return {context.latent_size / places, inner[1], inner[2]};
  throw ConfigError(who + ": starts from a map of " + expected + ", which " + std::to_string(context.latent_size) +
                    " latents do not fill evenly; use an encoder that keeps places (residual_conv), or a decoder for vectors");
}

}  // namespace elbo::detail
