#include <gmock/gmock.h>

#include "elbo/io/grid.h"
#include "elbo/io/png.h"
#include "io_support.h"

namespace image_test {
namespace {

using namespace elbo;
using namespace io_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Png, ReadsBackWhatItWrote) {
  Scratch scratch;
  for (const int channels : {1, 3}) {
    Image image = {.width = 7, .height = 5, .channels = channels};
    for (int i = 0; i < 35 * channels; ++i) image.pixels.push_back(static_cast<uint8_t>(i * 37));
    write_png(scratch / "a.png", image);
    const auto seen = read_png(scratch / "a.png");
    EXPECT_EQ(seen.width, 7);
    EXPECT_EQ(seen.height, 5);
    EXPECT_EQ(seen.channels, channels);
    EXPECT_EQ(seen.pixels, image.pixels);
    EXPECT_EQ(slurp(scratch / "a.png"), encode_png(image));
  }
}

TEST(Png, TurnsEveryKindIntoGreyOrRgb) {
  Scratch scratch;
  const auto read = [&](const PngParts& parts) { return read_png(spill(scratch / "a", png_file(parts))); };
  using namespace std::string_literals;
  EXPECT_THAT(read({.depth = 1, .rows = "\0\x80"s}).pixels, ElementsAre(255));
  EXPECT_THAT(read({.width = 2, .depth = 4, .rows = "\0\x0f"s}).pixels, ElementsAre(0, 255));
  EXPECT_THAT(read({.depth = 16, .rows = "\0\xab\xcd"s}).pixels, ElementsAre(0xab));
  const auto palette = read({.color_type = 3, .before_data = png_chunk("PLTE", "\1\2\3\4\5\6"), .rows = "\0\1"s});
  EXPECT_EQ(palette.channels, 3);
  EXPECT_THAT(palette.pixels, ElementsAre(4, 5, 6));
  const auto transparent =
      read({.color_type = 3, .before_data = png_chunk("PLTE", "\1\2\3") + png_chunk("tRNS", "\x80"), .rows = "\0\0"s});
  EXPECT_THAT(transparent.pixels, ElementsAre(1, 2, 3));
  EXPECT_THAT(read({.color_type = 4, .rows = "\0\x42\x10"s}).pixels, ElementsAre(0x42));
  EXPECT_THAT(read({.color_type = 6, .rows = "\0\1\2\3\x04"s}).pixels, ElementsAre(1, 2, 3));
  // Adam7: the first pixel comes in pass 1, the second in pass 6.
  EXPECT_THAT(read({.width = 2, .interlace = 1, .rows = "\0\x11\0\x22"s}).pixels, ElementsAre(0x11, 0x22));
  // A stated gamma doesn't change the numbers.
  EXPECT_THAT(read({.before_data = png_chunk("gAMA", big_endian(100000, 4)), .rows = "\0\x42"s}).pixels, ElementsAre(0x42));
}

TEST(Png, RefusesToWriteAnImageThatDisagreesWithItself) {
  EXPECT_THAT(message_of<UsageError>([] {
                encode_png({.width = 2, .height = 2, .channels = 1, .pixels = {1, 2, 3}});
              }),
              HasSubstr("an image of 2 x 2 with 1 channels and 3 bytes"));
  message_of<UsageError>([] { encode_png({.width = 0, .height = 2, .channels = 1}); });
  message_of<UsageError>([] { encode_png({.width = 1, .height = 1, .channels = 2, .pixels = {1, 2}}); });
  message_of<UsageError>([] { encode_png({.width = -1, .height = -1, .channels = 1, .pixels = {1}}); });
}

TEST(Grid, PlacesTilesRowByRow) {
  const std::vector<Image> images = {{.width = 2, .height = 1, .channels = 1, .pixels = {1, 2}},
                                     {.width = 2, .height = 1, .channels = 1, .pixels = {3, 4}},
                                     {.width = 2, .height = 1, .channels = 1, .pixels = {5, 6}}};
  const auto grid = make_grid(images, {.columns = 2, .padding = 1, .background = 9});
  EXPECT_EQ(grid.width, 7);
  EXPECT_EQ(grid.height, 5);
  EXPECT_THAT(grid.pixels, ElementsAre(9, 9, 9, 9, 9, 9, 9,  //
                                       9, 1, 2, 9, 3, 4, 9,  //
                                       9, 9, 9, 9, 9, 9, 9,  //
                                       9, 5, 6, 9, 9, 9, 9,  //
                                       9, 9, 9, 9, 9, 9, 9));
}

TEST(Grid, ScalesByWholePixels) {
  const std::vector<Image> images = {{.width = 2, .height = 1, .channels = 1, .pixels = {1, 2}}};
  const auto grid = make_grid(images, {.columns = 8, .padding = 0, .scale = 2});
  EXPECT_EQ(grid.width, 4);  // no columns without a tile
  EXPECT_THAT(grid.pixels, ElementsAre(1, 1, 2, 2, 1, 1, 2, 2));
}

TEST(Grid, OneRgbImageMakesTheGridRgb) {
  const std::vector<Image> images = {{.width = 1, .height = 1, .channels = 1, .pixels = {7}},
                                     {.width = 1, .height = 1, .channels = 3, .pixels = {1, 2, 3}}};
  const auto grid = make_grid(images, {.columns = 2, .padding = 0});
  EXPECT_EQ(grid.channels, 3);
  EXPECT_THAT(grid.pixels, ElementsAre(7, 7, 7, 1, 2, 3));
}

TEST(Grid, RefusesWhatHasNoPlace) {
  const Image one = {.width = 1, .height = 1, .channels = 1, .pixels = {7}};
  const Image wide = {.width = 2, .height = 1, .channels = 1, .pixels = {7, 8}};
  const Image broken = {.width = 2, .height = 1, .channels = 1, .pixels = {7}};
  EXPECT_THAT(message_of<UsageError>([] { make_grid({}); }), HasSubstr("a grid of no images"));
  EXPECT_THAT(message_of<UsageError>([&] { make_grid(std::vector{one, wide}); }), HasSubstr("differ in size: 2 x 1 and 1 x 1"));
  message_of<UsageError>([&] { make_grid(std::vector{broken}); });
  message_of<UsageError>([&] { make_grid(std::vector{one}, {.columns = 0}); });
  message_of<UsageError>([&] { make_grid(std::vector{one}, {.padding = -1}); });
  message_of<UsageError>([&] { make_grid(std::vector{one}, {.scale = 1 << 20}); });
}

}  // namespace
}  // namespace image_test
