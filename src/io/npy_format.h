#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "elbo/io/npy.h"
#include "source.h"

namespace elbo::detail {

/// NPY from a file or from an entry of an archive.
NpyHeader parse_npy(ByteSource& source);
Array read_npy_elements(ByteSource& source, const NpyHeader& header);
/// The elements of a column-major array, row-major.
std::vector<std::byte> to_row_major(const Array& array);
/// Everything that comes before the elements. Throws: UsageError that speaks of name.
std::string npy_header(const ArrayView& array, const std::string& name);
std::string npy_descr(DType type, const std::string& name);

/// The Python dictionary of an NPY header, and nothing more of Python: three known keys, plain strings, True, False, a tuple.
class NpyDictParser {
 public:
  NpyDictParser(std::string_view text, uint64_t offset, const ByteSource& source)
      : text_(text), offset_(offset), source_(source) {}
  NpyHeader parse();

 private:
  [[noreturn]] void fail(size_t at, const std::string& problem) const;
  void skip_spaces();
  bool accept(char c);
  void expect(char c);
  std::string_view string();
  bool boolean();
  std::vector<int64_t> shape();
  void descr(NpyHeader& header);

  std::string_view text_;
  uint64_t offset_;
  const ByteSource& source_;
  size_t at_ = 0;
};

}  // namespace elbo::detail
