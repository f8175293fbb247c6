#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace elbo {

/// Counts of an alphabet in few bytes, for the empirical prior of a code file: each one's bit length under a table that learns as
/// it goes, then its lower bits as they are. Zeros are nearly free; counts around 1,000 take some 11 bits each.
std::vector<uint8_t> pack_counts(std::span<const uint64_t> counts);
/// Throws: DataError with the origin when the bytes aren't the counts of so many symbols.
std::vector<uint64_t> unpack_counts(std::span<const uint8_t> bytes, uint32_t num_symbols, const std::string& origin);

}  // namespace elbo
