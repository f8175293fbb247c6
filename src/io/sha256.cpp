#include "elbo/io/sha256.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "source.h"

namespace elbo {
namespace {

// FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes.
constexpr std::array<uint32_t, 64> kRound = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t big_endian(const std::byte* data) {
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i) word = word << 8 | std::to_integer<uint32_t>(data[i]);
  return word;
}

}  // namespace

void Sha256::block(const std::byte* data) {
  std::array<uint32_t, 64> w = {};
  for (size_t t = 0; t < 16; ++t) w[t] = big_endian(data + 4 * t);
  for (size_t t = 16; t < 64; ++t) {
    const uint32_t s0 = std::rotr(w[t - 15], 7) ^ std::rotr(w[t - 15], 18) ^ (w[t - 15] >> 3);
    const uint32_t s1 = std::rotr(w[t - 2], 17) ^ std::rotr(w[t - 2], 19) ^ (w[t - 2] >> 10);
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  auto [a, b, c, d, e, f, g, h] = state_;
  for (size_t t = 0; t < 64; ++t) {
    const uint32_t s1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
    const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kRound[t] + w[t];
    const uint32_t s0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
    const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const std::array<uint32_t, 8> working = {a, b, c, d, e, f, g, h};
  for (size_t i = 0; i < 8; ++i) state_[i] += working[i];
}

void Sha256::update(std::span<const std::byte> bytes) {
  num_bytes_ += bytes.size();
  while (!bytes.empty()) {
    if (num_pending_ == 0 && bytes.size() >= 64) {
      block(bytes.data());
      bytes = bytes.subspan(64);
      continue;
    }
    const size_t count = std::min(64 - num_pending_, bytes.size());
    std::memcpy(pending_.data() + num_pending_, bytes.data(), count);
    num_pending_ += count;
    bytes = bytes.subspan(count);
    if (num_pending_ == 64) {
      block(pending_.data());
      num_pending_ = 0;
    }
  }
}

void Sha256::update(std::string_view text) { update(detail::as_bytes(text)); }

std::string Sha256::hex() {
  const uint64_t num_bits = 8 * num_bytes_;
  const size_t used = num_pending_ + 9;  // a one bit, zeros, the length
  std::vector<std::byte> padding((used <= 64 ? 64 : 128) - num_pending_);
  padding[0] = std::byte{0x80};
  for (size_t i = 0; i < 8; ++i) padding[padding.size() - 1 - i] = static_cast<std::byte>(num_bits >> 8 * i);
  update(padding);
  std::string text;
  for (const uint32_t word : state_) {
    for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
  }
  *this = Sha256();
  return text;
}

std::string sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256(std::string_view text) { return sha256(detail::as_bytes(text)); }

std::string sha256_file(const std::filesystem::path& path, FileRole role) {
  const detail::InputFile file(path, role);
  std::vector<std::byte> buffer(size_t{1} << 20);
  Sha256 hash;
  for (uint64_t offset = 0; const size_t count = file.read_at(offset, buffer); offset += count) {
    hash.update(std::span(buffer).first(count));
  }
  return hash.hex();
}

}  // namespace elbo
