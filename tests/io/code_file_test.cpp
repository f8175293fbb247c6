#include "elbo/io/code_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "elbo/base/error.h"
#include "elbo/io/crc32c.h"
#include "elbo/io/file.h"
#include "elbo/io/rans.h"
#include "io_support.h"

namespace code_file_test {
namespace {

using namespace elbo;
using io_test::message_of;
using io_test::Scratch;
using ::testing::AnyOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

using Bytes = std::vector<uint8_t>;

const std::string kModelHash = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const std::string kPriorHash = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

CodeHeader some_header() {
  return {.model_hash = kModelHash,
          .prior = CodingPrior::autoregressive,
          .prior_hash = kPriorHash,
          .channels = 3,
          .height = 28,
          .width = 300,
          .levels = {{.height = 7, .width = 75, .groups = 2, .vocabulary = 8192}, {.height = 2, .width = 2}},
          .num_images = 5,
          .images_per_stream = 2,
          .names = {"a.png", "b.png", "été.png", "d", "…"},
          .prior_data = {1, 2, 3}};
}

const std::vector<Bytes> kStreams = {{10, 11, 12, 13}, {}, Bytes(200, 7)};

Bytes some_file() { return pack_code_file(some_header(), kStreams); }

/// A header of few bytes, all of whose fields follow the 32 bytes of the model's hash at byte 10.
CodeHeader plain_header() { return {.model_hash = kModelHash, .levels = {{.vocabulary = 2}}}; }

/// What a forger would do: the length and the checksum agree with whatever the fields are.
Bytes with_frame(const Bytes& fields) {
  Bytes file = {0x89, 'e', 'l', 'b', 'o', '\r', '\n', 0x1a, 1};
  const size_t length = fields.size() + 4;
  EXPECT_LT(length, 16384U);
  if (length >= 128) file.push_back(static_cast<uint8_t>(length % 128 + 128));
  file.push_back(static_cast<uint8_t>(length >= 128 ? length / 128 : length));
  file.insert(file.end(), fields.begin(), fields.end());
  const uint32_t crc = crc32c(std::as_bytes(std::span(file)));
  for (int i = 0; i < 4; ++i) file.push_back(static_cast<uint8_t>(crc >> 8 * i));
  return file;
}

Bytes fields_of(const Bytes& file) {
  const size_t start = file[9] < 128 ? 10 : 11;
  return {file.begin() + static_cast<std::ptrdiff_t>(start), file.end() - 4};
}

std::string refusal(const Bytes& bytes) {
  return message_of<DataError>([&] { CodeFile(bytes, "codes.elbo"); });
}

TEST(CodeFile, GivesBackWhatWasPacked) {
  const CodeFile file(some_file(), "memory");
  EXPECT_EQ(file.header(), some_header());
  EXPECT_EQ(file.header().num_streams(), 3);
  for (int64_t i = 0; i < 3; ++i) {
    const auto stream = file.stream(i);
    EXPECT_EQ(Bytes(stream.begin(), stream.end()), kStreams[static_cast<size_t>(i)]);
  }
  EXPECT_EQ(file.images_in_stream(0), 2);
  EXPECT_EQ(file.images_in_stream(2), 1);
  EXPECT_EQ(message_of<UsageError>([&] { file.stream(3); }), "code file: got stream 3, expected one below 3");
}

TEST(CodeFile, OfNothingIsAFileToo) {
  const CodeFile file(pack_code_file(plain_header(), {}), "memory");
  EXPECT_EQ(file.header(), plain_header());
  EXPECT_EQ(file.header().num_streams(), 0);
}

TEST(CodeFile, HasTheDocumentedBytes) {
  auto header = plain_header();
  header.height = 200;
  header.num_images = 1;
  const auto file = pack_code_file(header, std::vector<Bytes>{{0xab, 0xcd}});
  Bytes expected = {0x89, 'e', 'l', 'b', 'o', '\r', '\n', 0x1a, 1, 56};
  for (int repeat = 0; repeat < 2; ++repeat) {
    for (int i = 0; i < 16; ++i) expected.push_back(static_cast<uint8_t>(i * 0x11));
  }
  //                                 prior, its hash, C, H, W, levels: h, w, G, V; images, in a stream, names, data, length
  for (const int byte : {0, 0, 1, 0xc8, 1, 1, 1, 1, 1, 1, 2, 1, 1, 0, 0, 2, 0xab, 0xcd})
    expected.push_back(static_cast<uint8_t>(byte));
  expected[9] = static_cast<uint8_t>(expected.size() - 10 + 4);
  ASSERT_EQ(file.size(), expected.size() + 4);
  EXPECT_EQ(Bytes(file.begin(), file.end() - 4), expected);
}

TEST(CodeFile, IsWrittenAndReadWhole) {
  Scratch scratch;
  const auto path = scratch / "codes.elbo";
  write_code_file(path, some_header(), kStreams);
  EXPECT_EQ(scratch.names(), (std::vector<std::string>{"codes.elbo"}));
  const auto file = CodeFile::read(path);
  EXPECT_EQ(file.header(), some_header());
  EXPECT_EQ(file.origin_of(1), path.string() + ": stream 1 (from byte " + std::to_string(some_file().size() - 204) + ")");
  EXPECT_THAT(message_of<DataError>([&] { CodeFile::read(scratch / "absent"); }), HasSubstr("absent"));
}

TEST(CodeFile, AStreamDecodesByItself) {
  const auto table = frequencies_from_counts(std::vector<uint64_t>{5, 1, 9}, 16);
  std::vector<Bytes> streams;
  for (uint32_t image = 0; image < 3; ++image) {
    RansEncoder encoder(16);
    for (uint32_t i = 0; i < 20; ++i) encoder.push(table, (i * i + image) % 3);
    streams.push_back(encoder.finish());
  }
  auto header = plain_header();
  header.levels = {{.height = 4, .width = 5, .vocabulary = 3}};
  header.num_images = 3;
  const CodeFile file(pack_code_file(header, streams), "codes.elbo");
  for (const uint32_t image : {2U, 0U, 1U}) {
    RansDecoder decoder(file.stream(image), 16, file.origin_of(image));
    for (uint32_t i = 0; i < 20; ++i) ASSERT_EQ(decoder.pop(table), (i * i + image) % 3);
    decoder.finish();
    EXPECT_THAT(message_of<DataError>([&] { decoder.pop(table); }), StartsWith(file.origin_of(image) + ": byte "));
  }
}

TEST(CodeFile, AnotherModelOrPriorIsRefused) {
  const CodeFile file(some_file(), "codes.elbo");
  file.expect_made_by(kModelHash, kPriorHash);
  EXPECT_EQ(
      message_of<DataError>([&] { file.expect_made_by(kPriorHash, kPriorHash); }),
      "codes.elbo: byte 11: made with the model of hash 0011223344556677…, not with this one, ffeeddccbbaa9988…; decompress "
      "with the run that compressed it");
  EXPECT_EQ(message_of<DataError>([&] { file.expect_made_by(kModelHash, ""); }),
            "codes.elbo: byte 44: made with the prior of hash ffeeddccbbaa9988…, and this run has none; decompress with the run "
            "that compressed it");
}

TEST(CodeFile, DamageIsNamedWithItsPlace) {
  const auto good = some_file();
  const auto changed = [&good](size_t at, uint8_t value) {
    auto bytes = good;
    bytes[at] = value;
    return bytes;
  };
  const std::string remedy = "; get the file again or compress anew";
  const std::string size = std::to_string(good.size());
  EXPECT_EQ(refusal({}), "codes.elbo: byte 0: the file is empty, expected compressed codes" + remedy);
  EXPECT_EQ(refusal(changed(3, 'x')), "codes.elbo: byte 0: not a file of elbo compress" + remedy);
  EXPECT_EQ(refusal(Bytes(5, 0)), "codes.elbo: byte 0: not a file of elbo compress" + remedy);
  EXPECT_EQ(refusal(Bytes(good.begin(), good.begin() + 5)), "codes.elbo: byte 5: the file ends inside its first bytes" + remedy);
  EXPECT_EQ(refusal(changed(8, 2)), "codes.elbo: byte 8: format version 2, this program reads 1; use the elbo that wrote it");
  EXPECT_EQ(refusal(Bytes(good.begin(), good.end() - 1)),
            "codes.elbo: byte " + std::to_string(good.size() - 1) + ": the file ends here, 1 byte too early" + remedy);
  auto longer = good;
  longer.insert(longer.end(), {0, 0});
  EXPECT_EQ(refusal(longer), "codes.elbo: byte " + size + ": the file should end here, but has 2 bytes more" + remedy);
  for (const size_t at : {size_t{11}, size_t{50}, good.size() - 10, good.size() - 1}) {
    EXPECT_EQ(refusal(changed(at, good[at] ^ 4)),
              "codes.elbo: byte " + std::to_string(good.size() - 4) + ": the checksum differs: the file is damaged" + remedy);
  }
}

TEST(CodeFile, TwoHundredDamagedFilesAreRefused) {
  const auto good = some_file();
  std::mt19937 random(20261123);
  const auto below = [&random](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); };
  for (int trial = 0; trial < 200; ++trial) {
    auto bytes = good;
    const size_t at = below(good.size());
    switch (trial % 4) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        bytes[at] ^= static_cast<uint8_t>(1 << below(8));
        break;
      case 2:
        for (size_t i = at; i < std::min(good.size(), at + 1 + below(20)); ++i) bytes[i] = static_cast<uint8_t>(below(256));
        break;
      default:
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), 1 + below(8), static_cast<uint8_t>(below(256)));
        break;
    }
    if (bytes == good) continue;
    EXPECT_THAT(refusal(bytes), StartsWith("codes.elbo: byte ")) << trial;
  }
}

