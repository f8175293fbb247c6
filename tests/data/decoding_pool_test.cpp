#include "../../src/data/decoding_pool.h"

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>

namespace elbo {
namespace decoding_pool_test {
namespace {

constexpr int64_t kRows = 400, kBytes = 64;

bool is_bad(int64_t row) { return row % 37 == 5; }

void fill(int64_t row, std::span<uint8_t> out) {
  if (is_bad(row)) throw std::runtime_error("bad " + std::to_string(row));
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(static_cast<size_t>(row) * 7 + i);
}

/// Rows announced and never taken, taken and never announced, twice in a batch: what comes is right and what waits is bounded.
TEST(DecodingPool, GivesTheRowsAskedForWhateverWasAnnounced) {
  for (const int64_t cached : {0, 50, 400}) {
    for (const int64_t workers : {1, 4, 8}) {
      SCOPED_TRACE(std::to_string(cached) + " cached, " + std::to_string(workers) + " workers");
      detail::DecodingPool pool({.row_bytes = kBytes, .num_workers = workers, .cached = cached, .most_waiting = 48}, fill);
      std::mt19937 random(1);
      const auto some = [&random](size_t count) {
        std::vector<int64_t> rows(count);
        for (auto& row : rows) row = static_cast<int64_t>(random() % kRows);
        return rows;
      };
      for (int step = 0; step < 200; ++step) {
        pool.prefetch(some(32));
        const auto rows = some(16);
        std::vector<uint8_t> out(rows.size() * kBytes), expected(kBytes);
        const auto failed = pool.take(rows, out);
        size_t num_bad = 0;
        for (size_t i = 0; i < rows.size(); ++i) {
          if (is_bad(rows[i])) {
            ASSERT_LT(num_bad, failed.size());
            ASSERT_EQ(failed[num_bad], (std::pair(i, "bad " + std::to_string(rows[i]))));
            ++num_bad;
            continue;
          }
          fill(rows[i], expected);
          ASSERT_TRUE(std::equal(expected.begin(), expected.end(), out.begin() + static_cast<int64_t>(i) * kBytes));
        }
        ASSERT_EQ(failed.size(), num_bad);
        ASSERT_LE(pool.num_waiting(), 48);
      }
    }
  }
}

}  // namespace
}  // namespace decoding_pool_test
}  // namespace elbo
