#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "elbo/io/file.h"

namespace elbo {

/// SHA-256, fed in pieces.
/// Source: FIPS 180-4, section 6.2.
class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// The digest in 64 lower-case hexadecimal digits. Ends the computation: the object starts afresh.
  std::string hex();

 private:
  void block(const std::byte* data);

  static constexpr std::array<uint32_t, 8> kStart = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint32_t, 8> state_ = kStart;
  std::array<std::byte, 64> pending_ = {};
  size_t num_pending_ = 0;
  uint64_t num_bytes_ = 0;
};

std::string sha256(std::span<const std::byte> bytes);
std::string sha256(std::string_view text);
/// Throws: the role's error when the file can't be read.
std::string sha256_file(const std::filesystem::path& path, FileRole role = FileRole::run);

}  // namespace elbo
