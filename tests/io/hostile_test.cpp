#include <gmock/gmock.h>

#include <functional>

#include "elbo/io/idx.h"
#include "elbo/io/npy.h"
#include "elbo/io/png.h"
#include "elbo/io/safetensors.h"
#include "io_support.h"

/// Files that lie about themselves, each with the place and the words of its error. None may cost memory.
namespace hostile_test {
namespace {

using namespace elbo;
using namespace io_test;
using namespace std::string_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Case {
  std::string bytes;
  uint64_t offset;
  std::string words;
};

size_t peak_kilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6));
  }
  return 0;
}

/// Reads each file; expects an E that starts "PATH: byte N: " and has the words, and no more than 32 MB more memory at the peak.
template <class E>
void expect_refused(const std::vector<Case>& cases, const std::function<void(const std::filesystem::path&)>& read,
                    const std::string& entry = "") {
  Scratch scratch;
  { std::ofstream("/proc/self/clear_refs") << "5"; }  // restarts the peak
  const size_t before = peak_kilobytes();
  for (const auto& hostile : cases) {
    SCOPED_TRACE(hostile.words);
    const auto path = spill(scratch / "file", hostile.bytes);
    const auto message = message_of<E>([&] { read(path); });
    EXPECT_THAT(message, StartsWith(path.string() + ": " + entry + "byte " + std::to_string(hostile.offset) + ": "));
    EXPECT_THAT(message, HasSubstr(hostile.words));
  }
  EXPECT_LT(peak_kilobytes(), before + 32 * 1024);
}

void idx(const std::filesystem::path& path) { read_idx(path); }
void npy(const std::filesystem::path& path) { read_npy(path); }
void npz(const std::filesystem::path& path) { NpzReader(path).read("x"); }
void safetensors(const std::filesystem::path& path) { SafetensorsFile file(path); }
void png(const std::filesystem::path& path) { read_png(path); }

TEST(HostileIdx, IsRefused) {
  const std::string zeros(8 << 20, '\0');
  const auto good = idx_file(8, {2, 3}, "abcdef");
  auto flipped = gzipped(good);
  flipped[flipped.size() - 6] ^= 1;  // the checksum
  expect_refused<DataError>(
      {
          {"", 0, "the file is empty"},
          {"\0"s, 1, "ends inside its header"},
          {"\0\0\x08"s, 3, "ends inside its header"},
          {"\0\0\x08\x01\0\0"s, 6, "ends inside its header"},
          {"PK\x03\x04 a zip", 0, "not an IDX file"},
          {"\0\x01\x08\x01"s, 1, "not an IDX file"},
          {idx_file(0x0a, {1}, "a"), 2, "element type 10"},
          {idx_file(0x00, {1}, "a"), 2, "element type 0"},
          {idx_file(8, {}, "a"), 3, "got 0 dimensions, expected 1 to 8"},
          {idx_file(8, std::vector<uint32_t>(9, 1), "a"), 3, "got 9 dimensions"},
          {idx_file(8, std::vector<uint32_t>(255, 1), "a"), 3, "got 255 dimensions"},
          {idx_file(14, {0xffffffff, 0xffffffff, 0xffffffff}, "a"), 4,
           "4294967295 x 4294967295 x 4294967295 float64, expected at most"},
          {idx_file(8, {0xffffffff}, "a"), 4, "(4294967295 bytes), but the file has 1 bytes after it"},
          {idx_file(8, {0, 0xffffffff, 0xffffffff, 0xffffffff}, ""), 4, "expected at most"},
          {idx_file(8, {2, 3}, "abcde"), 4, "(6 bytes), but the file has 5 bytes"},
          {idx_file(8, {2, 3}, "abcdefg"), 4, "(6 bytes), but the file has 7 bytes"},
          {"\x1f\x8b", 0, "ends too early"},
          {"\x1f\x8bnot really gzip", 0, "damaged"},
          {gzipped(good).substr(0, 12), 1, "ends too early"},
          {gzipped(good).substr(0, gzipped(good).size() - 1), 18, "ends too early"},
          {gzipped(good) + "trailing", 18, "damaged (incorrect header check)"},
          {flipped, 18, "damaged (incorrect data check)"},
          {gzipped(idx_file(8, {2, 3}, "abcde")), 17, "the data ends here"},
          {gzipped(idx_file(8, {2, 3}, "abcdefg")), 18, "more bytes follow"},
          {gzipped(""), 0, "the file is empty"},
          {gzipped(idx_file(8, {100}, zeros)), 108, "more bytes follow"},        // a bomb behind a small header
          {gzipped(idx_file(8, {0x40000000}, "a")), 4, "can't hold more than"},  // a header that no gzip file this small can keep
      },
      idx);
}

