#include "elbo/io/jpeg.h"

#include <csetjmp>
#include <cstdio>  // jpeglib.h needs FILE
#include <cstdlib>
#include <cstring>
// after them
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>

#include "elbo/base/error.h"
#include "source.h"

// libjpeg reports errors by a callback that must not return. Ours jumps, so, as for PNG, the functions that call setjmp hold
// plain values only and everything with a destructor lives in a struct of their caller.
namespace elbo {
namespace {

constexpr uint64_t kMaxPixels = uint64_t{1} << 26;
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 28;
constexpr long kMaxWorkingBytes = long{1} << 30;  // coefficients of a progressive image
constexpr int kMaxScans = 100;                    // a progressive file of thousands of scans decodes for hours

struct Failure {
  jpeg_error_mgr manager = {};
  std::jmp_buf jump = {};
  char message[JMSG_LENGTH_MAX] = {};
};

[[noreturn]] void on_error(j_common_ptr info) {
  auto* failure = reinterpret_cast<Failure*>(info->err);
  info->err->format_message(info, failure->message);
  std::longjmp(failure->jump, 1);
}

/// Warnings are what libjpeg patches over with grey: an image of ours is whole or refused. A few concern no pixel.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  const int code = info->err->msg_code;
  const bool harmless =
      code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM || code == JWRN_BOGUS_ICC;
  if (!harmless) on_error(info);
}

void on_progress(j_common_ptr info) {
  if (!info->is_decompressor) return;
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMaxScans) return;
  auto* failure = reinterpret_cast<Failure*>(info->err);
  std::snprintf(failure->message, sizeof failure->message, "more than %d scans", kMaxScans);
  std::longjmp(failure->jump, 1);
}

void set_up(Failure& failure, jpeg_error_mgr*& manager) {
  manager = jpeg_std_error(&failure.manager);
  failure.manager.error_exit = on_error;
  failure.manager.emit_message = on_message;
}

struct Reading {
  const detail::InputFile& file;
  const DecodeOptions& options;
  std::vector<std::byte> bytes = {};
  Image image = {};
  Failure failure = {};
  jpeg_decompress_struct info = {};
  jpeg_progress_mgr progress = {};
  bool decoding = false;

  ~Reading() { jpeg_destroy_decompress(&info); }
  [[noreturn]] void fail(const std::string& problem) const {
    const size_t left = info.src != nullptr ? std::min(info.src->bytes_in_buffer, bytes.size()) : 0;
    file.fail(bytes.size() - left, problem);
  }
};

bool decode_header(Reading& r) {
  if (setjmp(r.failure.jump) != 0) return false;
  jpeg_create_decompress(&r.info);
  r.info.mem->max_memory_to_use = kMaxWorkingBytes;
  r.progress.progress_monitor = on_progress;
  r.info.progress = &r.progress;
  jpeg_mem_src(&r.info, reinterpret_cast<const unsigned char*>(r.bytes.data()), static_cast<unsigned long>(r.bytes.size()));
  jpeg_read_header(&r.info, TRUE);
  return true;
}

bool start(Reading& r) {
  if (setjmp(r.failure.jump) != 0) return false;
  const auto shorter = static_cast<int>(std::min(r.info.image_width, r.info.image_height));
  r.info.scale_num = 1;
  for (unsigned denominator = 2; denominator <= 8; denominator *= 2) {
    if (r.options.least_side > 0 && shorter / static_cast<int>(denominator) >= r.options.least_side)
      r.info.scale_denom = denominator;
  }
  r.info.out_color_space = r.options.grey || r.info.jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
  r.info.dct_method = JDCT_ISLOW;  // the exact one: the same pixels whatever the processor
  jpeg_start_decompress(&r.info);
  return true;
}

bool decode_row(Reading& r, JSAMPROW row) {
  if (setjmp(r.failure.jump) != 0) return false;
  jpeg_read_scanlines(&r.info, &row, 1);
  return true;
}

bool decode_end(Reading& r) {
  if (setjmp(r.failure.jump) != 0) return false;
  jpeg_finish_decompress(&r.info);
  return true;
}

[[noreturn]] void fail(const Reading& r) {
  const std::string row =
      r.decoding ? ", at row " + std::to_string(r.info.output_scanline) + " of " + std::to_string(r.info.output_height) : "";
  r.fail("not a readable JPEG image (" + std::string(r.failure.message) + row +
         "); check that this is the right file or get it again");
}

void check_header(const Reading& r) {
  const auto& info = r.info;
  if (info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK) r.fail("a CMYK image; convert it to RGB");
  if (info.arith_code) r.fail("coded arithmetically; convert it to an ordinary JPEG");
  const uint64_t pixels = uint64_t{info.image_width} * info.image_height;
  const std::string got = "got " + std::to_string(info.image_width) + " x " + std::to_string(info.image_height) + " pixels, ";
  if (pixels > kMaxPixels) r.fail(got + "expected at most " + std::to_string(kMaxPixels) + " in all; shrink the image");
  // Each 8 x 8 block of the finest component takes a bit at least.
  constexpr uint64_t kMostPixelsAByte = 8 * 64, kMostOfOneUnit = 32 * 32;
  if (pixels > kMostPixelsAByte * r.bytes.size() + kMostOfOneUnit) {
    r.fail(got + "which a file of " + std::to_string(r.bytes.size()) + " bytes can't hold; get it again");
  }
}

