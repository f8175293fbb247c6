#include "npy_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "elbo/base/error.h"

namespace elbo::detail {
namespace {

struct Code {
  std::string_view text;
  DType dtype;
};

constexpr std::array kCodes = {Code{"u1", DType::u8},  Code{"i1", DType::i8},  Code{"i2", DType::i16},
                               Code{"i4", DType::i32}, Code{"i8", DType::i64}, Code{"f2", DType::f16},
                               Code{"f4", DType::f32}, Code{"f8", DType::f64}, Code{"b1", DType::boolean}};

}  // namespace

std::string npy_descr(DType type, const std::string& name) {
  for (const Code& code : kCodes) {
    if (code.dtype == type) return (size_of(type) == 1 ? "|" : "<") + std::string(code.text);
  }
  throw UsageError("'" + name + "' is " + std::string(name_of(type)) + ", which NPY files can't hold; convert it to float32");
}

void NpyDictParser::fail(size_t at, const std::string& problem) const {
  source_.fail(offset_ + at, problem + "; get the file again or rewrite it with numpy.save");
}

void NpyDictParser::skip_spaces() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
}

bool NpyDictParser::accept(char c) {
  skip_spaces();
  if (at_ >= text_.size() || text_[at_] != c) return false;
  ++at_;
  return true;
}

void NpyDictParser::expect(char c) {
  if (!accept(c)) fail(at_, std::string("the NPY header is malformed, expected '") + c + "' here");
}

std::string_view NpyDictParser::string() {
  const char quote = accept('"') ? '"' : '\'';
  if (quote == '\'') expect('\'');
  const size_t start = at_;
  while (at_ < text_.size() && text_[at_] != quote) {
    const char c = text_[at_];
    if (c == '\\' || c < ' ' || c > '~') fail(at_, "the NPY header is malformed, expected a plain string");
    ++at_;
  }
  if (at_ == text_.size()) fail(start, "the NPY header is malformed, a string has no end");
  return text_.substr(start, at_++ - start);
}

bool NpyDictParser::boolean() {
  skip_spaces();
  for (const std::string_view word : {"True", "False"}) {
    if (text_.substr(at_).starts_with(word)) {
      at_ += word.size();
      return word == "True";
    }
  }
  fail(at_, "the NPY header is malformed, expected True or False");
}

std::vector<int64_t> NpyDictParser::shape() {
  constexpr size_t kMaxDims = 32;
  std::vector<int64_t> extents;
  expect('(');
  while (!accept(')')) {
    skip_spaces();
    int64_t extent = 0;
    const char* end = text_.data() + text_.size();
    const auto [stop, error] = std::from_chars(text_.data() + at_, end, extent);
    if (error == std::errc::invalid_argument) fail(at_, "the NPY header is malformed, expected a number in the shape");
    if (error != std::errc() || extent < 0) fail(at_, "an extent of the shape is negative or doesn't fit in 64 bits");
    at_ = static_cast<size_t>(stop - text_.data());
    extents.push_back(extent);
    if (extents.size() > kMaxDims) fail(at_, "got more than " + std::to_string(kMaxDims) + " dimensions");
    if (accept(',')) continue;
    if (extents.size() == 1) fail(at_, "the NPY header is malformed, expected ',' after the only extent");
    expect(')');
    break;
  }
  return extents;
}

void NpyDictParser::descr(NpyHeader& header) {
  skip_spaces();
  if (at_ < text_.size() && (text_[at_] == '[' || text_[at_] == '{' || text_[at_] == '(')) {
    fail(at_, "got a structured array, expected one plain element type");
  }
  const size_t start = at_;
  const auto text = string();
  if (text.find('O') != std::string_view::npos) {
    fail(start, "got an array of Python objects, which holds pickled code and is never read; save numbers instead");
  }
  for (const Code& code : kCodes) {
    if (text.size() != 3 || text.substr(1) != code.text) continue;
    const bool order_matters = size_of(code.dtype) > 1;
    if (text[0] == '>' || text[0] == '<' || (text[0] == '|' && !order_matters)) {
      header.dtype = code.dtype;
      header.big_endian = order_matters && text[0] == '>';
      return;
    }
  }
  fail(start, "got elements of type '" + std::string(text) +
                  "', expected one of |u1 |i1 <i2 <i4 <i8 <f2 <f4 <f8 |b1; convert them with astype");
}

NpyHeader NpyDictParser::parse() {
  constexpr std::array<std::string_view, 3> kKeys = {"descr", "fortran_order", "shape"};
  NpyHeader header;
  std::array<bool, 3> seen = {};
  expect('{');
  while (!accept('}')) {
    skip_spaces();
    const size_t start = at_;
    const auto key = string();
    const size_t k = static_cast<size_t>(std::find(kKeys.begin(), kKeys.end(), key) - kKeys.begin());
    if (k == kKeys.size())
      fail(start, "unknown key '" + std::string(key) + "' in the NPY header, expected descr, fortran_order, shape");
    if (std::exchange(seen[k], true)) fail(start, "the key '" + std::string(key) + "' stands twice in the NPY header");
    expect(':');
    if (key == "descr") descr(header);
    if (key == "fortran_order") header.fortran_order = boolean();
    if (key == "shape") header.shape = shape();
    if (!accept(',')) {
      expect('}');
      break;
    }
  }
  for (size_t k = 0; k < kKeys.size(); ++k) {
    if (!seen[k]) fail(0, "the NPY header lacks '" + std::string(kKeys[k]) + "'");
  }
  skip_spaces();
  if (at_ < text_.size()) fail(at_, "the NPY header goes on after its dictionary");
  return header;
}

}  // namespace elbo::detail
