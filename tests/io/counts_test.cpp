#include "elbo/io/counts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "elbo/base/error.h"
#include "io_support.h"

namespace counts_test {
namespace {

using namespace elbo;
using io_test::message_of;
using ::testing::StartsWith;

std::vector<uint64_t> back(const std::vector<uint64_t>& counts) {
  return unpack_counts(pack_counts(counts), static_cast<uint32_t>(counts.size()), "test");
}

TEST(Counts, ComeBack) {
  std::mt19937_64 random(1);
  std::vector<uint64_t> counts = {0, 1, 2, 3, 4, std::numeric_limits<uint64_t>::max(), uint64_t{1} << 63};
  for (int i = 0; i < 300; ++i) counts.push_back(random() >> random() % 64);
  EXPECT_EQ(back(counts), counts);
  EXPECT_EQ(back({}), std::vector<uint64_t>{});
  EXPECT_EQ(back({0}), std::vector<uint64_t>{0});
}

TEST(Counts, TakeFewBytes) {
  std::mt19937_64 random(2);
  std::poisson_distribution<uint64_t> around(957);
  std::vector<uint64_t> counts(512);
  for (auto& c : counts) c = around(random);
  EXPECT_LT(8.0 * static_cast<double>(pack_counts(counts).size()), 11 * 512);
  EXPECT_LT(pack_counts(std::vector<uint64_t>(8192, 0)).size(), 100U);
}

TEST(Counts, DamageIsADataError) {
  const auto bytes = pack_counts(std::vector<uint64_t>{5, 900, 31, 0, 7});
  EXPECT_THAT(message_of<DataError>([&] { unpack_counts(bytes, 6, "codes"); }), StartsWith("codes: byte "));
  EXPECT_THAT(message_of<DataError>([&] { unpack_counts(bytes, 4, "codes"); }), StartsWith("codes: byte "));
  EXPECT_THAT(message_of<DataError>([&] { unpack_counts({}, 5, "codes"); }), StartsWith("codes: byte 0: the codes end here"));
}

}  // namespace
}  // namespace counts_test
