#include "elbo/io/png.h"

#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include "elbo/base/error.h"
#include "elbo/io/file.h"
#include "source.h"

// libpng reports errors by longjmp, which must not skip a destructor: the functions that call setjmp hold plain values only,
// everything with a destructor lives in a struct of their caller.
namespace elbo {
namespace {

constexpr uint64_t kMaxPixels = uint64_t{1} << 26;

struct Failure {
  std::string message;
};

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* failure = static_cast<Failure*>(png_get_error_ptr(png));
  try {
    failure->message = message;
  } catch (...) {  // no memory for the words: the failure itself still gets through
  }
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

struct Writing {
  const Image& image;
  Failure failure = {};
  std::string out = {};
  png_structp png = nullptr;
  png_infop info = nullptr;

  ~Writing() { png_destroy_write_struct(&png, &info); }
};

void append_bytes(png_structp png, png_bytep data, size_t count) {
  bool failed = false;
  try {
    static_cast<Writing*>(png_get_io_ptr(png))->out.append(reinterpret_cast<const char*>(data), count);
  } catch (...) {
    failed = true;
  }
  if (failed) png_error(png, "no memory");
}

void flush_nothing(png_structp) {}

bool encode(Writing& w) {
  if (setjmp(png_jmpbuf(w.png)) != 0) return false;
  png_set_write_fn(w.png, &w, append_bytes, flush_nothing);
  const auto width = static_cast<png_uint_32>(w.image.width);
  const auto height = static_cast<png_uint_32>(w.image.height);
  png_set_IHDR(w.png, w.info, width, height, 8, w.image.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(w.png, w.info);
  const size_t row_bytes = size_t{width} * static_cast<size_t>(w.image.channels);
  for (png_uint_32 y = 0; y < height; ++y) png_write_row(w.png, w.image.pixels.data() + y * row_bytes);
  png_write_end(w.png, w.info);
  return true;
}

struct Reading {
  const detail::InputFile& file;
  Failure failure = {};
  uint64_t position = 0;
  Image image = {};
  png_structp png = nullptr;
  png_infop info = nullptr;
  int passes = 1;

  ~Reading() { png_destroy_read_struct(&png, &info, nullptr); }
};

void take_bytes(png_structp png, png_bytep data, size_t count) {
  auto& reading = *static_cast<Reading*>(png_get_io_ptr(png));
  size_t got = 0;
  try {
    got = reading.file.read_at(reading.position, std::as_writable_bytes(std::span(data, count)));
  } catch (...) {  // reported as an early end
  }
  reading.position += got;
  if (got < count) png_error(png, "the file ends here");
}

bool decode_header(Reading& r) {
  if (setjmp(png_jmpbuf(r.png)) != 0) return false;
  png_set_read_fn(r.png, &r, take_bytes);
  constexpr png_uint_32 kMaxExtent = 1 << 20;
  constexpr png_alloc_size_t kMaxChunk = 1 << 23;
  png_set_user_limits(r.png, kMaxExtent, kMaxExtent);
  png_set_chunk_cache_max(r.png, 128);
  png_set_chunk_malloc_max(r.png, kMaxChunk);
  png_read_info(r.png, r.info);
  r.image.width = static_cast<int>(png_get_image_width(r.png, r.info));
  r.image.height = static_cast<int>(png_get_image_height(r.png, r.info));
  png_set_expand(r.png);
  png_set_strip_16(r.png);
  png_set_strip_alpha(r.png);
  r.passes = png_set_interlace_handling(r.png);
  png_read_update_info(r.png, r.info);
  r.image.channels = png_get_channels(r.png, r.info);
  return true;
}

bool decode_row(Reading& r, png_bytep row) {
  if (setjmp(png_jmpbuf(r.png)) != 0) return false;
  png_read_row(r.png, row, nullptr);
  return true;
}

bool decode_end(Reading& r) {
  if (setjmp(png_jmpbuf(r.png)) != 0) return false;
  png_read_end(r.png, nullptr);
  return true;
}

[[noreturn]] void fail(const Reading& r) {
  r.file.fail(r.position,
              "not a readable PNG image (" + r.failure.message + "); check that this is the right file or get it again");
}

/// Refuses what the file's compressed bytes can't possibly hold.
void check_size(const Reading& r) {
  constexpr uint64_t kDimensionsAt = 16;
  const uint64_t pixels = static_cast<uint64_t>(r.image.width) * static_cast<uint64_t>(r.image.height);
  const std::string got = "got " + std::to_string(r.image.width) + " x " + std::to_string(r.image.height) + " pixels, ";
  if (pixels > kMaxPixels)
    r.file.fail(kDimensionsAt, got + "expected at most " + std::to_string(kMaxPixels) + " in all; shrink the image");
  const uint64_t most_bits = 8 * detail::kMaxDeflateRatio * r.file.size();
  if (pixels > most_bits) {
    r.file.fail(kDimensionsAt, got + "which a file of " + std::to_string(r.file.size()) + " bytes can't hold; get it again");
  }
}

}  // namespace

std::string encode_png(const Image& image) {
  const bool channels_ok = image.channels == 1 || image.channels == 3;
  const bool extents_ok = image.width > 0 && image.height > 0 && channels_ok;
  const uint64_t expected =
      static_cast<uint64_t>(image.width) * static_cast<uint64_t>(image.height) * static_cast<uint64_t>(image.channels);
  if (!extents_ok || image.pixels.size() != expected) {
    throw UsageError("an image of " + std::to_string(image.width) + " x " + std::to_string(image.height) + " with " +
                     std::to_string(image.channels) + " channels and " + std::to_string(image.pixels.size()) +
                     " bytes can't be written as PNG; expected positive extents, 1 or 3 channels and a byte for each");
  }
  Writing writing = {.image = image};
  writing.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &writing.failure, on_error, on_warning);
  if (writing.png != nullptr) writing.info = png_create_info_struct(writing.png);
  if (writing.info == nullptr || !encode(writing)) throw UsageError("can't encode a PNG image: " + writing.failure.message);
  return std::move(writing.out);
}

void write_png(const std::filesystem::path& path, const Image& image) { write_atomically(path, encode_png(image)); }

Image read_png(const std::filesystem::path& path) {
  const detail::InputFile file(path, FileRole::data);
  Reading reading = {.file = file};
  reading.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reading.failure, on_error, on_warning);
  if (reading.png != nullptr) reading.info = png_create_info_struct(reading.png);
  if (reading.info == nullptr || !decode_header(reading)) fail(reading);
  check_size(reading);
  auto& image = reading.image;
  const size_t row_bytes = static_cast<size_t>(image.width) * static_cast<size_t>(image.channels);
  const auto height = static_cast<size_t>(image.height);
  if (reading.passes > 1) image.pixels.resize(height * row_bytes);
  for (int pass = 0; pass < reading.passes; ++pass) {
    for (size_t y = 0; y < height; ++y) {
      // Grows with the rows that arrive; an interlaced image needs all of its rows in each pass.
      if (reading.passes == 1) image.pixels.resize((y + 1) * row_bytes);
      if (!decode_row(reading, image.pixels.data() + y * row_bytes)) fail(reading);
    }
  }
  if (!decode_end(reading)) fail(reading);
  return std::move(image);
}

}  // namespace elbo
