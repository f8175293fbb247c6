#include "elbo/io/rans.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

/// Between symbols the state lies in [2^31, 2^63), below it only where no word has been written yet.
constexpr uint64_t kLow = uint64_t{1} << 31;
constexpr int kWordBytes = 4;
constexpr int kStateBytes = 8;
constexpr int kChunkBits = 16;

int checked_max_bits(int max_bits) {
  if (max_bits < 0 || max_bits > kMaxFrequencyBits) {
    throw UsageError(text("rans: got max_bits ", max_bits, ", expected 0 to ", kMaxFrequencyBits));
  }
  return max_bits;
}

void check_bits(int bits, int max_bits) {
  if (bits < 0 || bits > max_bits) {
    throw UsageError(text("rans: got frequencies of ", bits, " bits, expected at most the coder's max_bits, ", max_bits));
  }
}

/// Where words follow, the state has 5 to 8 bytes: the length of the stream tells how many.
size_t state_bytes(size_t num_bytes) { return num_bytes <= kStateBytes ? num_bytes : 5 + (num_bytes - 5) % kWordBytes; }

uint64_t little_endian(std::span<const uint8_t> bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) value |= uint64_t{bytes[i]} << 8 * i;
  return value;
}

void check_count(int num_bits, int max_bits) {
  if (num_bits < 0 || num_bits > 64) throw UsageError(text("rans: got ", num_bits, " raw bits, expected 0 to 64"));
  if (num_bits > 0 && max_bits == 0) throw UsageError("rans: a coder with max_bits 0 codes no raw bits; give it more");
}

}  // namespace

RansEncoder::RansEncoder(int max_bits) : max_bits_(checked_max_bits(max_bits)) {}

void RansEncoder::push(Interval interval, int bits) {
  check_bits(bits, max_bits_);
  if (interval.frequency == 0 || uint64_t{interval.start} + interval.frequency > uint64_t{1} << bits) {
    throw UsageError(text("rans: got the interval of ", interval.frequency, " from ", interval.start,
                          ", expected at least 1 within ", uint64_t{1} << bits));
  }
  items_.push_back({.interval = interval, .bits = bits});
}

void RansEncoder::push_bits(uint64_t value, int num_bits) {
  check_count(num_bits, max_bits_);
  const int chunk = std::min(kChunkBits, max_bits_);
  for (; num_bits > 0; num_bits -= chunk) {
    const int width = std::min(chunk, num_bits);
    push({.start = static_cast<uint32_t>(value & ((uint64_t{1} << width) - 1)), .frequency = 1}, width);
    value >>= width;
  }
}

void RansEncoder::push_integer(uint64_t value) {
  if (value == std::numeric_limits<uint64_t>::max())
    throw UsageError(text("rans: got ", value, ", expected an integer below it"));
  const int low_bits = static_cast<int>(std::bit_width(value + 1)) - 1;
  for (int i = 0; i < low_bits; ++i) push_bits(0, 1);
  push_bits(1, 1);
  push_bits(value + 1, low_bits);
}

void RansEncoder::push_escaped(const FrequencyTable& table, uint64_t value) {
  const uint32_t escape = table.num_symbols() - 1;
  push(table, static_cast<uint32_t>(std::min<uint64_t>(value, escape)));
  if (value >= escape) push_integer(value - escape);
}

std::vector<uint8_t> RansEncoder::finish() {
  const auto items = std::exchange(items_, {});
  const uint64_t start = uint64_t{1} << max_bits_;
  uint64_t state = start;
  std::vector<uint32_t> words;
  for (auto item = items.rbegin(); item != items.rend(); ++item) {
    const uint64_t frequency = item->interval.frequency;
    if (state >= frequency << (63 - item->bits)) {
      words.push_back(static_cast<uint32_t>(state));
      state >>= 32;
    }
    state = ((state / frequency) << item->bits) + state % frequency + item->interval.start;
  }
  std::vector<uint8_t> bytes;
  if (state == start && words.empty()) return bytes;
  const int needed = (static_cast<int>(std::bit_width(state)) + 7) / 8;
  const int stored = words.empty() ? needed : std::max(needed, 5);
  bytes.reserve(static_cast<size_t>(stored) + words.size() * kWordBytes);
  const auto append = [&bytes](uint64_t value, int num_bytes) {
    for (int i = 0; i < num_bytes; ++i) bytes.push_back(static_cast<uint8_t>(value >> 8 * i));
  };
  append(state, stored);
  for (auto word = words.rbegin(); word != words.rend(); ++word) append(*word, kWordBytes);
  return bytes;
}

