#include "elbo/io/npy.h"

#include <array>
#include <cstring>

#include "elbo/base/error.h"
#include "npy_format.h"

namespace elbo {
namespace detail {

NpyHeader parse_npy(ByteSource& source) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  constexpr const char* kRemedy = "; check that this is the right file or get it again";
  std::array<std::byte, 8> start = {};
  const size_t count = source.read(start);
  if (count == 0) source.fail(0, std::string("empty, expected an NPY header") + kRemedy);
  for (size_t i = 0; i < std::min(count, kMagic.size()); ++i) {
    if (start[i] != as_bytes(kMagic)[i]) source.fail(i, std::string("not an NPY file, which starts with \\x93NUMPY") + kRemedy);
  }
  if (count < start.size()) source.fail(count, std::string("the file ends inside its header") + kRemedy);
  const int major = std::to_integer<int>(start[6]);
  if (major < 1 || major > 3) source.fail(6, "got format version " + std::to_string(major) + ", expected 1, 2 or 3" + kRemedy);

  std::array<std::byte, 4> length_bytes = {};
  const size_t length_size = major == 1 ? 2 : 4;
  source.read_exactly(std::span(length_bytes).first(length_size), "its header");
  uint32_t length = 0;
  std::memcpy(&length, length_bytes.data(), length_bytes.size());
  constexpr uint32_t kMaxHeader = 1 << 16;
  if (length > kMaxHeader || length > source.limit()) {
    const auto most = std::min<uint64_t>(kMaxHeader, source.limit());
    source.fail(8, "got a header of " + std::to_string(length) + " bytes, expected at most " + std::to_string(most) + kRemedy);
  }
  std::string text(length, '\0');
  const uint64_t offset = source.position();
  source.read_exactly(std::as_writable_bytes(std::span(text)), "its header");
  NpyHeader header = NpyDictParser(text, offset, source).parse();
  header.data_offset = source.position();
  return header;
}

Array read_npy_elements(ByteSource& source, const NpyHeader& header) {
  Array array = {.dtype = header.dtype, .shape = header.shape, .bytes = read_elements(source, header.dtype, header.shape, 10)};
  if (header.big_endian) swap_bytes(array.bytes, size_of(array.dtype));
  if (header.fortran_order) array.bytes = to_row_major(array);
  return array;
}

std::vector<std::byte> to_row_major(const Array& array) {
  const size_t size = size_of(array.dtype);
  const size_t dims = array.shape.size();
  std::vector<size_t> stride(dims, 1);
  for (size_t d = 1; d < dims; ++d) stride[d] = stride[d - 1] * static_cast<size_t>(array.shape[d - 1]);
  std::vector<int64_t> index(dims, 0);
  std::vector<std::byte> out(array.bytes.size());
  size_t from = 0;
  for (size_t to = 0; to < out.size(); to += size) {
    std::memcpy(out.data() + to, array.bytes.data() + from * size, size);
    for (size_t d = dims; d-- > 0;) {
      from += stride[d];
      if (++index[d] < array.shape[d]) break;
      from -= stride[d] * static_cast<size_t>(array.shape[d]);
      index[d] = 0;
    }
  }
  return out;
}

std::string npy_header(const ArrayView& array, const std::string& name) {
  check_view(array, name);
  std::string shape;
  for (const int64_t extent : array.shape) shape += (shape.empty() ? "" : ", ") + std::to_string(extent);
  if (array.shape.size() == 1) shape += ",";
  std::string dict = "{'descr': '" + npy_descr(array.dtype, name) + "', 'fortran_order': False, 'shape': (" + shape + "), }";
  constexpr size_t kPreamble = 10;
  constexpr size_t kAlignment = 64;
  const size_t total = (kPreamble + dict.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  dict.append(total - kPreamble - dict.size() - 1, ' ');
  dict += '\n';
  const auto length = static_cast<uint16_t>(dict.size());
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(length & 0xff) + static_cast<char>(length >> 8) + dict;
}

}  // namespace detail

NpyHeader read_npy_header(const std::filesystem::path& path) {
  const auto source = detail::open_plain(path);
  auto header = detail::parse_npy(*source);
  detail::check_announced(*source, header.dtype, header.shape, 10);
  return header;
}

Array read_npy(const std::filesystem::path& path) {
  const auto source = detail::open_plain(path);
  return detail::read_npy_elements(*source, detail::parse_npy(*source));
}

void write_npy(const std::filesystem::path& path, const ArrayView& array) {
  const auto header = detail::npy_header(array, path.string());
  AtomicFile file(path);
  file.write(header);
  file.write(array.bytes);
  file.commit();
}

}  // namespace elbo