Image decode(const detail::InputFile& file, const DecodeOptions& options) {
  if (file.size() > kMaxFileBytes)
    file.fail(0, "a file of " + std::to_string(file.size()) + " bytes is no image of ours; shrink it");
  Reading r = {.file = file, .options = options};
  r.bytes.resize(file.size());
  file.read_exactly(0, r.bytes);
  if (r.bytes.empty()) file.fail(0, "not a readable JPEG image (the file is empty); get it again");
  set_up(r.failure, r.info.err);
  if (!decode_header(r)) fail(r);
  check_header(r);
  if (!start(r)) fail(r);
  r.decoding = true;
  auto& image = r.image;
  image.width = static_cast<int>(r.info.output_width);
  image.height = static_cast<int>(r.info.output_height);
  image.channels = r.info.output_components;
  const size_t row_bytes = size_t{r.info.output_width} * static_cast<size_t>(image.channels);
  image.pixels.resize(row_bytes * r.info.output_height);
  for (size_t y = 0; y < r.info.output_height; ++y) {
    if (!decode_row(r, image.pixels.data() + y * row_bytes)) fail(r);
  }
  if (!decode_end(r)) fail(r);
  return std::move(image);
}

struct Writing {
  const Image& image;
  int quality = 90;
  Failure failure = {};
  jpeg_compress_struct info = {};
  unsigned char* out = nullptr;  // malloc'ed by libjpeg
  unsigned long size = 0;

  ~Writing() {
    jpeg_destroy_compress(&info);
    std::free(out);
  }
};

bool encode(Writing& w) {
  if (setjmp(w.failure.jump) != 0) return false;
  jpeg_create_compress(&w.info);
  jpeg_mem_dest(&w.info, &w.out, &w.size);
  w.info.image_width = static_cast<JDIMENSION>(w.image.width);
  w.info.image_height = static_cast<JDIMENSION>(w.image.height);
  w.info.input_components = w.image.channels;
  w.info.in_color_space = w.image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&w.info);
  jpeg_set_quality(&w.info, w.quality, TRUE);
  jpeg_start_compress(&w.info, TRUE);
  const size_t row_bytes = static_cast<size_t>(w.image.width) * static_cast<size_t>(w.image.channels);
  while (w.info.next_scanline < w.info.image_height) {
    auto* row = const_cast<JSAMPROW>(w.image.pixels.data() + w.info.next_scanline * row_bytes);
    jpeg_write_scanlines(&w.info, &row, 1);
  }
  jpeg_finish_compress(&w.info);
  return true;
}

void to_grey(Image& image) {
  if (image.channels == 1) return;
  const size_t count = image.pixels.size() / 3;
  for (size_t i = 0; i < count; ++i) {
    const auto* rgb = image.pixels.data() + 3 * i;
    image.pixels[i] = static_cast<uint8_t>((299u * rgb[0] + 587u * rgb[1] + 114u * rgb[2] + 500u) / 1000u);
  }
  image.pixels.resize(count);
  image.channels = 1;
}

}  // namespace

Image read_jpeg(const std::filesystem::path& path, const DecodeOptions& options) {
  return decode(detail::InputFile(path, FileRole::data), options);
}

Image read_image(const std::filesystem::path& path, const DecodeOptions& options) {
  const detail::InputFile file(path, FileRole::data);
  std::byte start[8] = {};
  const size_t count = file.read_at(0, start);
  constexpr unsigned char kJpeg[] = {0xff, 0xd8, 0xff};
  constexpr unsigned char kPng[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  if (count >= sizeof kJpeg && std::memcmp(start, kJpeg, sizeof kJpeg) == 0) return decode(file, options);
  if (count < sizeof kPng || std::memcmp(start, kPng, sizeof kPng) != 0) {
    file.fail(0, "neither a PNG nor a JPEG image; convert it, or remove it from the folder");
  }
  Image image = read_png(path);
  if (options.grey) to_grey(image);
  return image;
}

std::string encode_jpeg(const Image& image, int quality) {
  const bool extents_ok = image.width > 0 && image.height > 0 && (image.channels == 1 || image.channels == 3);
  const uint64_t expected =
      static_cast<uint64_t>(image.width) * static_cast<uint64_t>(image.height) * static_cast<uint64_t>(image.channels);
  if (!extents_ok || image.pixels.size() != expected) {
    throw UsageError("an image of " + std::to_string(image.width) + " x " + std::to_string(image.height) + " with " +
                     std::to_string(image.channels) + " channels and " + std::to_string(image.pixels.size()) +
                     " bytes can't be written as JPEG; expected positive extents, 1 or 3 channels and a byte for each");
  }
  Writing writing = {.image = image, .quality = std::clamp(quality, 1, 100)};
  set_up(writing.failure, writing.info.err);
  if (!encode(writing)) throw UsageError("can't encode a JPEG image: " + std::string(writing.failure.message));
  return {reinterpret_cast<const char*>(writing.out), writing.size};
}

}  // namespace elbo
