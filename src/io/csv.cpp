#include "elbo/io/csv.h"

#include <array>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "source.h"

namespace elbo {

struct CsvReader::State {
  std::unique_ptr<detail::ByteSource> source = {};
  char separator = ',';
  std::vector<std::string> header = {};
  std::array<std::byte, 1 << 16> buffer = {};
  size_t begin = 0;
  size_t end = 0;
  int64_t line = 1;      // of the next character
  int64_t row_line = 1;  // where the last row began

  static constexpr int kEnd = -1;

  int peek() {
    if (begin == end) {
      begin = 0;
      end = source->read(buffer);
      if (end == 0) return kEnd;
    }
    return std::to_integer<unsigned char>(buffer[begin]);
  }
  int take() {
    const int c = peek();
    if (c == kEnd) return c;
    ++begin;
    if (c == '\n') ++line;
    return c;
  }

  [[noreturn]] void fail(int64_t at, size_t column, std::string_view problem) const {
    std::string where = source->name() + ": line " + std::to_string(at) + ", column " + std::to_string(column + 1);
    if (column < header.size()) where += " (" + in_quotes(header[column]) + ")";
    throw DataError(where + ": " + std::string(problem));
  }

  void append(std::string& cell, int c, size_t column) {
    if (cell.size() == kMaxCellBytes)
      fail(line, column, text("a cell of more than ", kMaxCellBytes, " bytes; is a quote missing?"));
    if (c == 0) fail(line, column, "a NUL byte; this is no text file");
    cell += static_cast<char>(c);
  }

  /// Up to the separator or the line's end, which stay.
  void read_cell(std::string& cell, size_t column) {
    cell.clear();
    const int64_t begin_line = line;
    if (peek() == '"') {
      take();
      while (true) {
        const int c = take();
        if (c == kEnd) fail(begin_line, column, "the quote is never closed");
        if (c == '"' && peek() != '"') break;
        if (c == '"') take();
        append(cell, c, column);
      }
      if (peek() == '\r') take_line_feed_after_return(column);
      const int after = peek();
      if (after != kEnd && after != '\n' && after != separator) {
        fail(line, column, "text after the closing quote; a quote within a cell is written twice");
      }
    } else {
      for (int c = peek(); c != kEnd && c != '\n' && c != separator; c = peek()) {
        if (c == '"')
          fail(line, column, "a quote inside a cell that doesn't start with one; put the cell in quotes and double it");
        take();
        if (c == '\r' && (peek() == '\n' || peek() == kEnd)) break;
        append(cell, c, column);
      }
    }
    if (find_invalid_utf8(cell)) fail(begin_line, column, "not UTF-8; save the file as UTF-8");
  }

  void take_line_feed_after_return(size_t column) {
    take();
    if (peek() != '\n' && peek() != kEnd)
      fail(line, column, "text after the closing quote; a quote within a cell is written twice");
  }

  /// False at the end of the file.
  bool read_row(std::vector<std::string>& cells, size_t most) {
    while (peek() == '\n' || peek() == '\r') take();
    if (peek() == kEnd) return false;
    row_line = line;
    size_t count = 0;
    while (true) {
      if (count == most) {
        fail(row_line, count,
             header.empty() ? text("more than ", most, " columns") : text("more cells than the header's ", most));
      }
      if (count == cells.size()) cells.emplace_back();
      read_cell(cells[count], count);
      ++count;
      const int c = take();
      if (c != separator) break;  // the line's or the file's end
    }
    cells.resize(count);
    return true;
  }
};

CsvReader::CsvReader(const std::filesystem::path& path, char separator) : state_(std::make_unique<State>()) {
  auto& s = *state_;
  s.source = detail::open_perhaps_gzipped(path);
  s.separator = separator;
  constexpr unsigned char kMark[] = {0xef, 0xbb, 0xbf};
  if (s.peek() == kMark[0] && s.end >= 3 && std::to_integer<int>(s.buffer[1]) == kMark[1] &&
      std::to_integer<int>(s.buffer[2]) == kMark[2]) {
    s.begin = 3;
  }
  std::vector<std::string> names;
  if (!s.read_row(names, kMaxColumns)) throw DataError(path.string() + ": line 1, column 1: empty, expected a header line");
  std::set<std::string> seen;
  for (size_t i = 0; i < names.size(); ++i) {
    names[i] = std::string(trim(names[i]));
    if (names[i].empty()) s.fail(s.row_line, i, "the header gives this column no name");
    if (!seen.insert(names[i]).second) s.fail(s.row_line, i, "the header names " + in_quotes(names[i]) + " twice");
  }
  s.header = std::move(names);
}

CsvReader::~CsvReader() = default;

const std::vector<std::string>& CsvReader::header() const { return state_->header; }
int64_t CsvReader::line() const { return state_->row_line; }

bool CsvReader::next(std::vector<std::string>& cells) {
  auto& s = *state_;
  if (!s.read_row(cells, s.header.size())) return false;
  if (cells.size() < s.header.size()) {
    s.fail(s.row_line, cells.size(),
           text("the row ends here, with ", count_of(static_cast<int64_t>(cells.size()), "cell"), " of ", s.header.size(),
                "; an empty cell still needs its separator"));
  }
  return true;
}

void CsvReader::fail(size_t column, std::string_view problem) const { state_->fail(state_->row_line, column, problem); }

}  // namespace elbo