RansDecoder::RansDecoder(std::span<const uint8_t> bytes, int max_bits, std::string origin)
    : bytes_(bytes), origin_(std::move(origin)), max_bits_(checked_max_bits(max_bits)) {
  const uint64_t start = uint64_t{1} << max_bits_;
  if (bytes_.empty()) {
    state_ = start;
    return;
  }
  const size_t width = state_bytes(bytes_.size());
  state_ = little_endian(bytes_.first(width));
  if (state_ < (bytes_.size() > width ? kLow : start) || state_ >> 63 != 0) {
    fail(text("no stream of codes begins with the state ", state_));
  }
  position_ = width;
}

uint32_t RansDecoder::peek(int bits) const {
  check_bits(bits, max_bits_);
  return static_cast<uint32_t>(state_ & ((uint64_t{1} << bits) - 1));
}

void RansDecoder::drop(Interval interval, int bits) {
  const uint32_t slot = peek(bits);
  if (slot < interval.start || slot - interval.start >= interval.frequency) {
    throw UsageError(text("rans: the slot ", slot, " isn't in the interval of ", interval.frequency, " from ", interval.start));
  }
  state_ = interval.frequency * (state_ >> bits) + slot - interval.start;
  if (state_ >= kLow) return;
  if (position_ < bytes_.size()) {
    state_ = state_ << 32 | little_endian(bytes_.subspan(position_, kWordBytes));
    position_ += kWordBytes;
  } else if (state_ < uint64_t{1} << max_bits_) {
    fail("the codes end here, expected another one");
  }
}

uint32_t RansDecoder::pop(const FrequencyTable& table) {
  const uint32_t symbol = table.find(peek(table.bits()));
  drop(table.interval(symbol), table.bits());
  return symbol;
}

uint64_t RansDecoder::pop_bits(int num_bits) {
  check_count(num_bits, max_bits_);
  const int chunk = std::min(kChunkBits, max_bits_);
  uint64_t value = 0;
  for (int done = 0; done < num_bits; done += chunk) {
    const int width = std::min(chunk, num_bits - done);
    const uint32_t slot = peek(width);
    drop({.start = slot, .frequency = 1}, width);
    value |= uint64_t{slot} << done;
  }
  return value;
}

uint64_t RansDecoder::pop_integer() {
  int low_bits = 0;
  while (pop_bits(1) == 0) {
    if (++low_bits > 63) fail("an integer here has more than 64 bits");
  }
  return (uint64_t{1} << low_bits | pop_bits(low_bits)) - 1;
}

uint64_t RansDecoder::pop_escaped(const FrequencyTable& table) {
  const uint32_t escape = table.num_symbols() - 1;
  const uint32_t symbol = pop(table);
  if (symbol < escape) return symbol;
  const uint64_t excess = pop_integer();
  if (excess > std::numeric_limits<uint64_t>::max() - escape) fail("an integer here has more than 64 bits");
  return escape + excess;
}

void RansDecoder::finish() const {
  if (position_ < bytes_.size() || state_ != uint64_t{1} << max_bits_) fail("more was coded than has been read");
}

void RansDecoder::fail(const std::string& problem) const {
  throw DataError(text(origin_, ": byte ", position_, ": ", problem,
                       "; the stream is damaged, or this isn't the model that it was coded with"));
}

}  // namespace elbo
