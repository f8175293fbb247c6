#include "glyphs.h"

#include <array>
#include <cctype>

namespace elbo::detail {
namespace {

/// Seven rows from the top, the leftmost of five pixels in the highest bit.
using Glyph = std::array<uint8_t, kGlyphHeight>;

constexpr std::array<Glyph, 10> kDigitGlyphs = {{{0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110},
                                                 {0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110},
                                                 {0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b01000, 0b11111},
                                                 {0b11111, 0b00010, 0b00100, 0b00010, 0b00001, 0b10001, 0b01110},
                                                 {0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010},
                                                 {0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110},
                                                 {0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110},
                                                 {0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000},
                                                 {0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110},
                                                 {0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100}}};
constexpr std::array<Glyph, 26> kLetterGlyphs = {{{0b00000, 0b00000, 0b01110, 0b00001, 0b01111, 0b10001, 0b01111},
                                                  {0b10000, 0b10000, 0b10110, 0b11001, 0b10001, 0b10001, 0b11110},
                                                  {0b00000, 0b00000, 0b01110, 0b10000, 0b10000, 0b10001, 0b01110},
                                                  {0b00001, 0b00001, 0b01101, 0b10011, 0b10001, 0b10001, 0b01111},
                                                  {0b00000, 0b00000, 0b01110, 0b10001, 0b11111, 0b10000, 0b01110},
                                                  {0b00110, 0b01001, 0b01000, 0b11100, 0b01000, 0b01000, 0b01000},
                                                  {0b00000, 0b01111, 0b10001, 0b10001, 0b01111, 0b00001, 0b01110},
                                                  {0b10000, 0b10000, 0b10110, 0b11001, 0b10001, 0b10001, 0b10001},
                                                  {0b00100, 0b00000, 0b01100, 0b00100, 0b00100, 0b00100, 0b01110},
                                                  {0b00010, 0b00000, 0b00110, 0b00010, 0b00010, 0b10010, 0b01100},
                                                  {0b10000, 0b10000, 0b10010, 0b10100, 0b11000, 0b10100, 0b10010},
                                                  {0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110},
                                                  {0b00000, 0b00000, 0b11010, 0b10101, 0b10101, 0b10001, 0b10001},
                                                  {0b00000, 0b00000, 0b10110, 0b11001, 0b10001, 0b10001, 0b10001},
                                                  {0b00000, 0b00000, 0b01110, 0b10001, 0b10001, 0b10001, 0b01110},
                                                  {0b00000, 0b00000, 0b11110, 0b10001, 0b11110, 0b10000, 0b10000},
                                                  {0b00000, 0b00000, 0b01101, 0b10011, 0b01111, 0b00001, 0b00001},
                                                  {0b00000, 0b00000, 0b10110, 0b11001, 0b10000, 0b10000, 0b10000},
                                                  {0b00000, 0b00000, 0b01110, 0b10000, 0b01110, 0b00001, 0b11110},
                                                  {0b01000, 0b01000, 0b11100, 0b01000, 0b01000, 0b01001, 0b00110},
                                                  {0b00000, 0b00000, 0b10001, 0b10001, 0b10001, 0b10011, 0b01101},
                                                  {0b00000, 0b00000, 0b10001, 0b10001, 0b10001, 0b01010, 0b00100},
                                                  {0b00000, 0b00000, 0b10001, 0b10001, 0b10101, 0b10101, 0b01010},
                                                  {0b00000, 0b00000, 0b10001, 0b01010, 0b00100, 0b01010, 0b10001},
                                                  {0b00000, 0b00000, 0b10001, 0b10001, 0b01111, 0b00001, 0b01110},
                                                  {0b00000, 0b00000, 0b11111, 0b00010, 0b00100, 0b01000, 0b11111}}};
constexpr Glyph kUnknown = {0b01110, 0b10001, 0b00001, 0b00010, 0b00100, 0b00000, 0b00100};

const Glyph& glyph(char letter) {
  static constexpr Glyph kUnderscore = {0, 0, 0, 0, 0, 0, 0b11111}, kDash = {0, 0, 0, 0b01110, 0, 0, 0},
                         kPoint = {0, 0, 0, 0, 0, 0b01100, 0b01100}, kComma = {0, 0, 0, 0, 0b00100, 0b00100, 0b01000},
                         kSpace = {};
  const auto small = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  if (small >= '0' && small <= '9') return kDigitGlyphs[static_cast<size_t>(small - '0')];
  if (small >= 'a' && small <= 'z') return kLetterGlyphs[static_cast<size_t>(small - 'a')];
  switch (small) {
    case '_':
      return kUnderscore;
    case '-':
      return kDash;
    case '.':
      return kPoint;
    case ',':
      return kComma;
    case ' ':
      return kSpace;
    default:
      return kUnknown;
  }
}

}  // namespace

int text_width(std::string_view words, int scale) {
  return words.empty() ? 0 : (static_cast<int>(words.size()) * kGlyphWidth - 1) * scale;
}

void draw_text(Image& image, int x, int y, std::string_view words, int scale, uint8_t grey) {
  for (const char letter : words) {
    const auto& rows = glyph(letter);
    for (int pixel_y = 0; pixel_y < kGlyphHeight * scale; ++pixel_y) {
      for (int pixel_x = 0; pixel_x < (kGlyphWidth - 1) * scale; ++pixel_x) {
        const auto row = rows[static_cast<size_t>(pixel_y / scale)];
        if (!(row >> (kGlyphWidth - 2 - pixel_x / scale) & 1)) continue;
        const int to_x = x + pixel_x, to_y = y + pixel_y;
        if (to_x < 0 || to_y < 0 || to_x >= image.width || to_y >= image.height) continue;
        const auto first = (static_cast<size_t>(to_y) * static_cast<size_t>(image.width) + static_cast<size_t>(to_x)) *
                           static_cast<size_t>(image.channels);
        for (int c = 0; c < image.channels; ++c) image.pixels[first + static_cast<size_t>(c)] = grey;
      }
    }
    x += kGlyphWidth * scale;
  }
}

}  // namespace elbo::detail
