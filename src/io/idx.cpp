#include "elbo/io/idx.h"

#include <array>

#include "source.h"

namespace elbo {
namespace {

constexpr const char* kRemedy = "; check that this is the right file or download it again";

DType dtype_of(uint8_t code, const detail::ByteSource& source) {
  switch (code) {
    case 0x08:
      return DType::u8;
    case 0x09:
      return DType::i8;
    case 0x0b:
      return DType::i16;
    case 0x0c:
      return DType::i32;
    case 0x0d:
      return DType::f32;
    case 0x0e:
      return DType::f64;
    default:
      source.fail(2, "got the element type " + std::to_string(code) + ", expected 8, 9, 11, 12, 13 or 14" + kRemedy);
  }
}

IdxHeader parse_header(detail::ByteSource& source) {
  constexpr int kMaxDims = 8;
  std::array<std::byte, 4> magic = {};
  const size_t count = source.read(magic);
  if (count == 0) source.fail(0, std::string("the file is empty, expected an IDX header") + kRemedy);
  for (size_t i = 0; i < std::min<size_t>(count, 2); ++i) {
    if (magic[i] != std::byte{0}) source.fail(i, std::string("not an IDX file, which starts with two zero bytes") + kRemedy);
  }
  if (count < magic.size()) source.fail(count, std::string("the file ends inside its header") + kRemedy);
  IdxHeader header = {.dtype = dtype_of(std::to_integer<uint8_t>(magic[2]), source)};
  const int num_dims = std::to_integer<int>(magic[3]);
  if (num_dims < 1 || num_dims > kMaxDims) {
    source.fail(3, "got " + std::to_string(num_dims) + " dimensions, expected 1 to " + std::to_string(kMaxDims) + kRemedy);
  }
  for (int i = 0; i < num_dims; ++i) {
    std::array<std::byte, 4> extent = {};
    source.read_exactly(extent, "its header");
    int64_t value = 0;
    for (const std::byte byte : extent) value = value << 8 | std::to_integer<int64_t>(byte);
    header.shape.push_back(value);
  }
  return header;
}

}  // namespace

IdxHeader read_idx_header(const std::filesystem::path& path) {
  const auto source = detail::open_perhaps_gzipped(path);
  auto header = parse_header(*source);
  detail::check_announced(*source, header.dtype, header.shape, 4);
  return header;
}

Array read_idx(const std::filesystem::path& path) {
  const auto source = detail::open_perhaps_gzipped(path);
  auto header = parse_header(*source);
  Array array = {
      .dtype = header.dtype, .shape = header.shape, .bytes = detail::read_elements(*source, header.dtype, header.shape, 4)};
  detail::swap_bytes(array.bytes, size_of(array.dtype));  // the format is big-endian
  return array;
}

}  // namespace elbo
