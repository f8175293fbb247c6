#include <gtest/gtest.h>

#include "elbo/io/crc32c.h"
#include "elbo/io/sha256.h"
#include "io_support.h"

namespace checksums_test {
namespace {

using namespace elbo;
using namespace io_test;

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// The examples of FIPS 180-4 (NIST, "SHA256.pdf") and the well-known digest of the empty message.
TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, IsTheSameInPiecesAndStartsAfreshAfterHex) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    Sha256 hash;
    hash.update(std::string_view(text).substr(0, cut));
    hash.update(std::string_view(text).substr(cut));
    ASSERT_EQ(hash.hex(), sha256(text)) << cut;
    hash.update("abc");
    ASSERT_EQ(hash.hex(), sha256("abc"));
  }
}

// Python: hashlib.sha256(b"x" * n).hexdigest() around the block length, where the padding needs one block or two.
TEST(Sha256, PadsRightlyAroundTheBlockLength) {
  EXPECT_EQ(sha256(std::string(55, 'x')), "d5e285683cd4efc02d021a5c62014694958901005d6f71e89e0989fac77e4072");
  EXPECT_EQ(sha256(std::string(56, 'x')), "04c26261370ee7541549d16dee320c723e3fd14671e66a099afe0a377c16888e");
  EXPECT_EQ(sha256(std::string(64, 'x')), "7ce100971f64e7001e8fe5a51973ecdfe1ced42befe7ee8d5fd6219506b5393c");
}

TEST(Sha256, HashesAFileLongerThanItsBuffer) {
  Scratch scratch;
  const std::string text(3'000'001, 'q');
  EXPECT_EQ(sha256_file(spill(scratch / "a", text)), sha256(text));
  message_of<CheckpointError>([&] { sha256_file(scratch / "none"); });
  message_of<DataError>([&] { sha256_file(scratch / "none", FileRole::data); });
}

// RFC 3720, B.4.
TEST(Crc32c, GivesThePublishedValues) {
  EXPECT_EQ(crc32c(bytes_of(std::string(32, '\0'))), 0x8a9136aau);
  EXPECT_EQ(crc32c(bytes_of(std::string(32, '\xff'))), 0x62a8ab43u);
  std::string rising;
  for (int i = 0; i < 32; ++i) rising += static_cast<char>(i);
  EXPECT_EQ(crc32c(bytes_of(rising)), 0x46dd794eu);
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(Crc32c, IsMaskedAsInTfrecord) {
  const uint32_t crc = 0xe3069283u;
  EXPECT_EQ(masked_crc32c(bytes_of("123456789")), static_cast<uint32_t>(((crc >> 15) | (crc << 17)) + 0xa282ead8u));
}

}  // namespace
}  // namespace checksums_test