TEST(HostileIdx, CostsNoMoreMemoryThanArrives) {
  // 1.2 MB that don't compress: the gzip file could hold the announced gigabyte, and doesn't.
  std::string noise(1'200'000, '\0');
  uint32_t state = 1;
  for (char& c : noise) c = static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  expect_refused<DataError>({{gzipped(idx_file(8, {1'000'000'000}, noise)), 1'200'008, "the data ends here"}}, idx);
}

TEST(HostileNpy, IsRefused) {
  const auto dict = [](const std::string& descr, const std::string& shape) { return npy_file(npy_dict(descr, shape), "abcd"); };
  const auto text = [](const std::string& header) { return npy_file(header, "abcd"); };
  const std::string many(70'000, ' ');
  expect_refused<DataError>(
      {
          {"", 0, "empty, expected an NPY header"},
          {"\x93NUM", 4, "ends inside its header"},
          {"\x93NUMPX\x01\0"s, 5, "not an NPY file"},
          {"\x93NUMPY\x01"s, 7, "ends inside its header"},
          {"\x93NUMPY\x04\0\x10\0\0\0"s, 6, "format version 4"},
          {"\x93NUMPY\x01\0\x10"s, 9, "ends inside its header"},
          {"\x93NUMPY\x02\0\xff\xff\xff\xff"s, 8, "got a header of 4294967295 bytes"},
          {"\x93NUMPY\x02\0"s + little_endian(70'000, 4) + many, 8, "expected at most 65536"},
          {npy_file(npy_dict("<f4", "(1,)"), "abcd").substr(0, 40), 8, "got a header of"},
          {dict("|O", "(1,)"), 20, "Python objects"},
          {dict("O", "(1,)"), 20, "pickled code and is never read"},
          {text("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }"), 20, "structured array"},
          {dict("<U4", "(1,)"), 20, "elements of type '<U4'"},
          {dict("<c8", "(1,)"), 20, "elements of type '<c8'"},
          {dict("<u4", "(1,)"), 20, "convert them with astype"},
          {dict("f4", "(1,)"), 20, "elements of type 'f4'"},
          {dict("|f4", "(1,)"), 20, "elements of type '|f4'"},
          {dict("=f4", "(1,)"), 20, "elements of type '=f4'"},
          {dict("<f4", "(-1,)"), 61, "negative"},
          {dict("<f4", "(99999999999999999999,)"), 61, "doesn't fit in 64 bits"},
          {dict("<f4", "(4611686018427387904, 4611686018427387904)"), 10, "expected at most"},
          {dict("<f4", "(0, 4611686018427387904, 4611686018427387904)"), 10, "expected at most"},
          {dict("<f4", "(1000000000,)"), 10, "(4000000000 bytes), but the file has 4 bytes"},
          {dict("<f4", "(2,)"), 10, "(8 bytes), but the file has 4 bytes"},
          {dict("|u1", "(3,)"), 10, "(3 bytes), but the file has 4 bytes"},
          {dict("<f4", "(1)"), 62, "expected ',' after the only extent"},
          {dict("<f4", "(1.5,)"), 62, "expected ',' after the only extent"},
          {dict("<f4", "(1 2)"), 63, "expected ','"},
          {dict("<f4", "[1]"), 60, "expected '('"},
          {dict("<f4", "(__import__('os').system('id'),)"), 61, "expected a number"},
          {dict(
               "<f4", "(" +
                          [] {
                            std::string s;
                            for (int i = 0; i < 40; ++i) s += "1,";
                            return s;
                          }() +
                          ")"),
           126, "more than 32 dimensions"},
          {text("__import__('os').system('id')"), 10, "expected '{'"},
          {text("{'descr': '<f4'}"), 10, "lacks 'fortran_order'"},
          {text("{'descr': '<f4', 'descr': '<f4'}"), 27, "stands twice"},
          {text("{'descr': '<f4', 'evil': 1}"), 27, "unknown key 'evil'"},
          {text("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (1,)}"), 44, "expected True or False"},
          {text("{'descr': '<f4"), 21, "a string has no end"},
          {text("{'descr': '<f\\x34', 'fortran_order': False, 'shape': (1,)}"), 23, "expected a plain string"},
          {text("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)} + 1"), 66, "goes on after its dictionary"},
          {text("{'descr': '<f4' 'fortran_order': False}"), 26, "expected '}'"},
          {text("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)"), 64, "expected '}'"},
          {text(std::string(1000, '(')), 10, "expected '{'"},
          {text(""), 10, "expected '{'"},
          {npy_file(npy_dict("|b1", "(4,)"), "\0\1\2\0"s), 70, "got 2 as a boolean"},
      },
      npy);
}

TEST(HostileNpz, IsRefused) {
  const auto contents = npy_file(npy_dict("|u1", "(4,)"), "abcd");
  auto encrypted = stored_entry("x.npy", contents);
  encrypted.flags = 1;
  auto lzma = stored_entry("x.npy", contents);
  lzma.method = 14;
  auto wrong_crc = stored_entry("x.npy", contents);
  wrong_crc.crc ^= 1;
  auto liar = deflated_entry("x.npy", contents);
  liar.size = 0xfffffff0;
  auto stored_liar = stored_entry("x.npy", contents);
  stored_liar.size = 0xfffffff0;
  const std::string zeros(16 << 20, '\0');
  const auto bomb = deflated_entry("x.npy", npy_file(npy_dict("|u1", "(4,)"), zeros));
  auto hidden_bomb = bomb;
  hidden_bomb.size = contents.size();
  const auto greedy = deflated_entry("x.npy", npy_file(npy_dict("<f8", "(1000000000,)"), "abcd"));
  auto garbage = deflated_entry("x.npy", contents);
  garbage.stored.assign(garbage.stored.size(), '\xff');
  expect_refused<DataError>(
      {
          {zip_file({encrypted}), 0, "the entry is encrypted"},
          {zip_file({lzma}), 0, "compressed by method 14"},
          {zip_file({liar}), 0, "which can't be"},
          {zip_file({stored_liar}), 0, "which can't be"},
          {zip_file({bomb}), 72, "more bytes follow"},
          {zip_file({greedy}), 10, "can't hold more than"},
          {zip_file({garbage}), 0, "the entry is damaged"},
          {zip_file({stored_entry("x.npy", "")}), 0, "empty, expected an NPY header"},
          {zip_file({stored_entry("x.npy", "not npy!")}), 0, "not an NPY file"},
          {zip_file({stored_entry("x.npy", npy_file(npy_dict("|O", "(4,)"), "abcd"))}), 20, "Python objects"},
          {zip_file({stored_entry("x.npy", npy_file(npy_dict("|u1", "(5,)"), "abcd"))}), 10, "can't hold more than 4"},
          {zip_file({stored_entry("x.npy", npy_file(npy_dict("|u1", "(3,)"), "abcd"))}), 71, "more bytes follow"},
          {zip_file({wrong_crc}), 72, "the entry is damaged"},
      },
      npz, "x.npy: ");
  const auto good = zip_file({stored_entry("x.npy", contents)});
  expect_refused<DataError>(
      {
          {"", 0, "not an NPZ archive"},
          {"PK\x05\x06", 0, "not an NPZ archive"},
          {good.substr(0, good.size() - 1), 0, "not an NPZ archive"},
          {contents, 0, "not an NPZ archive"},
          {"PK\x05\x06"s + std::string(4, '\0') + "\xff\xff\xff\xff" + "\xff\xff\xff\x7f" + std::string(4, '\0') + "\0\0"s, 0,
           "not an NPZ archive"},
          {zip_file({stored_entry("x.npy", contents), stored_entry("x.npy", contents)}), 0, "two entries are named 'x'"},
          {zip_file({stored_entry("y.npy", contents)}), 0, "no array named 'x'; it has: y"},
          {zip_file({}), 0, "no array named 'x'; it has: none"},
      },
      npz);
  Scratch scratch;
  message_of<Error>([&] { npz(spill(scratch / "a", zip_file({hidden_bomb}))); });
}

TEST(HostileSafetensors, IsRefused) {
  const auto file = [](const std::string& header, const std::string& data = "abcd") { return safetensors_file(header, data); };
  const auto one = [](const std::string& fields) { return safetensors_file("{\"a\":{" + fields + "}}", "abcd"); };
  const auto good = file(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})");
  expect_refused<CheckpointError>(
      {
          {"", 0, "the file ends here"},
          {"1234567", 7, "the file ends here"},
          {little_endian(uint64_t{1} << 63, 8) + "{}", 0, "got a header of 9223372036854775808 bytes, expected at most 2"},
          {little_endian(~uint64_t{0}, 8), 0, "expected at most 0"},
          {little_endian(0, 8), 8, "doesn't start with '{'"},
          {good.substr(0, 20), 0, "expected at most 12"},
          {good.substr(0, good.size() - 1), 9, "ends at byte 66, but the file has 65 bytes"},
          {good + "x", 66, "the last tensor ends here, but the file has 67 bytes"},
          {file(" {}", ""), 8, "doesn't start with '{'"},
          {file("{]", ""), 9, "not valid JSON"},
          {file("{\"a\"", ""), 12, "not valid JSON"},
          {file("{} x", ""), 11, "not valid JSON"},
          {file("{}\0evil"s, ""), 10, "a zero byte"},
          {file("{\"\xff\":{}}", ""), 10, "not valid JSON"},
          {file("[1]", ""), 8, "doesn't start with '{'"},
          {file("{\"a\":" + std::string(100'000, '['), ""), 9, "got an array"},
          {file(
               "{\"a\":" +
                   [] {
                     std::string s;
                     for (int i = 0; i < 50'000; ++i) s += "{\"a\":";
                     return s;
                   }(),
               ""),
           9, "unknown key 'a'"},
          {file(R"({"a":1})", ""), 9, "got a number"},
          {file(R"({"a":"F32"})", ""), 9, "got a string"},
          {file(R"({"a":null})", ""), 9, "got null"},
          {file(R"({"__metadata__":{"a":1}})", ""), 9, "got a number"},
          {file(R"({"__metadata__":{"a":{}}})", ""), 9, "got an object"},
          {file(R"({"__metadata__":{},"__metadata__":{}})", ""), 9, "the metadata stands twice"},
          {file(R"({"__metadata__":{"k":"1","k":"2"}})", ""), 9, "the key 'k' stands twice"},
          {one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1)"), 9, "unknown key 'x'"},
          {one(R"("dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4])"), 9, "the key 'dtype' stands twice"},
          {one(R"("dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4])"), 9, "the key 'shape' stands twice"},
          {one(R"("dtype":"F32","shape":[1])"), 9, "lacks one of dtype, shape, data_offsets"},
          {one(R"("dtype":"F7","shape":[1],"data_offsets":[0,4])"), 9, "element type 'F7'"},
          {one(R"("dtype":4,"shape":[1],"data_offsets":[0,4])"), 9, "got a number for 'dtype'"},
          {one(R"("dtype":"F32","shape":"1","data_offsets":[0,4])"), 9, "got a string for 'shape'"},
          {one(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), 9, "got a negative number"},
          {one(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), 9, "got the number 1.0"},
          {one(R"("dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4])"), 9, "got the number 99999999999999999999"},
          {one(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])"), 9, "got an array"},
          {one(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])"), 9, "got the extent"},
          {one(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4])"), 9,
           "data_offsets span 4 bytes, but its shape is"},
          {one(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0])"), 9, "data_offsets span 0 bytes"},
          {one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), 9, "data_offsets span 4 bytes, but its shape is 2 float32"},
          {one(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), 9, "data_offsets must be"},
          {one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,8])"), 9, "data_offsets must be"},
          {one(R"("dtype":"F32","shape":[1],"data_offsets":[])"), 9, "data_offsets must be"},
          {one(R"("dtype":"F32","shape":[0],"data_offsets":[18446744073709551615,18446744073709551615])"), 9, "overflow"},
          {one(R"("dtype":"F32","shape":[1],"data_offsets":[1000,1004])"), 9, "starts at byte"},
          {one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])"), 9, "its data ends at byte"},
          {one("\"dtype\":\"F32\",\"shape\":[" +
               [] {
                 std::string s = "1";
                 for (int i = 0; i < 40; ++i) s += ",1";
                 return s;
               }() +
               "],\"data_offsets\":[0,4]"),
           9, "more than 32 numbers for 'shape'"},
          {file(R"({"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})"),
           61, "starts at byte 115, expected 116"},  // overlap
          {file(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})"),
           61, "starts at byte 115, expected 114"},  // a hole
          {file(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})"),
           9, "the name stands twice"},
      },
      safetensors);
  Scratch scratch;
  const auto path = spill(scratch / "file", file(R"({"a":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}})", "\0\1\7\1"s));
  EXPECT_THAT(message_of<CheckpointError>([&] { SafetensorsFile(path).read("a"); }),
              HasSubstr(": byte " + std::to_string(std::filesystem::file_size(path) - 2) + ": tensor 'a' has a boolean"));
}

TEST(HostilePng, IsRefused) {
  const auto good = png_file({.rows = "\0\x42"s});
  auto wrong_crc = good;
  wrong_crc[29] ^= 1;
  expect_refused<DataError>(
      {
          {"", 0, "the file ends here"},
          {"\x89PNG", 4, "the file ends here"},
          {"GIF89a, not a PNG image", 8, "not a readable PNG image"},
          {good.substr(0, 20), 20, "the file ends here"},
          {good.substr(0, good.size() - 14), good.size() - 14, "the file ends here"},
          {good.substr(0, good.size() - 12), good.size() - 12, "the file ends here"},  // all pixels, no end
          {wrong_crc, 33, "CRC error"},
          {png_file({.width = 0, .rows = "\0"s}), 33, "not a readable PNG image"},
          {png_file({.width = 0x7fffffff, .height = 0x7fffffff, .rows = "\0"s}), 33, "not a readable PNG image"},
          {png_file({.width = 1 << 20, .height = 1 << 20, .rows = "\0"s}), 16,
           "got 1048576 x 1048576 pixels, expected at most 67108864"},
          {png_file({.width = 8192, .height = 8192, .color_type = 2, .rows = "\0"s}), 16, "bytes can't hold"},
          {png_file({.width = 8192, .height = 8192, .color_type = 2, .interlace = 1, .rows = "\0"s}), 16, "bytes can't hold"},
          {png_file({.depth = 3, .rows = "\0\0"s}), 33, "not a readable PNG image"},
          {png_file({.color_type = 3, .rows = "\0\0"s}), 41, "not a readable PNG image"},
          {kPngSignature + png_chunk("IEND", ""), 16, "not a readable PNG image"},
          {kPngSignature + "\xff\xff\xff\xffIHDR", 16, "not a readable PNG image"},
      },
      png);
}

}  // namespace
}  // namespace hostile_test
