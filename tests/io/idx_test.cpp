#include "elbo/io/idx.h"

#include <gmock/gmock.h>

#include "io_support.h"

namespace idx_test {
namespace {

using namespace elbo;
using namespace io_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Idx, ReadsBytesPlainAndGzippedWhateverTheName) {
  Scratch scratch;
  const auto file = idx_file(8, {2, 3}, "abcdef");
  for (const auto& path : {spill(scratch / "a.gz", file), spill(scratch / "b", gzipped(file)),
                           spill(scratch / "c", gzipped(file.substr(0, 7)) + gzipped(file.substr(7)))}) {
    const auto header = read_idx_header(path);
    EXPECT_EQ(header.dtype, DType::u8);
    EXPECT_THAT(header.shape, ElementsAre(2, 3));
    const auto array = read_idx(path);
    EXPECT_EQ(array.dtype, DType::u8);
    EXPECT_THAT(array.shape, ElementsAre(2, 3));
    EXPECT_THAT(values_of<char>(array), ElementsAre('a', 'b', 'c', 'd', 'e', 'f'));
  }
}

TEST(Idx, TurnsBigEndianElementsRound) {
  Scratch scratch;
  const auto read = [&](int type, const std::string& data, uint32_t count) {
    return read_idx(spill(scratch / "a", idx_file(type, {count}, data)));
  };
  EXPECT_THAT(values_of<int8_t>(read(9, "\xff\x01", 2)), ElementsAre(-1, 1));
  EXPECT_THAT(values_of<int16_t>(read(11, big_endian(258, 2) + "\xff\xfe", 2)), ElementsAre(258, -2));
  EXPECT_THAT(values_of<int32_t>(read(12, big_endian(0x01020304, 4), 1)), ElementsAre(0x01020304));
  EXPECT_THAT(values_of<float>(read(13, big_endian(0x40490fdb, 4), 1)), ElementsAre(3.14159274f));
  EXPECT_THAT(values_of<double>(read(14, big_endian(0xc000000000000000, 8), 1)), ElementsAre(-2.0));
  EXPECT_EQ(read(14, "", 0).bytes.size(), 0u);
}

TEST(Idx, ReadsMoreThanOneBufferOfGzip) {
  Scratch scratch;
  std::string data(5'000'000, '\0');
  uint32_t state = 1;
  for (char& c : data) c = static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  const auto array = read_idx(spill(scratch / "a", gzipped(idx_file(8, {5'000'000}, data))));
  EXPECT_EQ(std::memcmp(array.bytes.data(), data.data(), data.size()), 0);
}

TEST(Idx, AMessageSaysWhereWhatAndWhatToDo) {
  Scratch scratch;
  const auto path = spill(scratch / "train", idx_file(8, {60000, 28, 28}, "abc"));
  const auto expected =
      path.string() +
      ": byte 4: the header announces 60000 x 28 x 28 uint8 (47040000 bytes), but the file has 3 bytes after it; it is "
      "incomplete or not what it says: get it again";
  EXPECT_EQ(message_of<DataError>([&] { read_idx(path); }), expected);
  EXPECT_EQ(message_of<DataError>([&] { read_idx_header(path); }), expected);
}

}  // namespace
}  // namespace idx_test
