#pragma once
#include <string_view>

#include "elbo/io/png.h"

namespace elbo::detail {

/// Letters of 5 x 7 pixels, small ones for capitals too; what there is no letter for is a question mark.
constexpr int kGlyphWidth = 6;  // with the gap to the next
constexpr int kGlyphHeight = 7;

/// Pixels across, the gap behind the last letter left out.
int text_width(std::string_view words, int scale);
/// Draws into an image, cut off at its edges; x and y are the upper left corner.
void draw_text(Image& image, int x, int y, std::string_view words, int scale, uint8_t grey);

}  // namespace elbo::detail