TEST(CodeFile, EveryTruncationAndEveryFlippedBitIsRefused) {
  const auto good = some_file();
  for (size_t size = 0; size < good.size(); ++size)
    refusal(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)));
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    auto bytes = good;
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    refusal(bytes);
  }
}

/// The checksum only tells accidents: fields that a forger wrote give an error or a file whose parts lie within its bytes.
TEST(CodeFile, ForgedFieldsNeverReachOutside) {
  const auto good = fields_of(some_file());
  std::mt19937 random(7);
  int accepted = 0;
  for (int trial = 0; trial < 5000; ++trial) {
    auto fields = good;
    for (uint32_t i = 0; i <= random() % 3; ++i)
      fields[32 + random() % 60] = static_cast<uint8_t>(random() % 3 == 0 ? 255 : random());
    if (trial % 5 == 0) fields.resize(random() % fields.size());
    try {
      const CodeFile file(with_frame(fields), "forged");
      ++accepted;
      size_t sum = 0;
      for (int64_t i = 0; i < file.header().num_streams(); ++i) {
        for (const uint8_t byte : file.stream(i)) sum += byte;
      }
      EXPECT_LE(sum, 255 * fields.size());
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), StartsWith("forged: byte "));
    }
  }
  EXPECT_GT(accepted, 100);
}

