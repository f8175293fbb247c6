#include "elbo/data/poly.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/files.h"
#include "elbo/base/error.h"
#include "support/tensors.h"

namespace elbo {
namespace poly_test {
namespace {

using namespace data_test;
using ::testing::HasSubstr;

std::shared_ptr<Dataset> poly(const std::string& options = "", uint64_t seed = 1, const std::filesystem::path& root = {}) {
  const auto dataset = from_yaml("{type: poly" + options + "}", {.root = root, .seed = seed});
  dataset->load(at::kCPU);
  return dataset;
}

/// The backgrounds that a config has by default; made once.
const Tensor& texture_of(int64_t m) {
  static const std::array textures = {poly_texture(0, 0), poly_texture(1, 0), poly_texture(2, 0), poly_texture(3, 0),
                                      poly_texture(4, 0)};
  return textures[static_cast<size_t>(m)];
}

/// Bytes of a whole split.
Tensor bytes(const Dataset& dataset, Split split, const std::string& field) {
  return whole(dataset, split, field).mul(255).round().to(torch::kByte);
}

/// Corners of `texture` where `picture` [3, H, W] is the crop or its inverse at every pixel.
std::vector<std::pair<int64_t, int64_t>> corners_of(const Tensor& picture, const Tensor& texture) {
  std::vector<std::pair<int64_t, int64_t>> found;
  const int64_t size = picture.size(1);
  const Tensor whole_picture = picture.contiguous();
  const auto *p = whole_picture.const_data_ptr<uint8_t>(), *t = texture.const_data_ptr<uint8_t>();
  const auto fits = [&](int64_t y, int64_t x, const uint8_t* corner) {
    const auto difference = [&](int64_t c) { return p[(c * size + y) * size + x] ^ corner[(c * 256 + y) * 256 + x]; };
    const int mask = difference(0);
    return (mask == 0 || mask == 255) && difference(1) == mask && difference(2) == mask;
  };
  for (int64_t top = 0; top < 256 - size; ++top) {
    for (int64_t left = 0; left < 256 - size; ++left) {
      const auto* corner = t + top * 256 + left;
      if (p[0] != corner[0] && (p[0] ^ corner[0]) != 255) continue;
      int64_t place = 0;
      while (place < size * size && fits(place / size, place % size, corner)) ++place;
      if (place == size * size) found.emplace_back(top, left);
    }
  }
  return found;
}

/// Where the thing is, [H, W] bool: where the picture isn't its background.
Tensor mask_of(const Tensor& picture, const Tensor& texture) {
  const auto corners = corners_of(picture, texture);
  EXPECT_FALSE(corners.empty());  // the same patch may be at several places: Voronoi cells are flat
  if (corners.empty()) return torch::zeros({picture.size(1), picture.size(2)}, torch::kBool);
  const auto patch = texture.narrow(1, corners[0].first, picture.size(1)).narrow(2, corners[0].second, picture.size(2));
  const auto inside = picture.select(0, 0).ne(patch.select(0, 0));
  // Inverting where the mask is gives the patch back.
  expect_equal(torch::where(inside, 255 - picture, picture), patch);
  return inside;
}

TEST(Poly, TexturesAreFarFromMiddleGreyAndTheSameForASeed) {
  for (int64_t m = 0; m < 5; ++m) {
    const auto& texture = texture_of(m);
    check_shape(texture, {3, 256, 256}, "texture");
    const auto p = texture.to(torch::kDouble) / 255;
    EXPECT_GE(p.mean().item<double>(), 0.3) << m;
    EXPECT_LE(p.mean().item<double>(), 0.7) << m;
    EXPECT_GE((1 - 2 * p).abs().gt(0.2).to(torch::kDouble).mean().item<double>(), 0.8) << m;
    EXPECT_GT(p.select(0, 0).std().item<double>(), 0.01) << m;
    EXPECT_TRUE(texture.equal(poly_texture(m, 0)));
    EXPECT_FALSE(texture.equal(poly_texture(m, 1)));
    if (m > 0) {
      EXPECT_FALSE(texture.equal(texture_of(m - 1)));
    }
  }
  EXPECT_THROW(poly_texture(5, 0), UsageError);
}

TEST(Poly, PicturesAreDigitsOfTheLabelInvertedOnTheirOwnBackground) {
  // At the base's own size the masks are the digits' exactly.
  const auto dataset = poly(", size: 8"), digits = from_yaml("{type: digits}", {.seed = 1});
  digits->load(at::kCPU);
  for (const Split split : {Split::train, Split::test}) {
    const auto masks = bytes(*digits, split, "x").gt(128).squeeze(1);
    const auto labels = whole(*dataset, split, "label");
    for (int64_t m = 0; m < 5; ++m) {
      const auto pictures = bytes(*dataset, split, "m" + std::to_string(m));
      for (int64_t row = 0; row < 4; ++row) {
        const auto inside = mask_of(pictures[row], texture_of(m));
        const auto same = masks.eq(inside).flatten(1).all(1).logical_and(whole(*digits, split, "label").eq(labels[row]));
        EXPECT_TRUE(same.any().item<bool>()) << "m" << m << " row " << row;
        EXPECT_TRUE(corners_of(pictures[row], texture_of((m + 1) % 5)).empty());
      }
    }
  }
}

/// Images of one row of pixels that tell which row they are: the label's bits and the row's bits.
void write_numbered(const std::filesystem::path& folder, int64_t num_rows) {
  std::string pixels, labels;
  for (int64_t row = 0; row < num_rows; ++row) {
    for (int64_t place = 0; place < 64; ++place) pixels += static_cast<char>(place < 16 && (row >> place & 1) ? 255 : 0);
    labels += static_cast<char>(row % 3);
  }
  write_file(folder / "x.idx", idx(8, {num_rows, 8, 8}, pixels));
  write_file(folder / "y.idx", idx(8, {num_rows}, labels));
}

std::vector<int64_t> numbers_in(const Tensor& pictures, int64_t m) {
  std::vector<int64_t> numbers;
  for (int64_t row = 0; row < pictures.size(0); ++row) {
    const auto bits = mask_of(pictures[row], texture_of(m)).flatten();
    int64_t number = 0;
    for (int64_t place = 0; place < 16; ++place) number |= int64_t{bits[place].item<bool>()} << place;
    numbers.push_back(number);
  }
  return numbers;
}

TEST(Poly, EachImageIsUsedOnceAModalityWithItsOwnLabel) {
  Folder folder;
  write_numbered(folder.path(), 40);
  const std::string base = ", size: 8, modalities: 2, base: {type: idx, images: x.idx, labels: y.idx, classes: 3}";
  for (const int64_t repeats : {1, 2}) {
    const auto dataset = poly(base + ", repeats: " + std::to_string(repeats), 1, folder.path());
    EXPECT_EQ(dataset->spec().size(), 3u);
    EXPECT_EQ(dataset->size(Split::train), 32 * repeats);
    EXPECT_EQ(dataset->size(Split::test), 4);
    const auto labels = whole(*dataset, Split::train, "label");
    std::array<std::vector<int64_t>, 2> used;
    for (int64_t m = 0; m < 2; ++m) {
      auto& numbers = used[static_cast<size_t>(m)];
      numbers = numbers_in(bytes(*dataset, Split::train, "m" + std::to_string(m)), m);
      std::map<int64_t, int64_t> times;
      for (size_t i = 0; i < numbers.size(); ++i) {
        EXPECT_EQ(numbers[i] % 3, labels[static_cast<int64_t>(i)].item<int64_t>());
        ++times[numbers[i]];
      }
      EXPECT_EQ(times.size(), 32u);
      for (const auto& [number, count] : times) EXPECT_EQ(count, repeats) << number;
    }
    EXPECT_NE(used[0], used[1]);  // the styles are independent
  }
}

TEST(Poly, SameSeedSameBytesAnotherSeedOthers) {
  const auto first = poly(", size: 12"), again = poly(", size: 12"), other = poly(", size: 12", 2),
             texture = poly(", size: 12, textures: 1");
  EXPECT_EQ(first->fingerprint(), again->fingerprint());
  EXPECT_NE(first->fingerprint(), other->fingerprint());
  EXPECT_NE(first->fingerprint(), texture->fingerprint());
  EXPECT_FALSE(whole(*first, Split::train, "m0").narrow(0, 0, 9).equal(whole(*first, Split::train, "m1").narrow(0, 0, 9)));
  expect_equal(whole(*first, Split::test, "m3"), whole(*again, Split::test, "m3"));
}

TEST(Poly, TranslatedImagesAreThreeQuartersAndElsewhereEachTime) {
  const auto dataset = poly(", translated: true, size: 28, modalities: 2"), digits = poly(", size: 21, modalities: 2");
  const auto pictures = bytes(*dataset, Split::test, "m0");
  std::set<std::pair<int64_t, int64_t>> places;
  for (int64_t row = 0; row < 12; ++row) {
    const auto inside = mask_of(pictures[row], texture_of(0)).nonzero();
    const auto top = inside.select(1, 0).min().item<int64_t>(), bottom = inside.select(1, 0).max().item<int64_t>();
    EXPECT_LT(bottom - top, 21);
    places.emplace(top, inside.select(1, 1).min().item<int64_t>());
  }
  EXPECT_GT(places.size(), 5u);
}

TEST(Poly, SaysWhatItDelivers) {
  const auto spec = from_yaml("{type: poly, modalities: 3, size: 20, missing: {rate: 0.5}}", {.seed = 1})->spec();
  ASSERT_EQ(spec.size(), 4u);
  EXPECT_EQ(spec.at("m2").shape, (Shape{3, 20, 20}));
  EXPECT_EQ(spec.at("m2").kind, ValueKind::unit);
  EXPECT_EQ(spec.at("m2").levels, 256);
  EXPECT_TRUE(spec.at("m2").may_be_missing);
  EXPECT_FALSE(spec.at("label").may_be_missing);
  EXPECT_EQ(spec.at("label").num_classes, 10);
}

TEST(Poly, BasesThatCannotBeDrawnAreRefused) {
  Folder folder;
  write_numbered(folder.path(), 40);
  const auto refusal = [&](const std::string& base) {
    try {
      from_yaml("{type: poly, base: " + base + "}", {.root = folder.path(), .seed = 1});
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string("was accepted");
  };
  EXPECT_THAT(refusal("{type: idx, images: x.idx}"), HasSubstr("data.base: 'idx' has no fields x and label"));
  EXPECT_THAT(refusal("{type: poly}"), HasSubstr("data.base: 'poly' has no fields x and label"));
  EXPECT_THAT(refusal("{type: idx, images: x.idx, labels: y.idx, values: real}"), HasSubstr("has x outside [0, 1]"));
  EXPECT_THAT(refusal("{type: digits, missing: {rate: 0.5}}"), HasSubstr("data.base.missing: the base of poly is whole"));
}

}  // namespace
}  // namespace poly_test
}  // namespace elbo
