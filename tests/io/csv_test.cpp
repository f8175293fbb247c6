#include "elbo/io/csv.h"

#include <gmock/gmock.h>

#include "io_support.h"

namespace csv_test {
namespace {

using namespace elbo;
using namespace io_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Rows = std::vector<std::vector<std::string>>;

Rows rows_of(const std::filesystem::path& path, char separator = ',') {
  CsvReader reader(path, separator);
  Rows rows = {reader.header()};
  std::vector<std::string> cells;
  while (reader.next(cells)) rows.push_back(cells);
  return rows;
}

Rows parsed(const std::string& text, char separator = ',') {
  Scratch scratch;
  return rows_of(spill(scratch / "a.csv", text), separator);
}

std::string refused(const std::string& text) {
  return message_of<DataError>([&] { parsed(text); });
}

TEST(Csv, ReadsQuotesSeparatorsAndLineEnds) {
  EXPECT_EQ(parsed("a,b\n1,2\n3,4\n"), (Rows{{"a", "b"}, {"1", "2"}, {"3", "4"}}));
  EXPECT_EQ(parsed("a,b\r\n1,2\r\n\r\n3,4"), (Rows{{"a", "b"}, {"1", "2"}, {"3", "4"}}));
  EXPECT_EQ(parsed("\xef\xbb\xbf a ,\"b,c\"\r\n\"x \"\"y\"\"\",\"two\r\nlines\"\r\n,\n"),
            (Rows{{"a", "b,c"}, {"x \"y\"", "two\r\nlines"}, {"", ""}}));
  EXPECT_EQ(parsed("a;b\n1,5;\" \"\n", ';'), (Rows{{"a", "b"}, {"1,5", " "}}));
  EXPECT_EQ(parsed("a\nx\ry\n"), (Rows{{"a"}, {"x\ry"}}));  // a lone carriage return is text
  EXPECT_EQ(parsed("a,b\n"), (Rows{{"a", "b"}}));
}

TEST(Csv, AGzippedFileAndManyBuffersAreTheSame) {
  Scratch scratch;
  std::string text = "n,square\n";
  for (int i = 0; i < 30000; ++i) text += std::to_string(i) + ",\"" + std::to_string(i * 7) + "\"\n";
  const auto plain = rows_of(spill(scratch / "a.csv", text));
  ASSERT_EQ(plain.size(), 30001u);
  EXPECT_THAT(plain.back(), ElementsAre("29999", "209993"));
  EXPECT_EQ(rows_of(spill(scratch / "a.csv.gz", gzipped(text))), plain);
}

TEST(Csv, ErrorsNameLineAndColumn) {
  EXPECT_THAT(refused(""), HasSubstr("a.csv: line 1, column 1: empty, expected a header line"));
  EXPECT_THAT(refused("a,b\n1\n"), HasSubstr("a.csv: line 2, column 2 ('b'): the row ends here, with 1 cell of 2"));
  EXPECT_THAT(refused("a,b\n1,2\n1,2,3\n"), HasSubstr("line 3, column 3: more cells than the header's 2"));
  EXPECT_THAT(refused("a,b\n1,\"two\n\nthree"), HasSubstr("line 2, column 2 ('b'): the quote is never closed"));
  EXPECT_THAT(refused("a,b\n\"1\n2\",3\n\"x\"y,2\n"), HasSubstr("line 4, column 1 ('a'): text after the closing quote"));
  EXPECT_THAT(refused("a,b\n1,x\"y\"\n"), HasSubstr("line 2, column 2 ('b'): a quote inside a cell"));
  EXPECT_THAT(refused(std::string("a,b\n1,\0x\n", 10)), HasSubstr("line 2, column 2 ('b'): a NUL byte"));
  EXPECT_THAT(refused("a,b\n1,\xff\n"), HasSubstr("line 2, column 2 ('b'): not UTF-8"));
  EXPECT_THAT(refused("a,a\n"), HasSubstr("line 1, column 2: the header names 'a' twice"));
  EXPECT_THAT(refused("a,\n"), HasSubstr("line 1, column 2: the header gives this column no name"));
  EXPECT_THAT(refused("a\n" + std::string(70000, 'x') + "\n"),
              HasSubstr("line 2, column 1 ('a'): a cell of more than 65536 bytes"));
  EXPECT_THAT(refused(std::string(70000, ',')), HasSubstr("more than 65536 columns"));
}

TEST(Csv, LinesCountThroughQuotedLineEnds) {
  Scratch scratch;
  CsvReader reader(spill(scratch / "a.csv", "a\n\"1\n2\n3\"\n\nlast\n"));
  std::vector<std::string> cells;
  ASSERT_TRUE(reader.next(cells));
  EXPECT_EQ(reader.line(), 2);
  ASSERT_TRUE(reader.next(cells));
  EXPECT_EQ(reader.line(), 6);
  EXPECT_THAT(message_of<DataError>([&] { reader.fail(0, "no number"); }), HasSubstr("a.csv: line 6, column 1 ('a'): no number"));
  EXPECT_FALSE(reader.next(cells));
}

}  // namespace
}  // namespace csv_test
