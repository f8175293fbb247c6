#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

/// A CSV file row by row, plain or gzipped, with one header line. RFC 4180: cells may be in double quotes, which then hold
/// separators, line ends and doubled quotes; lines end in LF or CRLF; a byte order mark and lines without any character are
/// passed over. Throws: DataError "PATH: line N, column C: …" for a row of another length than the header's, an open quote, text
/// after a closing quote, a bare quote, NUL, what isn't UTF-8, repeated or empty names in the header, and cells or rows beyond
/// the limits. Memory holds one row.
class CsvReader {
 public:
  static constexpr size_t kMaxCellBytes = size_t{1} << 16;
  static constexpr size_t kMaxColumns = size_t{1} << 16;

  explicit CsvReader(const std::filesystem::path& path, char separator = ',');
  ~CsvReader();
  CsvReader(const CsvReader&) = delete;
  CsvReader& operator=(const CsvReader&) = delete;

  const std::vector<std::string>& header() const;
  /// The next row's cells, as many as the header has; false at the end.
  bool next(std::vector<std::string>& cells);
  /// Where the last row began, from 1.
  int64_t line() const;
  /// An error about a cell of the last row, columns from 0.
  [[noreturn]] void fail(size_t column, std::string_view problem) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace elbo
