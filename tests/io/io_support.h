#pragma once
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/base/array.h"
#include "elbo/base/error.h"

/// What the tests of this room share: a scratch folder, files made byte by byte, errors with their messages.
namespace io_test {

class Scratch {
 public:
  Scratch() {
    auto pattern = (std::filesystem::temp_directory_path() / "elbo_io_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator(path_)) all.push_back(entry.path().filename().string());
    std::sort(all.begin(), all.end());
    return all;
  }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline std::filesystem::path spill(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::remove(path);  // some file systems sync what is truncated and written again: 3 ms each time
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

/// The message of the E that f throws; anything else fails the test.
template <class E, class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "threw another error: " << error.what();
    return {};
  }
  ADD_FAILURE() << "threw nothing";
  return {};
}

inline std::string big_endian(uint64_t value, int num_bytes) {
  std::string out;
  for (int i = num_bytes - 1; i >= 0; --i) out += static_cast<char>(value >> 8 * i);
  return out;
}

inline std::string little_endian(uint64_t value, int num_bytes) {
  std::string out;
  for (int i = 0; i < num_bytes; ++i) out += static_cast<char>(value >> 8 * i);
  return out;
}

/// zlib's window bits choose the wrapping: 15 zlib, 15 + 16 gzip, -15 none.
inline std::string deflated(std::string_view bytes, int window_bits) {
  z_stream stream = {};
  deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline std::string gzipped(std::string_view bytes) { return deflated(bytes, 15 + 16); }

inline uint32_t checksum(std::string_view bytes) {
  return static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

inline std::string idx_file(int type, std::vector<uint32_t> extents, std::string_view data) {
  std::string out = std::string(2, '\0') + static_cast<char>(type) + static_cast<char>(extents.size());
  for (const uint32_t extent : extents) out += big_endian(extent, 4);
  return out + std::string(data);
}

inline std::string npy_file(std::string_view dict, std::string_view data, int version = 1) {
  std::string out = "\x93NUMPY";
  out += static_cast<char>(version);
  out += '\0';
  out += little_endian(dict.size(), version == 1 ? 2 : 4);
  return out + std::string(dict) + std::string(data);
}

inline std::string npy_dict(std::string_view descr, std::string_view shape, std::string_view fortran = "False") {
  return "{'descr': '" + std::string(descr) + "', 'fortran_order': " + std::string(fortran) + ", 'shape': " + std::string(shape) +
         ", }\n";
}

struct ZipEntry {
  std::string name;
  std::string stored;  // as it lies in the archive
  uint32_t crc = 0;    // of the contents
  uint64_t size = 0;   // what the directory claims
  int method = 0;      // 0 stored, 8 deflated
  int flags = 0;       // 1 encrypted
};

inline ZipEntry stored_entry(std::string name, const std::string& contents) {
  return {.name = std::move(name), .stored = contents, .crc = checksum(contents), .size = contents.size()};
}

inline ZipEntry deflated_entry(std::string name, const std::string& contents) {
  return {.name = std::move(name),
          .stored = deflated(contents, -15),
          .crc = checksum(contents),
          .size = contents.size(),
          .method = 8};
}

inline std::string zip_file(const std::vector<ZipEntry>& entries) {
  std::string out;
  std::string directory;
  for (const auto& entry : entries) {
    const auto common = little_endian(20, 2) + little_endian(static_cast<uint64_t>(entry.flags), 2) +
                        little_endian(static_cast<uint64_t>(entry.method), 2) + little_endian(0x210000, 4) +
                        little_endian(entry.crc, 4) + little_endian(entry.stored.size(), 4) + little_endian(entry.size, 4) +
                        little_endian(entry.name.size(), 2) + little_endian(0, 2);
    directory += "PK\x01\x02" + little_endian(20, 2) + common + std::string(10, '\0') + little_endian(out.size(), 4) + entry.name;
    out += "PK\x03\x04" + common + entry.name + entry.stored;
  }
  const auto count = little_endian(entries.size(), 2);
  return out + directory + "PK\x05\x06" + little_endian(0, 4) + count + count + little_endian(directory.size(), 4) +
         little_endian(out.size(), 4) + little_endian(0, 2);
}

inline std::string safetensors_file(std::string_view header, std::string_view data) {
  return little_endian(header.size(), 8) + std::string(header) + std::string(data);
}

inline std::string png_chunk(std::string_view type, std::string_view data) {
  const std::string body = std::string(type) + std::string(data);
  return big_endian(data.size(), 4) + body + big_endian(checksum(body), 4);
}

struct PngParts {
  uint32_t width = 1;
  uint32_t height = 1;
  int depth = 8;
  int color_type = 0;  // 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha
  int interlace = 0;
  std::string before_data = {};  // palette and other chunks
  std::string rows = {};         // filter byte and samples of each row
};

inline const std::string kPngSignature = "\x89PNG\r\n\x1a\n";

inline std::string png_file(const PngParts& parts) {
  std::string header = big_endian(parts.width, 4) + big_endian(parts.height, 4);
  for (const int value : {parts.depth, parts.color_type, 0, 0, parts.interlace}) header += static_cast<char>(value);
  return kPngSignature + png_chunk("IHDR", header) + parts.before_data + png_chunk("IDAT", deflated(parts.rows, 15)) +
         png_chunk("IEND", "");
}

template <class T>
std::vector<T> values_of(const elbo::Array& array) {
  std::vector<T> values(array.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), array.bytes.data(), values.size() * sizeof(T));
  return values;
}

template <class T>
elbo::ArrayView view_of(elbo::DType dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  return {.dtype = dtype, .shape = std::move(shape), .bytes = std::as_bytes(std::span(values))};
}

/// The bytes of the values as they lie in memory.
template <class T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace io_test
