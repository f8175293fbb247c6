#include "elbo/evaluation/pictures.h"

#include "elbo/base/error.h"
#include "support/tensors.h"

using namespace elbo;

namespace pictures_test {

int at_pixel(const Image& image, int x, int y, int channel = 0) {
  return image.pixels.at(static_cast<size_t>((y * image.width + x) * image.channels + channel));
}

/// The grey level in the middle of a tile of a grid of 28 x 28 pictures, enlarged three times with 2 pixels between.
int tile(const Image& image, int column, int row) { return at_pixel(image, 2 + 86 * column + 42, 2 + 86 * row + 42); }

/// N pictures, the i-th all (i + 1) / 255.
Tensor levels(int64_t N, int64_t C = 1) { return ((torch::arange(N) + 1) / 255.0).view({N, 1, 1, 1}).expand({N, C, 28, 28}); }

TEST(SampleGrid, PlacesPicturesRowByRowInASquare) {
  const auto grid = sample_grid(levels(10)).value();
  EXPECT_EQ(grid.channels, 1);
  EXPECT_EQ(grid.width, 4 * 86 + 2);
  EXPECT_EQ(grid.height, 3 * 86 + 2);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(tile(grid, i % 4, i / 4), i + 1);
  EXPECT_EQ(tile(grid, 2, 2), 64);      // a missing tile
  EXPECT_EQ(at_pixel(grid, 0, 0), 64);  // the frame
}

TEST(SampleGrid, EnlargesEachPixelAndRoundsItsValue) {
  auto picture = torch::zeros({1, 1, 28, 28});
  picture[0][0][0][1] = 0.5;  // row 0, column 1 -> 127.5, to even
  picture[0][0][27][0] = 0.999;
  picture[0][0][1][1] = 7;
  picture[0][0][2][2] = -3;
  picture[0][0][3][3] = NAN;
  const auto grid = sample_grid(picture).value();
  EXPECT_EQ(at_pixel(grid, 2 + 3, 2), 128);
  EXPECT_EQ(at_pixel(grid, 2 + 5, 2 + 2), 128);
  EXPECT_EQ(at_pixel(grid, 2 + 2, 2), 0);
  EXPECT_EQ(at_pixel(grid, 2 + 6, 2), 0);
  EXPECT_EQ(at_pixel(grid, 2, 2 + 3 * 27), 255);
  EXPECT_EQ(at_pixel(grid, 2 + 3, 2 + 3), 255);
  EXPECT_EQ(at_pixel(grid, 2 + 6, 2 + 6), 0);
  EXPECT_EQ(at_pixel(grid, 2 + 9, 2 + 9), 0);
}

TEST(SampleGrid, KeepsColours) {
  auto picture = torch::zeros({1, 3, 28, 28});
  picture[0][1].fill_(1);
  const auto grid = sample_grid(picture).value();
  EXPECT_EQ(grid.channels, 3);
  EXPECT_EQ(at_pixel(grid, 40, 40, 0), 0);
  EXPECT_EQ(at_pixel(grid, 40, 40, 1), 255);
  EXPECT_EQ(at_pixel(grid, 40, 40, 2), 0);
}

TEST(SampleGrid, LeavesLargePicturesTheirSize) {
  const auto grid = sample_grid(torch::zeros({1, 1, 100, 90})).value();
  EXPECT_EQ(grid.width, 94);
  EXPECT_EQ(grid.height, 104);
}

TEST(SampleGrid, IsNoPictureOfAnythingElse) {
  EXPECT_FALSE(sample_grid(torch::zeros({4, 784})).has_value());
  EXPECT_FALSE(sample_grid(torch::zeros({4, 28, 28})).has_value());
  EXPECT_FALSE(sample_grid(torch::zeros({4, 2, 28, 28})).has_value());
  EXPECT_FALSE(sample_grid(torch::zeros({0, 1, 28, 28})).has_value());
  EXPECT_FALSE(reconstruction_grid(torch::zeros({4, 784}), torch::zeros({4, 784})).has_value());
}

TEST(ReconstructionGrid, AlternatesRows) {
  const auto grid = reconstruction_grid(levels(13), levels(13) + 100 / 255.0).value();
  EXPECT_EQ(grid.width, 10 * 86 + 2);
  EXPECT_EQ(grid.height, 4 * 86 + 2);
  for (int i = 0; i < 13; ++i) {
    EXPECT_EQ(tile(grid, i % 10, 2 * (i / 10)), i + 1);
    EXPECT_EQ(tile(grid, i % 10, 2 * (i / 10) + 1), i + 101);
  }
  EXPECT_EQ(tile(grid, 3, 2), 64);
  EXPECT_EQ(tile(grid, 9, 3), 64);
  EXPECT_THROW(reconstruction_grid(levels(3), levels(4)), ShapeError);
}

}  // namespace pictures_test
