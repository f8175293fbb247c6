#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace elbo {

/// CRC-32C (Castagnoli), reflected, as of RFC 3720 appendix B.4.
uint32_t crc32c(std::span<const std::byte> bytes);
/// crc32c rotated and offset, as TFRecord files store it.
uint32_t masked_crc32c(std::span<const std::byte> bytes);

}  // namespace elbo