struct Forgery {
  std::function<void(Bytes&)> change;
  std::string problem;
};

TEST(CodeFile, NamesTheForgedField) {
  // Fields of plain_header: 32 bytes of hash, then prior, prior hash, C, H, W, levels, h, w, G, V, images, in a stream, names,
  // data.
  const auto at = [](size_t place, Bytes bytes) {
    return [place, bytes](Bytes& fields) {
      fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(place));
      fields.insert(fields.begin() + static_cast<std::ptrdiff_t>(place), bytes.begin(), bytes.end());
    };
  };
  const Bytes huge = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
  const std::vector<Forgery> forgeries = {
      {at(32, {3}), "byte 42: the kind of prior is 3, expected 0 to 2"},
      {at(33, {5}), "byte 43: the prior's hash has 5 bytes, expected 0 or 32"},
      {at(33, huge), "byte 43: the prior's hash has 9223372036854775807 bytes, but 12 are left"},
      {at(34, {0}), "byte 44: the number of channels is 0, expected 1 to 1048576"},
      {at(35, {0x80, 0}), "byte 45: the image's height is not in its shortest form"},
      {at(35, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), "byte 45: the image's height has more than 63 bits"},
      {at(36, huge), "byte 46: the image's width is 9223372036854775807, expected 1 to 1048576"},
      {[&](Bytes& f) {
         at(36, {0x80, 0x80, 0x40})(f);
         at(35, {0x80, 0x80, 0x40})(f);
       },
       "byte 44: an image has more than 268435456 values"},
      {at(37, {17}), "byte 47: the number of levels is 17, expected 1 to 16"},
      {[&](Bytes& f) {
         at(39, {0x80, 0x80, 0x40})(f);
         at(38, {0x80, 0x80, 0x40})(f);
       },
       "byte 48: an image has more than 16777216 codes"},
      {at(41, {0x81, 0x80, 0x80, 1}), "byte 51: a level's vocabulary is 2097153, expected 0 to 2097152"},
      {at(42, huge), "byte 52: the number of images is 9223372036854775807, expected 0 to 268435456"},
      {at(42, {0xff, 0xff, 0x7f}), "byte 58: the lengths of 2097151 streams don't fit into 0 bytes"},
      {at(43, {0}), "byte 53: the number of images in a stream is 0, expected 1 to 268435456"},
      {[&](Bytes& f) {
         at(43, {0xff, 0xff, 0xff, 0x7f})(f);
         at(42, {0xff, 0xff, 0xff, 0x7f})(f);
       },
       "byte 56: a stream of 268435455 images has more than 16777216 codes; take fewer images for each"},
      {[&](Bytes& f) {  // 100 x 100 codes of 2,000 images
         at(43, {0xd0, 0x0f})(f);
         at(42, {0xd0, 0x0f})(f);
         at(39, {100})(f);
         at(38, {100})(f);
       },
       "byte 54: a stream of 2000 images has more than 16777216 codes; take fewer images for each"},
      {at(44, {1}), "byte 54: 1 names for 0 images, expected as many or none"},
      {at(45, {1}), "byte 55: the prior's data has 1 byte, but 0 are left"},
      {[](Bytes& f) { f.push_back(0); }, "byte 56: 1 byte after the last stream"},
      {[](Bytes& f) { f.pop_back(); }, "byte 55: the file ends inside the length of the prior's data"},
  };
  const auto good = fields_of(pack_code_file(plain_header(), {}));
  ASSERT_EQ(good.size(), 46U);
  for (const auto& [change, problem] : forgeries) {
    auto fields = good;
    change(fields);
    EXPECT_EQ(refusal(with_frame(fields)), "codes.elbo: " + problem + "; get the file again or compress anew");
  }
}

