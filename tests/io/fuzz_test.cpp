#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "elbo/io/csv.h"
#include "elbo/io/idx.h"
#include "elbo/io/jpeg.h"
#include "elbo/io/npy.h"
#include "elbo/io/png.h"
#include "elbo/io/safetensors.h"
#include "io_support.h"

/// Valid files with random damage: whatever happens, only an elbo::Error comes out.
namespace fuzz_test {
namespace {

using namespace elbo;
using namespace io_test;

std::string damage(std::string bytes, std::mt19937& random) {
  const auto below = [&random](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  const size_t count = 1 + below(4);
  for (size_t i = 0; i < count && !bytes.empty(); ++i) {
    // Headers decide most: half of the damage goes to the first 128 bytes.
    const size_t at = below(below(2) == 0 ? std::min<size_t>(bytes.size(), 128) : bytes.size());
    switch (below(6)) {
      case 0:
        bytes[at] = static_cast<char>(below(256));
        break;
      case 1:
        bytes[at] ^= static_cast<char>(1 << below(8));
        break;
      case 2:
        bytes[at] = '\xff';
        break;
      case 3:
        bytes.resize(at);
        break;
      case 4:
        bytes.insert(at, 1 + below(8), static_cast<char>(below(256)));
        break;
      default:
        bytes.erase(at, 1 + below(8));
        break;
    }
  }
  return bytes;
}

/// Both outcomes must occur, or the damage tests nothing.
void fuzz(const std::vector<std::string>& seeds, const std::function<void(const std::filesystem::path&)>& read) {
  constexpr int kIterations = 3000;
  Scratch scratch;
  std::mt19937 random(20240607);
  int num_refused = 0;
  for (int i = 0; i < kIterations; ++i) {
    const auto bytes = damage(seeds[static_cast<size_t>(i) % seeds.size()], random);
    const auto path = spill(scratch / "file", bytes);
    try {
      read(path);
    } catch (const Error& error) {
      ++num_refused;
      ASSERT_EQ(std::string(error.what()).rfind(path.string(), 0), 0u) << error.what();
    } catch (const std::exception& error) {
      FAIL() << "iteration " << i << ": " << error.what();
    }
  }
  EXPECT_GT(num_refused, kIterations / 3);
  for (const auto& seed : seeds) EXPECT_NO_THROW(read(spill(scratch / "file", seed)));
}

TEST(Fuzz, Idx) {
  const auto plain = idx_file(11, {3, 4, 5}, std::string(120, 'a'));
  fuzz({plain, gzipped(plain)}, [](const auto& path) {
    read_idx(path);
    read_idx_header(path);
  });
}

TEST(Fuzz, Npy) {
  fuzz({npy_file(npy_dict("<f4", "(3, 4)"), std::string(48, 'a')),
        npy_file(npy_dict(">i8", "(2, 3)", "True"), std::string(48, 'b')),
        npy_file(npy_dict("|b1", "(5,)"), std::string(5, '\1'), 2)},
       [](const auto& path) { read_npy(path); });
}

TEST(Fuzz, Npz) {
  const auto contents = npy_file(npy_dict("<f4", "(3, 4)"), std::string(48, 'a'));
  Scratch scratch;
  const std::vector<float> values(12, 1.0f);
  write_npz(scratch / "own", {{"x", view_of(DType::f32, {3, 4}, values)}, {"y", view_of(DType::f32, {12}, values)}});
  fuzz({zip_file({stored_entry("x.npy", contents), deflated_entry("y.npy", contents)}), slurp(scratch / "own")},
       [](const auto& path) {
         const NpzReader reader(path);
         for (const auto& name : reader.names()) {
           reader.header(name);
           reader.read(name);
         }
       });
}

TEST(Fuzz, Safetensors) {
  Scratch scratch;
  const std::vector<float> values(12, 1.0f);
  write_safetensors(scratch / "own", {{"x", view_of(DType::f32, {3, 4}, values)}, {"y", view_of(DType::u8, {48}, values)}},
                    {{"format", "pt"}});
  fuzz({slurp(scratch / "own")}, [](const auto& path) {
    const SafetensorsFile file(path);
    for (const auto& name : file.names()) file.read(name);
  });
}

TEST(Fuzz, Png) {
  using namespace std::string_literals;
  Image image = {.width = 9, .height = 6, .channels = 3};
  for (int i = 0; i < 9 * 6 * 3; ++i) image.pixels.push_back(static_cast<uint8_t>(i * 91));
  fuzz({encode_png(image), png_file({.width = 2, .interlace = 1, .rows = "\0\x11\0\x22"s}),
        png_file(
            {.color_type = 3, .before_data = png_chunk("PLTE", "\1\2\3\4\5\6") + png_chunk("tRNS", "\x80"), .rows = "\0\1"s})},
       [](const auto& path) { read_png(path); });
}

TEST(Fuzz, Jpeg) {
  Image image = {.width = 24, .height = 17, .channels = 3};
  for (int i = 0; i < 24 * 17 * 3; ++i) image.pixels.push_back(static_cast<uint8_t>(i * 91 % 251));
  const Image grey = {
      .width = 24, .height = 17, .channels = 1, .pixels = std::vector(image.pixels.begin(), image.pixels.begin() + 24 * 17)};
  fuzz({encode_jpeg(image), encode_jpeg(grey, 30)}, [](const auto& path) {
    read_image(path);
    read_jpeg(path, {.least_side = 8, .grey = true});
  });
}

TEST(Fuzz, Csv) {
  const std::string text = "name,\"age, in years\",n\r\n\"x \"\"y\"\"\",1.5,2\r\nb,,\"3\n4\"\n";
  fuzz({text, gzipped(text)}, [](const auto& path) {
    CsvReader reader(path);
    std::vector<std::string> cells;
    while (reader.next(cells)) {
    }
  });
}

}  // namespace
}  // namespace fuzz_test
