#include <algorithm>
#include <new>
#include <utility>

#include "elbo/base/error.h"
#include "source.h"

namespace elbo::detail {
namespace {

void grow(std::vector<std::byte>& bytes, size_t size, const ByteSource& source) {
  try {
    bytes.resize(size);
  } catch (const std::exception&) {  // bad_alloc, length_error
    source.fail(source.position(), "no memory for " + std::to_string(size) + " bytes; use a machine with more or split the file");
  }
}

}  // namespace

std::optional<uint64_t> bytes_of(DType type, std::span<const int64_t> shape) {
  int64_t product = static_cast<int64_t>(size_of(type));
  bool empty = false;
  for (const int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    empty = empty || extent == 0;
    // The others' product is checked even then: strides made of it must not overflow.
    if (extent > 0 && __builtin_mul_overflow(product, extent, &product)) return std::nullopt;
  }
  return empty ? 0 : static_cast<uint64_t>(product);
}

std::string describe_array(DType type, std::span<const int64_t> shape) {
  std::string text;
  for (const int64_t extent : shape) text += (text.empty() ? "" : " x ") + std::to_string(extent);
  return (text.empty() ? "a scalar " : text + " ") + std::string(name_of(type));
}

uint64_t check_announced(const ByteSource& source, DType type, std::span<const int64_t> shape, uint64_t header_offset) {
  const auto announced = "the header announces " + describe_array(type, shape);
  const auto size = bytes_of(type, shape);
  if (!size || *size > kMaxArrayBytes) {
    source.fail(header_offset,
                announced + ", expected at most " + std::to_string(kMaxArrayBytes) + " bytes; check where the file comes from");
  }
  const uint64_t room = source.limit();
  if (*size > room || (*size < room && source.limit_is_exact())) {
    source.fail(header_offset, announced + " (" + std::to_string(*size) + " bytes), but the file " +
                                   (source.limit_is_exact() ? "has " : "can't hold more than ") + std::to_string(room) +
                                   " bytes after it; it is incomplete or not what it says: get it again");
  }
  return *size;
}

std::vector<std::byte> read_elements(ByteSource& source, DType type, std::span<const int64_t> shape, uint64_t header_offset) {
  const uint64_t size = check_announced(source, type, shape, header_offset);
  const uint64_t start = source.position();
  const auto expected = "expected " + describe_array(type, shape) + " (" + std::to_string(size) + " bytes), ";
  std::vector<std::byte> bytes;
  uint64_t room = source.limit_is_exact() ? size : uint64_t{1} << 20;
  while (bytes.size() < size) {
    const size_t done = bytes.size();
    grow(bytes, std::min(size, room), source);
    if (source.read(std::span(bytes).subspan(done)) < bytes.size() - done) {
      source.fail(source.position(), expected + "but the data ends here; the file is incomplete: get it again");
    }
    room = 2 * bytes.size();
  }
  std::byte extra = {};
  if (source.read(std::span(&extra, 1)) != 0) {
    source.fail(start + size, expected + "but more bytes follow; the file is not what its header says: get it again");
  }
  if (type == DType::boolean) {
    if (const auto bad = find_bad_bool(bytes)) {
      source.fail(start + *bad, "got " + std::to_string(std::to_integer<int>(bytes[*bad])) +
                                    " as a boolean, expected 0 or 1; the file is damaged: get it again");
    }
  }
  return bytes;
}

void swap_bytes(std::span<std::byte> bytes, size_t element_size) {
  for (size_t i = 0; i + element_size <= bytes.size(); i += element_size) {
    std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i), bytes.begin() + static_cast<std::ptrdiff_t>(i + element_size));
  }
}

std::optional<uint64_t> find_bad_bool(std::span<const std::byte> bytes) {
  const auto bad = std::find_if(bytes.begin(), bytes.end(), [](std::byte b) { return std::to_integer<int>(b) > 1; });
  if (bad == bytes.end()) return std::nullopt;
  return static_cast<uint64_t>(bad - bytes.begin());
}

void check_view(const ArrayView& view, const std::string& name) {
  const auto size = bytes_of(view.dtype, view.shape);
  if (!size || *size != view.bytes.size()) {
    throw UsageError("'" + name + "' is " + describe_array(view.dtype, view.shape) + " but has " +
                     std::to_string(view.bytes.size()) + " bytes; pass all of its elements, contiguous");
  }
}

}  // namespace elbo::detail