TEST(CodeFile, NamesThatLeaveTheFolderAreRefusedBothWays) {
  auto header = plain_header();
  header.num_images = 2;
  const std::vector<Bytes> streams(2);
  for (const std::string name : {"../x", "/etc/passwd", "..", ".", "", "a\\b", "a\nb", "\xff", "b"}) {
    header.names = {"b", name};
    EXPECT_THAT(message_of<UsageError>([&] { pack_code_file(header, streams); }),
                AnyOf(HasSubstr(" names no file"), HasSubstr(" isn't UTF-8"), HasSubstr(" holds a control character"),
                      HasSubstr("the name 'b' stands twice")))
        << name;
  }
  header.names = {"b", "xxxx"};
  auto fields = fields_of(pack_code_file(header, streams));
  const auto place = std::search(fields.begin(), fields.end(), header.names[1].begin(), header.names[1].end());
  const std::string hostile = "../x";
  std::copy(hostile.begin(), hostile.end(), place);
  EXPECT_THAT(refusal(with_frame(fields)), HasSubstr("the name '../x' names no file"));
  header.names = {std::string(256, 'x'), "y"};
  EXPECT_THAT(message_of<UsageError>([&] { pack_code_file(header, streams); }), HasSubstr("has 256 bytes, expected at most 255"));
}

TEST(CodeFile, WrongHeadersAreTheCallersError) {
  auto header = plain_header();
  EXPECT_EQ(message_of<UsageError>([&] { pack_code_file(header, kStreams); }),
            "code file: got 3 streams for 0 images, 1 in each");
  header.model_hash = "abc";
  EXPECT_EQ(message_of<UsageError>([&] { pack_code_file(header, {}); }),
            "code file: the hash of the model is 'abc', expected 64 lower-case hexadecimal digits");
  header = plain_header();
  header.height = -1;
  EXPECT_THAT(message_of<UsageError>([&] { pack_code_file(header, {}); }), HasSubstr("the image's height has more than 63 bits"));
  header = plain_header();
  header.images_per_stream = 0;
  EXPECT_THAT(message_of<UsageError>([&] { pack_code_file(header, {}); }), EndsWith("0 in each"));
}

}  // namespace
}  // namespace code_file_test
