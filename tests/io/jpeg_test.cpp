#include "elbo/io/jpeg.h"

#include <gmock/gmock.h>

#include "io_support.h"

namespace jpeg_test {
namespace {

using namespace elbo;
using namespace io_test;
using ::testing::Each;
using ::testing::HasSubstr;

/// Smooth, as photographs are: what a JPEG keeps well.
Image gradient(int width, int height, int channels) {
  Image image = {.width = width, .height = height, .channels = channels};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.pixels.push_back(static_cast<uint8_t>(40 + 120 * x / width + (c == 1 ? 1 : 0) * 80 * y / height));
      }
    }
  }
  return image;
}

int largest_difference(const Image& a, const Image& b) {
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) largest = std::max(largest, std::abs(int{a.pixels[i]} - int{b.pixels[i]}));
  return largest;
}

std::string refused(const Scratch& scratch, const std::string& bytes) {
  return message_of<DataError>([&] { read_jpeg(spill(scratch / "a.jpg", bytes)); });
}

TEST(Jpeg, ReadsBackWhatItWroteNearly) {
  Scratch scratch;
  for (const int channels : {1, 3}) {
    const auto image = gradient(37, 21, channels);
    const auto seen = read_jpeg(spill(scratch / "a.jpg", encode_jpeg(image, 95)));
    EXPECT_EQ(seen.width, 37);
    EXPECT_EQ(seen.height, 21);
    ASSERT_EQ(seen.channels, channels);
    ASSERT_EQ(seen.pixels.size(), image.pixels.size());
    EXPECT_LE(largest_difference(image, seen), 12);
    EXPECT_GT(largest_difference(image, Image{.pixels = std::vector<uint8_t>(image.pixels.size(), 128)}), 50);
  }
}

TEST(Jpeg, GreyIsTheLuma) {
  Scratch scratch;
  Image image = {.width = 16, .height = 16, .channels = 3};
  for (int i = 0; i < 256; ++i) image.pixels.insert(image.pixels.end(), {200, 100, 50});
  const auto grey = read_jpeg(spill(scratch / "a.jpg", encode_jpeg(image, 100)), {.grey = true});
  EXPECT_EQ(grey.channels, 1);
  EXPECT_THAT(grey.pixels,
              Each(::testing::AllOf(::testing::Ge(123), ::testing::Le(125))));  // 0.299 200 + 0.587 100 + 0.114 50 = 124.2
  write_png(scratch / "a.png", image);
  EXPECT_THAT(read_image(scratch / "a.png", {.grey = true}).pixels, Each(124));
}

TEST(Jpeg, ALargeOneIsDecodedSmallerOnlyAsFarAsAllowed) {
  Scratch scratch;
  const auto path = spill(scratch / "a.jpg", encode_jpeg(gradient(256, 128, 3)));
  EXPECT_EQ(read_jpeg(path).height, 128);
  EXPECT_EQ(read_jpeg(path, {.least_side = 65}).height, 128);
  EXPECT_EQ(read_jpeg(path, {.least_side = 64}).height, 64);
  EXPECT_EQ(read_jpeg(path, {.least_side = 33}).height, 64);
  EXPECT_EQ(read_jpeg(path, {.least_side = 1}).height, 16);
  EXPECT_EQ(read_jpeg(path, {.least_side = 1}).width, 32);
}

TEST(Jpeg, TheContentDecidesNotTheName) {
  Scratch scratch;
  const auto image = gradient(8, 8, 3);
  EXPECT_EQ(read_image(spill(scratch / "a.png", encode_jpeg(image))).width, 8);
  EXPECT_EQ(read_image(spill(scratch / "a.jpg", encode_png(image))).pixels, image.pixels);
  EXPECT_THAT(message_of<DataError>([&] { read_image(spill(scratch / "a.jpg", "GIF89a and so on")); }),
              HasSubstr("a.jpg: byte 0: neither a PNG nor a JPEG image"));
  EXPECT_THAT(message_of<DataError>([&] { read_image(spill(scratch / "a.jpg", "\xff")); }), HasSubstr("neither"));
}

TEST(Jpeg, EveryCutIsRefusedNamingTheRow) {
  Scratch scratch;
  const auto bytes = encode_jpeg(gradient(64, 64, 3), 95);
  for (size_t length = 0; length + 2 < bytes.size(); length += 7) {
    EXPECT_THAT(refused(scratch, bytes.substr(0, length)), HasSubstr("a.jpg: byte ")) << length;
  }
  EXPECT_THAT(refused(scratch, bytes.substr(0, bytes.size() * 3 / 4)),
              ::testing::ContainsRegex("byte [0-9]+: not a readable JPEG image .*, at row [0-9]+ of 64"));
  EXPECT_THAT(refused(scratch, ""), HasSubstr("byte 0: not a readable JPEG image (the file is empty)"));
}

/// The frame header's extents are replaced.
std::string with_extents(std::string bytes, int width, int height) {
  const size_t frame = bytes.find("\xff\xc0");
  for (int i = 0; i < 2; ++i) {
    bytes[frame + 5 + static_cast<size_t>(i)] = static_cast<char>(height >> (8 - 8 * i));
    bytes[frame + 7 + static_cast<size_t>(i)] = static_cast<char>(width >> (8 - 8 * i));
  }
  return bytes;
}

TEST(Jpeg, BombsAreRefusedBeforeAnythingIsAllocated) {
  Scratch scratch;
  const auto bytes = encode_jpeg(gradient(16, 16, 1));
  EXPECT_THAT(refused(scratch, with_extents(bytes, 65000, 65000)),
              HasSubstr("got 65000 x 65000 pixels, expected at most 67108864 in all"));
  EXPECT_THAT(refused(scratch, with_extents(bytes, 5000, 5000)), HasSubstr("got 5000 x 5000 pixels, which a file of "));
  EXPECT_THAT(refused(scratch, with_extents(bytes, 0, 16)), HasSubstr("not a readable JPEG image"));
}

TEST(Jpeg, KindsThatAreNotOursAreRefused) {
  Scratch scratch;
  auto arithmetic = encode_jpeg(gradient(16, 16, 1));
  arithmetic[arithmetic.find("\xff\xc0") + 1] = '\xc9';
  EXPECT_THAT(refused(scratch, arithmetic), HasSubstr("coded arithmetically"));
  // Four components in the frame and in the scan.
  std::string cmyk = "\xff\xd8\xff\xc0" + big_endian(20, 2) + "\x08" + big_endian(16, 2) + big_endian(16, 2) + "\x04";
  for (int i = 1; i <= 4; ++i) cmyk += std::string{static_cast<char>(i), 0x11, 0};
  cmyk += "\xff\xda" + big_endian(14, 2) + "\x04";
  for (int i = 1; i <= 4; ++i) cmyk += std::string{static_cast<char>(i), 0};
  cmyk += std::string("\0\x3f\0", 3) + std::string(100, 'a');
  EXPECT_THAT(refused(scratch, cmyk), HasSubstr("a CMYK image; convert it to RGB"));
}

TEST(Jpeg, RefusesToWriteAnImageThatDisagreesWithItself) {
  EXPECT_THAT(message_of<UsageError>([] {
                encode_jpeg({.width = 2, .height = 2, .channels = 1, .pixels = {1, 2, 3}});
              }),
              HasSubstr("an image of 2 x 2 with 1 channels and 3 bytes"));
  message_of<UsageError>(
      [] { encode_jpeg({.width = 70000, .height = 1, .channels = 1, .pixels = std::vector<uint8_t>(70000)}); });
}

}  // namespace
}  // namespace jpeg_test
